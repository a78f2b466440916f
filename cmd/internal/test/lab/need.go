//go:build linux

package lab

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"testing"
)

// A Requirement is something that a test needs and that not every machine has. It returns why it is missing.
type Requirement func() error

// Root is the right to do everything, such as to mount.
func Root() error {
	if os.Geteuid() != 0 {
		return errors.New("not root")
	}
	return nil
}

// FUSEDevice is the kernel's side of FUSE.
func FUSEDevice() error {
	f, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return f.Close()
}

// LoopDevices are block devices that are files.
func LoopDevices() error {
	f, err := os.OpenFile(loopControl, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return f.Close()
}

// Tool is a program that is found on PATH.
func Tool(name string) Requirement {
	return func() error {
		_, err := exec.LookPath(name)
		return err
	}
}

// Need skips the test, loudly, when a requirement is not met.
func Need(t testing.TB, what ...Requirement) {
	t.Helper()
	for _, check := range what {
		if err := check(); err != nil {
			Skip(t, err.Error())
		}
	}
}

// Skip skips the test and says so on standard error, where it is seen without -v. With ROLLCALL_REQUIRE_ALL=1 in the
// environment, as in CI, it fails the test instead.
func Skip(t testing.TB, reason string) {
	t.Helper()
	if os.Getenv("ROLLCALL_REQUIRE_ALL") == "1" {
		t.Fatalf("cannot run: %s", reason)
	}
	fmt.Fprintf(os.Stderr, "SKIPPED %s: %s\n", t.Name(), reason)
	t.Skip(reason)
}
