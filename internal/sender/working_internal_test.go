package sender

import (
	"regexp"
	"runtime"
	"strings"
)

var bubble = regexp.MustCompile(`synctest bubble \d+`)

// working returns the stacks of the goroutines that do something for a
// sender, or for a request that it made. In a bubble it returns only those
// of the bubble.
func working() []string {
	buf := make([]byte, 1<<20)
	all := strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n")
	own := bubble.FindString(all[0])
	var stacks []string
	for _, stack := range all {
		if bubble.FindString(stack) != own {
			continue
		}
		for _, mark := range []string{"sender.(*Sender)", "sender.(*client)", "sender.(*conns)", "net/http.(*persistConn)",
			"net/http.(*Transport)", "net/http.(*http2ClientConn)", "net.(*Resolver)", "crypto/tls.(*Conn).clientHandshake", "internal/flight."} {
			if strings.Contains(stack, mark) {
				stacks = append(stacks, stack)
				break
			}
		}
	}
	return stacks
}
