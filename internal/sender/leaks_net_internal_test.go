//go:build !rollcall_nosend

package sender

import (
	"os"
	"strings"
	"testing"
	"time"
)

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
