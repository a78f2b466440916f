// Package size holds the library to what it may cost a host: bytes of program, and modules in go.sum. It has tests only.
package size

import (
	"bytes"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const (
	module = "github.com/rollcall-dev/rollcall"

	// maxBytes is how much larger a stripped program that serves HTTP may become by the library: the client of HTTPS
	// that sends reports is a good third of it. maxBytesUnable is the same for a program built without the ability to
	// send. Both are more than the 1,000,000 bytes that were aimed at; see decision 0012.
	maxBytes       = 2_150_000
	maxBytesUnable = 1_320_000
	// unable is the build tag for a program without the ability to send.
	unable = "rollcall_nosend"
	// maxModules is how many modules besides this one may appear in the go.sum of a host.
	maxModules = 3
)

// TestHost builds the same small web service with the library and without. It is the build of a host that has this tree
// in the place of the module, with nothing but the modules that are in the module cache already.
func TestHost(t *testing.T) {
	if testing.Short() {
		t.Skip("builds two programs")
	}
	without, _ := build(t, "without", "")
	with, modules := build(t, "with", "")
	mute, _ := build(t, "with", unable)

	t.Logf("without the library %d bytes; with it %d: %d more; with it, built with %s, %d: %d more",
		without, with, with-without, unable, mute, mute-without)
	if grown := with - without; grown > maxBytes {
		t.Errorf("the library adds %d bytes to a stripped program, want at most %d", grown, maxBytes)
	}
	if grown := mute - without; grown > maxBytesUnable {
		t.Errorf("built with %s the library adds %d bytes, want at most %d", unable, grown, maxBytesUnable)
	}
	t.Logf("modules in go.sum: %s", strings.Join(modules, ", "))
	if len(modules) > maxModules {
		t.Errorf("go.sum of a host has %d modules, want at most %d: %s", len(modules), maxModules, strings.Join(modules, ", "))
	}
}

// build builds a program of testdata in a module of its own, and gives its size and the modules in its go.sum.
func build(t *testing.T, name, tags string) (size int64, modules []string) {
	t.Helper()
	tree, err := filepath.Abs(filepath.Join("..", "..", "..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile(filepath.Join("testdata", name, "main.go"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	mod := "module example.com/host\n\ngo 1.26\n"
	if bytes.Contains(source, []byte(module)) {
		mod += "\nrequire " + module + " v0.0.0\n\nreplace " + module + " => " + tree + "\n"
	}
	for file, data := range map[string][]byte{"main.go": source, "go.mod": []byte(mod)} {
		if err := os.WriteFile(filepath.Join(dir, file), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	run(t, dir, "mod", "tidy")
	run(t, dir, "build", "-trimpath", "-tags="+tags, "-ldflags=-s -w", "-o", "host", ".")
	info, err := os.Stat(filepath.Join(dir, "host"))
	if err != nil {
		t.Fatal(err)
	}
	return info.Size(), modulesIn(t, filepath.Join(dir, "go.sum"))
}

// run runs the go command as for a release on one system, so that the numbers are the same wherever the test runs.
func run(t *testing.T, dir string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64", "GOFLAGS=-mod=mod", "GOWORK=off",
		"GOPROXY=off", "GOSUMDB=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// modulesIn lists the modules in a go.sum, which may not exist.
func modulesIn(t *testing.T, name string) []string {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	modules := map[string]bool{}
	for line := range strings.Lines(string(data)) {
		path, _, _ := strings.Cut(line, " ")
		modules[path] = true
	}
	return slices.Sorted(maps.Keys(modules))
}
