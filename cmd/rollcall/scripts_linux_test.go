package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/rollcall-dev/rollcall"
	"github.com/rollcall-dev/rollcall/cmd/internal/test/lab"
)

// quickExit keeps the race detector, when the tests run under it, from waiting for a second at each exit of the program.
const quickExit = "GORACE=atexit_sleep_ms=0"

// programName is under what name the test binary is the program itself.
const programName = "rollcall"

func TestMain(m *testing.M) {
	rollcall.RunChild() // the program's child process has another name
	if filepath.Base(os.Args[0]) == programName {
		main()
	}
	lab.Main(m)
}

// TestScripts runs the program as a user would, one scenario a file. A script that begins with "# needs root" or "# needs
// fuse" is skipped, loudly, where that is missing. See script_commands_linux_test.go for the commands that scripts have.
func TestScripts(t *testing.T) {
	bin := binFolder(t)
	files, err := filepath.Glob(filepath.Join("testdata", "script", "*.txtar"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			t.Parallel()
			needs(t, file)
			s := &script{t: t, faults: make(map[string]*lab.Fault)}
			testscript.RunT(flat{t}, testscript.Params{
				Files: []string{file},
				Setup: func(env *testscript.Env) error {
					env.Setenv("PATH", bin+string(os.PathListSeparator)+env.Getenv("PATH"))
					env.Setenv("HOME", filepath.Join(env.WorkDir, "home"))
					env.Vars = append(env.Vars, quickExit)
					s.work = env.WorkDir
					return nil
				},
				Cmds:                s.commands(),
				RequireExplicitExec: true,
				RequireUniqueNames:  true,
				UpdateScripts:       *update,
			})
		})
	}
}

// binFolder is a folder in which the test binary has the program's name.
func binFolder(t *testing.T) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	bin := t.TempDir()
	if err := os.Symlink(self, filepath.Join(bin, programName)); err != nil {
		t.Fatal(err)
	}
	return bin
}

// needs skips the test when the machine does not have what the script asks for.
func needs(t *testing.T, file string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	first, _, _ := strings.Cut(string(text), "\n")
	words, _ := strings.CutPrefix(first, "# needs ")
	for word := range strings.FieldsSeq(words) {
		switch word {
		case "root":
			lab.Need(t, lab.Root)
		case "fuse":
			lab.Need(t, lab.Root, lab.FUSEDevice)
		}
	}
}

// flat runs a script in the test itself rather than in one more level of subtests, so that what a command of the script
// sets up with the lab belongs to the right test.
type flat struct{ *testing.T }

func (f flat) Run(_ string, run func(testscript.T)) { run(f) }
func (f flat) Parallel()                            {}
func (f flat) Verbose() bool                        { return testing.Verbose() }
