package sender

import (
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
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

// noLeaks checks at the end of the test that nothing works any more and that no more descriptors are open than now. It
// is for tests that do not run in parallel.
func noLeaks(t *testing.T) {
	t.Helper()
	files := descriptors()
	t.Cleanup(func() {
		for wait := time.Millisecond; ; wait *= 2 {
			stacks, now := working(), descriptors()
			if len(stacks) == 0 && now <= files {
				return
			}
			if wait > 2*time.Second {
				t.Errorf("%d descriptors, %d before; at work:\n%s", now, files, strings.Join(stacks, "\n\n"))
				return
			}
			time.Sleep(wait)
		}
	})
}

// descriptors counts those that are open, where the system tells.
func descriptors() int {
	entries, _ := os.ReadDir("/proc/self/fd")
	n := 0
	for _, e := range entries {
		// The runtime's poller stays, once there.
		if target, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil && !strings.HasPrefix(target, "anon_inode:") {
			n++
		}
	}
	return n
}
