package terminal_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/internal/terminal"
	"github.com/rollcall-dev/rollcall/internal/test/pty"
)

// TestMain plays the two processes of TestBackground: a session leader in the
// foreground, and its child in the background.
func TestMain(m *testing.M) {
	role := os.Getenv("ROLLCALL_TEST_TERMINAL")
	if role == "" {
		os.Exit(m.Run())
	}
	fmt.Print(role, " ", terminal.Is(os.Stdin), " ")
	if role == "leader" {
		child := exec.Command(os.Args[0])
		child.Env = append(os.Environ(), "ROLLCALL_TEST_TERMINAL=child")
		child.Stdin, child.Stdout = os.Stdin, os.Stdout
		child.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		if err := child.Run(); err != nil {
			fmt.Print(err)
		}
	}
}

// TestBackground: a background job has no terminal to ask on.
func TestBackground(t *testing.T) {
	_, program := pty.Open(t)
	leader := exec.CommandContext(t.Context(), os.Args[0])
	leader.Env = append(os.Environ(), "ROLLCALL_TEST_TERMINAL=leader")
	leader.Stdin = program
	leader.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if got, err := leader.Output(); string(got) != "leader true child false " || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestReadLine(t *testing.T) {
	person, program := pty.Open(t)
	if !terminal.Is(program) {
		t.Fatal("a terminal is not recognized")
	}
	if _, err := person.WriteString("yes\nmore\n"); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"yes", "more"} { // the second line is left for the next reader
		if got, err := terminal.ReadLine(t.Context(), program); got != want || err != nil {
			t.Errorf("got %q, %v, want %q", got, err, want)
		}
	}
	if _, err := person.WriteString("\x04"); err != nil { // end of input
		t.Fatal(err)
	}
	if got, err := terminal.ReadLine(t.Context(), program); err == nil {
		t.Errorf("at the end: got %q, want an error", got)
	}
}

func TestReadLineEnds(t *testing.T) {
	person, program := pty.Open(t)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := terminal.ReadLine(ctx, program); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want a timeout", err)
	}
	// Nothing took what is typed afterwards.
	if _, err := person.WriteString("later\n"); err != nil {
		t.Fatal(err)
	}
	if got, err := terminal.ReadLine(t.Context(), program); got != "later" || err != nil {
		t.Errorf("got %q, %v, want the later line", got, err)
	}
}

func TestNoTerminal(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	for name, file := range map[string]*os.File{"pipe": r, "null device": null, "nothing": nil} {
		if terminal.Is(file) {
			t.Errorf("%s: taken for a terminal", name)
		}
		if _, err := terminal.ReadLine(t.Context(), file); !errors.Is(err, terminal.ErrNoTerminal) {
			t.Errorf("%s: got %v, want %v", name, err, terminal.ErrNoTerminal)
		}
	}
}
