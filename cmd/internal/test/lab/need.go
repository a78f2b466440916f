//go:build linux

package lab

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"testing"
)

// A Requirement is something that not every machine has. It returns an
// error that says why it is missing.
type Requirement func() error

// Root requires root, for example to mount.
func Root() error {
	if os.Geteuid() != 0 {
		return errors.New("not root")
	}
	return nil
}

// FUSEDevice requires FUSE in the kernel.
func FUSEDevice() error {
	f, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return f.Close()
}

// LoopDevices requires block devices backed by files.
func LoopDevices() error {
	f, err := os.OpenFile(loopControl, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return f.Close()
}

// Tool requires a program on PATH.
func Tool(name string) Requirement {
	return func() error {
		_, err := exec.LookPath(name)
		return err
	}
}

// Need skips the test, loudly, if a requirement is missing. With -short
// it skips the test in any case, unless ROLLCALL_REQUIRE_ALL=1 is set.
func Need(t testing.TB, what ...Requirement) {
	t.Helper()
	if testing.Short() && !requireAll() {
		t.Skip("-short skips what not every machine can do")
	}
	for _, check := range what {
		if err := check(); err != nil {
			Skip(t, err.Error())
		}
	}
}

// Skip skips the test, and says so on standard error, which is visible
// without -v. With ROLLCALL_REQUIRE_ALL=1 in the environment, as in CI,
// it fails the test instead.
func Skip(t testing.TB, reason string) {
	t.Helper()
	if requireAll() {
		t.Fatalf("cannot run: %s", reason)
	}
	fmt.Fprintf(os.Stderr, "SKIPPED %s: %s\n", t.Name(), reason)
	t.Skip(reason)
}

func requireAll() bool { return os.Getenv("ROLLCALL_REQUIRE_ALL") == "1" }
