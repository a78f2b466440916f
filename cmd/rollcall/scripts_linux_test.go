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

// quickExit keeps the race detector from delaying each exit of the
// program by a second.
const quickExit = "GORACE=atexit_sleep_ms=0"

// attemptTimeout keeps the first attempt from timing out on a slow machine where
// a script expects it to succeed. Scripts about that limit unset it, or pass the
// flag.
const attemptTimeout = "ROLLCALL_ATTEMPT_TIMEOUT=1m"

// programName is the name under which the test binary acts as the
// program.
const programName = "rollcall"

func TestMain(m *testing.M) {
	rollcall.RunChild() // which has another name in the child process
	if filepath.Base(os.Args[0]) == programName {
		main()
	}
	lab.Main(m)
}

// TestScripts runs the program as a user would, one scenario per file. A
// script that begins with "# needs" and root, fuse, or names of programs is
// skipped with -short, and loudly where the machine lacks them. script.commands
// lists the commands that scripts have.
func TestScripts(t *testing.T) {
	bin := binDir(t)
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
					env.Setenv("ROLLCALL_TRUST_DISK", "true") // that of the test run may be a container's
					env.Setenv("HOME", filepath.Join(env.WorkDir, "home"))
					env.Vars = append(env.Vars, quickExit, attemptTimeout)
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

// binDir returns a directory where the test binary has the program's
// name.
func binDir(t *testing.T) string {
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

// needs skips a test whose script needs what the machine does not have.
func needs(t *testing.T, file string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	first, _, _ := strings.Cut(string(text), "\n")
	words, ok := strings.CutPrefix(first, "# needs ")
	if !ok {
		return
	}
	for word := range strings.FieldsSeq(words) {
		switch word {
		case "root":
			lab.Need(t, lab.Root)
		case "unshare":
			lab.Need(t, lab.Root, lab.Tool(word))
			lab.KeepDisks(t)
		case "fuse":
			lab.Need(t, lab.Root, lab.FUSEDevice)
		default:
			lab.Need(t, lab.Tool(word))
		}
	}
}

// flat runs a script in the test itself rather than in a subtest, so that
// what its commands set up with the lab belongs to the right test.
type flat struct{ *testing.T }

func (f flat) Run(_ string, run func(testscript.T)) { run(f) }
func (f flat) Parallel()                            {}
func (f flat) Verbose() bool                        { return testing.Verbose() }
