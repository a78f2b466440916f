// Package configdisk is a fault file system with a host's config on it, and
// checks of what it holds. The tests of all packages that save files use it.
package configdisk

import (
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollcall-dev/rollcall/internal/test/faultfs"
)

const (
	Path       = "/etc/app/config.json"
	AnchorPath = "/etc/app/.config.json.installation-id"

	ID      = "5f1cf1f6-3b0c-4a3c-9c1f-2a7d0e6b4f10"
	OtherID = "0b8f7c52-9d1e-4f6a-8a35-c1de2f90ab47"

	// Config is a host's config as the host last saved it.
	Config = "{\n  \"listen\": \":80\",\n  \"saves\": 1\n}\n"
	// Saved is what the host saves next.
	Saved = "{\n  \"theme\": \"dark\",\n  \"listen\": \":80\",\n  \"saves\": 2\n}\n"
)

// WithID returns a config with the ID in it.
func WithID(config, id string) string {
	return strings.TrimSuffix(config, "\n}\n") + ",\n  \"telemetry\": {\n    \"installation_id\": \"" + id + "\"\n  }\n}\n"
}

// IsID reports whether text is one of the IDs of the tests.
func IsID(text string) bool { return text == ID || text == OtherID || strings.HasPrefix(text, "id-") }

// Run runs a test on a disk with Config at Path, in virtual time. All that the
// test began has to be over at its end.
func Run(t *testing.T, run func(t *testing.T, disk *faultfs.FS)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		disk := faultfs.New()
		disk.WriteFile(Path, []byte(Config), 0o644)
		defer func() {
			disk.ReleaseAll()
			time.Sleep(time.Minute)
			RequireIdle(t, disk)
		}()
		run(t, disk)
	})
}

// RequireIdle checks that no operation is in flight and no file is open.
func RequireIdle(t *testing.T, disk *faultfs.FS) {
	t.Helper()
	if n := disk.InFlight(); n != 0 {
		t.Errorf("%d operations are still in flight", n)
	}
	if files := disk.OpenFiles(); len(files) != 0 {
		t.Errorf("files left open: %q", files)
	}
}

// WaitIdle waits until all that was abandoned is over.
func WaitIdle(t *testing.T, disk *faultfs.FS) {
	t.Helper()
	time.Sleep(time.Second)
	RequireIdle(t, disk)
}

// WaitForHang waits until an operation hangs.
func WaitForHang(t *testing.T, disk *faultfs.FS) {
	t.Helper()
	synctest.Wait()
	if n := disk.InFlight(); n != 1 {
		t.Errorf("%d operations are in flight, want 1", n)
	}
}

// Content returns the content of a file, which must exist.
func Content(t *testing.T, disk *faultfs.FS, path string) string {
	t.Helper()
	data, err := disk.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// RequireContent checks the content of a file.
func RequireContent(t *testing.T, disk *faultfs.FS, path, want string) {
	t.Helper()
	if got := Content(t, disk, path); got != want {
		t.Errorf("%s: got %s, want %s (%s)", path, brief(got), brief(want), disk.Origin())
	}
}

func brief(text string) string {
	if len(text) > 1000 {
		return fmt.Sprintf("%q...%q (%d bytes)", text[:100], text[len(text)-100:], len(text))
	}
	return fmt.Sprintf("%q", text)
}

// RequireMode checks the mode of a file.
func RequireMode(t *testing.T, disk *faultfs.FS, name string, want fs.FileMode) {
	t.Helper()
	if got, err := disk.Attributes(name); err != nil || got.Mode != want {
		t.Errorf("%s: got mode %v, %v, want %v", name, got.Mode, err, want)
	}
}

// Temps returns the temporary files on a disk.
func Temps(disk *faultfs.FS) []string {
	return slices.DeleteFunc(disk.Files(), func(name string) bool { return !strings.Contains(name, ".rollcall-") })
}

// RequireNoTemps checks that there are no temporary files.
func RequireNoTemps(t *testing.T, disk *faultfs.FS) {
	t.Helper()
	if names := Temps(disk); len(names) != 0 {
		t.Errorf("temporary files left: %q", names)
	}
}

// RequireReadOnly checks that nothing was written.
func RequireReadOnly(t *testing.T, disk *faultfs.FS) {
	t.Helper()
	for _, e := range disk.Log() {
		if e.Mutates() {
			t.Errorf("wrote: %v", e)
		}
	}
}

// As returns a process of a user.
func As(disk *faultfs.FS, uid int) *faultfs.FS {
	p := disk.As("p")
	p.SetUser(uid, uid)
	return p
}

// OfSize returns a config of that many bytes, into which an ID is inserted so
// many bytes before the end.
func OfSize(size, fromEnd int) string {
	const head, tail = "{\"a\": \"", "\"}"
	text := head + strings.Repeat("a", size-len(head)-len(tail)-fromEnd) + tail
	return text + strings.Repeat("\n", size-len(text))
}

// A Step is one operation of a healthy run: the Index-th of its kind.
type Step struct {
	Op    faultfs.Op
	Index int
}

// String returns the operation and its index.
func (s Step) String() string { return fmt.Sprintf("%s %d", s.Op, s.Index) }

// Rule returns the rule that applies to this step of the process p.
func (s Step) Rule(r faultfs.Rule) faultfs.Rule {
	r.Proc, r.Op, r.Skip, r.Times = "p", s.Op, s.Index, 1
	return r
}

// Steps returns the operations that the process p has carried out.
func Steps(disk *faultfs.FS) []Step {
	var steps []Step
	seen := make(map[faultfs.Op]int)
	for _, e := range disk.Log() {
		if e.Proc == "p" {
			steps = append(steps, Step{e.Op, seen[e.Op]})
			seen[e.Op]++
		}
	}
	return steps
}
