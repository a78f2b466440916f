//go:build linux

package lab

import (
	"fmt"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// NoLeaks fails the test if it ends with more goroutines or open
// descriptors than it has now. They get about 16 seconds to disappear.
// Call it first, so that it checks last, and not in a parallel test.
func NoLeaks(t testing.TB) {
	t.Helper()
	settle(t) // what stays for good exists before
	goroutinesBefore, filesBefore := goroutines(), files()
	t.Cleanup(func() {
		var leaks []string
		for wait := time.Millisecond; wait < 16*time.Second; wait *= 2 {
			leaks = leaks[:0]
			for id, stack := range goroutines() {
				if _, ok := goroutinesBefore[id]; !ok {
					leaks = append(leaks, stack)
				}
			}
			for fd, target := range files() {
				if filesBefore[fd] != target {
					leaks = append(leaks, fmt.Sprintf("descriptor %s: %s", fd, target))
				}
			}
			if len(leaks) == 0 {
				return
			}
			time.Sleep(wait)
		}
		slices.Sort(leaks)
		t.Errorf("left behind:\n%s", strings.Join(leaks, "\n"))
	})
}

// goroutines returns the stacks of the goroutines that could leak, by
// number.
func goroutines() map[string]string {
	buf := make([]byte, 1<<20)
	for {
		n := runtime.Stack(buf, true)
		if n < len(buf) {
			buf = buf[:n]
			break
		}
		buf = make([]byte, 2*len(buf))
	}
	all := make(map[string]string)
	for stack := range strings.SplitSeq(string(buf), "\n\n") {
		// The runtime's signal handling never ends once it is started.
		if strings.Contains(stack, "os/signal.loop") || strings.Contains(stack, "runtime.ensureSigM") {
			continue
		}
		header, _, _ := strings.Cut(stack, " [")
		all[header] = stack
	}
	return all
}

// files returns what the descriptors of this process refer to, by number.
func files() map[string]string {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		panic(err) // /proc is not mounted
	}
	all := make(map[string]string)
	for _, e := range entries {
		target, err := os.Readlink("/proc/self/fd/" + e.Name())
		if err != nil {
			continue // of the list itself
		}
		all[e.Name()] = target
	}
	// The runtime's poller never ends once it is started.
	maps.DeleteFunc(all, func(fd, target string) bool {
		return target == "anon_inode:[eventpoll]" || target == "anon_inode:[eventfd]"
	})
	return all
}
