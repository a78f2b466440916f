package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/rollcall-dev/rollcall/cmd/internal/test/lab"
)

// maxExampleLines is how long an example may be.
const maxExampleLines = 40

// TestExamples runs the hosts in other languages against an agent and a
// collector.
func TestExamples(t *testing.T) {
	bin := binDir(t)
	examples, err := filepath.Abs("../../examples")
	if err != nil {
		t.Fatal(err)
	}
	run := map[string][]string{ // the programs that it takes; the first one runs it
		"python/host.py":         {"python3"},
		"python/host_asyncio.py": {"python3"},
		"node/host.mjs":          {"node"},
		"java/Host.java":         {"java", "javac"},
		"shell/host.sh":          {"sh", "jq"},
	}
	files, err := filepath.Glob(filepath.Join(examples, "*", "[hH]ost*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		name, _ := filepath.Rel(examples, file)
		if _, ok := run[filepath.ToSlash(name)]; !ok && filepath.Ext(name) != ".go" {
			t.Errorf("%s is not run", name)
		}
	}
	for name, needed := range run {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			lab.Need(t, lab.Tool("curl"))
			for _, tool := range needed {
				lab.Need(t, lab.Tool(tool))
			}
			file := filepath.Join(examples, filepath.FromSlash(name))
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if lines := bytes.Count(text, []byte("\n")); lines > maxExampleLines {
				t.Errorf("it has %d lines, more than %d", lines, maxExampleLines)
			}
			s := &script{t: t}
			testscript.RunT(flat{t}, testscript.Params{
				Files: []string{filepath.Join("testdata", "example", "host.txtar")},
				Setup: func(env *testscript.Env) error {
					env.Setenv("PATH", bin+string(os.PathListSeparator)+env.Getenv("PATH"))
					env.Setenv("ROLLCALL_TRUST_DISK", "true") // that of the test run may be a container's
					env.Setenv("HOME", filepath.Join(env.WorkDir, "home"))
					env.Setenv("EXAMPLES", examples)
					env.Setenv("EXAMPLE", strings.Join([]string{"exec", needed[0], file}, " "))
					env.Vars = append(env.Vars, quickExit, attemptTimeout)
					s.work = env.WorkDir
					return nil
				},
				Cmds:                s.commands(),
				RequireExplicitExec: true,
			})
		})
	}
}
