package wine

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rollcall-dev/rollcall/cmd/internal/test/lab"
)

// notRun are the directories whose tests do not run on Windows.
var notRun = map[string]string{
	"examples/host":     "its test ends the host by a signal",
	"internal/terminal": "its test opens a pseudo-terminal",
	"cmd":               "the other module; its scenarios for Windows are in this package",
}

// TestWindows builds everything for Windows and runs it under Wine.
func TestWindows(t *testing.T) {
	if testing.Short() {
		t.Skip("builds everything for another system")
	}
	lab.Need(t, lab.Tool(loader), lab.Tool(compiler))
	root, err := filepath.Abs("../../../..")
	if err != nil {
		t.Fatal(err)
	}
	m := newMachine(t)
	packages := testedPackages(t, root)
	m.build(t, root, append([]string{"test", "-c", m.overlay(t), "-o", m.built + "/"}, packages...)...)
	m.build(t, root, "build", "-o", m.built+"/", "./cmd/rollcall")
	m.env = append(m.env, "ROLLCALL_EXE="+windowsPath(filepath.Join(m.built, "rollcall.exe")))

	for _, p := range packages {
		t.Run(strings.TrimPrefix(p, "./"), func(t *testing.T) {
			t.Parallel()
			name := path.Base(p)
			if p == "./." {
				name = "rollcall"
			}
			cmd := m.command(t, filepath.Join(root, p), name+".test.exe", "-test.short", "-test.timeout="+bound.String())
			out, err := output(t, cmd)
			if err != nil {
				t.Errorf("%v\n%s", err, out)
			}
			for line := range bytes.Lines(out) {
				if bytes.HasPrefix(line, []byte("SKIPPED ")) {
					t.Logf("%s", line)
				}
			}
		})
	}
	t.Run("slow disk", func(t *testing.T) { t.Parallel(); slowDisk(t, m) })
	t.Run("hung disk", func(t *testing.T) { t.Parallel(); hungDisk(t, m) })
}

// output runs a command and returns what it prints, through a file: what Wine
// itself starts keeps a pipe open.
func output(t *testing.T, cmd *exec.Cmd) ([]byte, error) {
	t.Helper()
	file, err := os.Create(filepath.Join(t.TempDir(), "output"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	cmd.Stdout, cmd.Stderr = file, file
	runErr := cmd.Run()
	out, err := os.ReadFile(file.Name())
	return out, errors.Join(runErr, err)
}

// testedPackages returns the packages of the library that have tests, and those
// of the program that are about Windows, as arguments of the go command.
func testedPackages(t *testing.T, root string) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(root, func(name string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		p, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		p = filepath.ToSlash(p)
		base := d.Name()
		if d.IsDir() && (notRun[p] != "" || p != "." && strings.HasPrefix(base, ".") || base == "testdata" || base == "node_modules") {
			return filepath.SkipDir
		}
		if _, err := os.Stat(filepath.Join(name, "go.mod")); d.IsDir() && p != "." && err == nil {
			return filepath.SkipDir // another module
		}
		if dir := "./" + path.Dir(p); strings.HasSuffix(base, "_test.go") && !slices.Contains(found, dir) {
			found = append(found, dir)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(found) < 15 {
		t.Fatalf("found only %q", found)
	}
	return append(found, "./cmd/internal/test/wine", "./cmd/internal/winservice")
}
