package sender

import (
	"runtime"
	"strings"
)

// working gives the stacks of the goroutines that do something for a sender, or for a request that it made.
func working() []string {
	buf := make([]byte, 1<<20)
	buf = buf[:runtime.Stack(buf, true)]
	var stacks []string
	for stack := range strings.SplitSeq(string(buf), "\n\n") {
		for _, mark := range []string{"sender.(*Sender)", "sender.(*client)", "sender.(*lines)", "net/http.(*persistConn)",
			"net/http.(*Transport)", "net/http.(*http2ClientConn)", "net.(*Resolver)", "crypto/tls.(*Conn).clientHandshake", "internal/flight."} {
			if strings.Contains(stack, mark) {
				stacks = append(stacks, stack)
				break
			}
		}
	}
	return stacks
}
