//go:build linux

package e2e_test

import (
	"flag"
	"os"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall"
	"github.com/rollcall-dev/rollcall/cmd/internal/test/lab"
	"github.com/rollcall-dev/rollcall/cmd/internal/test/race"
)

const (
	// patience bounds the wait for anything that has to happen.
	patience = 2 * time.Minute
	// startBound bounds a start with scaled limits, which takes about a
	// second, or ten with the race detector. Without limits it would hang.
	startBound = time.Minute
	// exitBound bounds the exit of a process that nothing blocks. It
	// should take milliseconds, or seconds on a busy machine.
	exitBound = 12 * time.Second
	// noWait bounds operations that must not wait, where waiting would take a
	// minute or more.
	noWait = 30 * time.Second
)

func TestMain(m *testing.M) {
	rollcall.RunChild()
	if _, set := os.LookupEnv(trustDisk); !set { // in a host's process it is
		os.Setenv(trustDisk, "true") // the test run's may be that of a container
	}
	lab.Register(hostChild, runHost)
	lab.Register(editorChild, runEditor)
	lab.Register(onceChild, runOnce)
	lab.Register(resetterChild, runResetter)
	lab.Register(steppedChild, runStepped)
	lab.Register(savingChild, runSaving)
	lab.Register(restartingChild, runRestarting)
	lab.Register(lockerChild, runLocker)
	lab.Register(rewritingChild, runRewriting)
	if race.Enabled {
		os.Setenv("GORACE", "atexit_sleep_ms=0") // for the children that inherit the environment
	}
	// The tests mostly wait. A -parallel on the command line takes
	// precedence.
	flag.Set("test.parallel", "16")
	lab.Main(m)
}

// soaking reports whether to take as much time as it takes.
func soaking() bool { return os.Getenv("ROLLCALL_SOAK") == "1" }

// quickOr returns quick, a third of it with -short, or soak when soaking.
func quickOr(quick, soak int) int {
	switch {
	case soaking():
		return soak
	case testing.Short():
		return (quick + 2) / 3
	}
	return quick
}

// chosen reports whether to run test case i of many: all of them, or with
// -short every third.
func chosen(i int) bool { return !testing.Short() || i%3 == 0 }

// eventually waits until ok returns true.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("timed out after %v: %s", patience, what)
		}
	}
}

// must fails the test on an error of its own making.
func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
