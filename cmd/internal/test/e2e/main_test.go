//go:build linux

package e2e_test

import (
	"flag"
	"os"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall"
	"github.com/rollcall-dev/rollcall/cmd/internal/test/lab"
)

const (
	// patience is how long anything is waited for that should happen at some time.
	patience = 2 * time.Minute
	// startBound is within what a start with scaled limits returns, which by itself takes about a second, or ten with the
	// race detector.
	startBound = 20 * time.Second
	// exitBound is within what a process ends that is free to. It should take some milliseconds, and must not take longer
	// than a second.
	exitBound = 5 * time.Second
	// noWait is within what something returns that waits for nothing, where waiting would take longer.
	noWait = 2 * time.Second
)

func TestMain(m *testing.M) {
	rollcall.RunChild()
	lab.Register(hostChild, runHost)
	lab.Register(editorChild, runEditor)
	lab.Register(onceChild, runOnce)
	lab.Register(resetterChild, runResetter)
	lab.Register(steppedChild, runStepped)
	lab.Register(savingChild, runSaving)
	lab.Register(restartingChild, runRestarting)
	lab.Register(lockerChild, runLocker)
	if raceDetector {
		os.Setenv("GORACE", "atexit_sleep_ms=0") // which those children heed that get an environment
	}
	// The tests mostly wait. Whoever gives -parallel gets what he wants.
	flag.Set("test.parallel", "16")
	lab.Main(m)
}

// soaking tells whether to take all the time it takes.
func soaking() bool { return os.Getenv("ROLLCALL_SOAK") == "1" }

// quickOr gives the first number, a third of it with -short, or the second when soaking.
func quickOr(quick, soak int) int {
	switch {
	case soaking():
		return soak
	case testing.Short():
		return (quick + 2) / 3
	}
	return quick
}

// chosen tells whether to run test case i of many: all of them, or with -short every third.
func chosen(i int) bool { return !testing.Short() || i%3 == 0 }

// eventually waits until ok.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited %v in vain: %s", patience, what)
		}
	}
}

// must stops the test for an error of its own making.
func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
