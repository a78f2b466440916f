package wine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/test/lab"
)

const (
	loader   = "/usr/lib/wine/wine64"
	server   = "/usr/lib/wine/wineserver"
	compiler = "x86_64-w64-mingw32-gcc"

	// bound is far more than any of these programs needs.
	bound = 10 * time.Minute
)

func TestMain(m *testing.M) { lab.Main(m) }

// A machine is a Windows of Wine's with a disk of its own, and the directory
// of what was built for it.
type machine struct {
	prefix, built string
	env           []string
}

// newMachine returns a machine that ends with the test.
func newMachine(t *testing.T) *machine {
	t.Helper()
	dir := t.TempDir()
	m := &machine{prefix: filepath.Join(dir, "prefix"), built: filepath.Join(dir, "built")}
	m.env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "LC_ALL=C.UTF-8", "WINEPREFIX=" + m.prefix, "WINEDEBUG=-all",
		"WINEDLLOVERRIDES=mscoree,mshtml=;winemenubuilder.exe=d", // no .NET, no browser, no desktop entries
	}
	t.Cleanup(m.end) // before the directory is removed
	m.host(t, loader, "wineboot", "-i")
	m.share(t)
	m.host(t, compiler, "-shared", "-o", filepath.Join(m.prefix, "drive_c", "windows", "system32", "bcryptprimitives.dll"),
		"testdata/bcryptprimitives.c", "-ladvapi32")
	return m
}

// share makes the disk what \\localhost\C$ leads to, as on every Windows.
func (m *machine) share(t *testing.T) {
	t.Helper()
	host := filepath.Join(m.prefix, "dosdevices", "unc", "localhost")
	if err := errors.Join(os.MkdirAll(host, 0o755), os.Symlink(filepath.Join(m.prefix, "drive_c"), filepath.Join(host, "C$"))); err != nil {
		t.Fatal(err)
	}
}

// host runs a program of this system, which must succeed.
func (m *machine) host(t *testing.T, name string, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), bound)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = m.env
	if out, err := output(t, cmd); err != nil {
		t.Fatalf("%v: %v\n%s", cmd, err, out)
	}
}

// end ends all processes and waits for them. It is no error if there are none.
func (m *machine) end() {
	for _, arg := range []string{"-k", "-w"} {
		ctx, cancel := context.WithTimeout(context.Background(), bound)
		cmd := exec.CommandContext(ctx, server, arg)
		cmd.Env = m.env
		cmd.Run()
		cancel()
	}
}

// build runs the go command for Windows.
func (m *machine) build(t *testing.T, dir string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOOS=windows", "GOARCH=amd64", "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", cmd, err, out)
	}
}

// overlay returns the flag that makes the go command build a program for
// Wine. os.RemoveAll, which cleans up after each test, asks for a way to delete
// files that Windows has since 2018 and Wine has not, and does not understand
// Wine's answer. Its own tests have a variable that makes it use the older way.
func (m *machine) overlay(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	const was, is = "var TestDeleteatFallback bool", "var TestDeleteatFallback = true"
	source := filepath.Join(strings.TrimSpace(string(out)), "src", "internal", "syscall", "windows", "at_windows.go")
	text, err := os.ReadFile(source)
	if err != nil || !bytes.Contains(text, []byte(was)) {
		t.Fatalf("%s does not have %q: %v", source, was, err)
	}
	dir := t.TempDir()
	changed, list := filepath.Join(dir, "at_windows.go"), filepath.Join(dir, "overlay.json")
	err = errors.Join(
		os.WriteFile(changed, bytes.Replace(text, []byte(was), []byte(is), 1), 0o644),
		os.WriteFile(list, fmt.Appendf(nil, `{"Replace": {%q: %q}}`, source, changed), 0o644))
	if err != nil {
		t.Fatal(err)
	}
	return "-overlay=" + list
}

// command returns the command that runs something that was built, in a
// directory of the host.
func (m *machine) command(t *testing.T, dir, name string, args ...string) *exec.Cmd {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), bound)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, loader, append([]string{filepath.Join(m.built, name)}, args...)...)
	cmd.Dir, cmd.Env = dir, m.env
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

// windowsPath returns the name that a file of the host has there.
func windowsPath(name string) string { return "Z:" + strings.ReplaceAll(name, "/", `\`) }
