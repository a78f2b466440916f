package main

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/rollcall-dev/rollcall/internal/test/pty"
	"golang.org/x/sys/unix"
)

// Help, tables, and colors follow the terminal that they are written to.
func TestOnTerminal(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		columns uint16
		env     string
		args    []string
		match   string
	}{
		{"narrow help", 50, "", []string{"id", "--help"}, `(?m)^Print the stored installation ID: that of the\n`},
		{"wide help", 160, "", []string{"id", "--help"}, `(?m)^ +--config file .{60,}\n`},
		{"narrow table", 60, "", []string{"status", "--agent", "http://127.0.0.1:1"}, `(?m)^place +config\n {10,}\S`},
		{"colors", 80, "", []string{"doctor"}, `\x1b\[32mok\x1b\[0m +config`},
		{"NO_COLOR", 80, "NO_COLOR=1", []string{"doctor"}, `(?m)^ok +config`},
		{"a dumb terminal", 80, "TERM=dumb", []string{"doctor"}, `(?m)^ok +config`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := onTerminal(t, tt.columns, tt.env, tt.args...)
			if !regexp.MustCompile(tt.match).MatchString(got) {
				t.Errorf("got\n%q\nwant a match of %s", got, tt.match)
			}
		})
	}
}

// onTerminal runs the program in an empty directory with a terminal of so many
// columns, and returns what it shows.
func onTerminal(t *testing.T, columns uint16, env string, args ...string) string {
	t.Helper()
	person, program := pty.Open(t)
	if err := unix.IoctlSetWinsize(int(program.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Col: columns, Row: 40}); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(filepath.Join(binDir(t), programName), args...)
	cmd.Dir = t.TempDir()
	cmd.Env = append(os.Environ(), quickExit, "NO_COLOR=", "TERM=xterm", env)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = program, program, program
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	program.Close()
	shown, err := io.ReadAll(person)
	if err != nil && !errors.Is(err, syscall.EIO) { // what a terminal says once nobody writes to it
		t.Fatal(err)
	}
	cmd.Wait()
	return strings.ReplaceAll(string(shown), "\r\n", "\n")
}
