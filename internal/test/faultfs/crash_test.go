package faultfs_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/rollcall-dev/rollcall/internal/test/faultfs"
)

// outcomes returns the possible contents of a file after a power cut,
// shortened.
func outcomes(d *faultfs.FS, name string) []string {
	all := make(map[string]bool)
	for state := range d.CrashStates() {
		data, err := state.ReadFile(name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			all["none"] = true
		case err != nil:
			all[err.Error()] = true
		default:
			all[runs(data)] = true
		}
	}
	return slices.Sorted(maps.Keys(all))
}

// runs shortens aaab to a3b1.
func runs(data []byte) string {
	var b strings.Builder
	for len(data) > 0 {
		rest := bytes.TrimLeft(data, string(data[:1]))
		if data[0] == 0 {
			b.WriteByte('0')
		}
		fmt.Fprintf(&b, "%s%d", bytes.Trim(data[:1], "\x00"), len(data)-len(rest))
		data = rest
	}
	return b.String()
}

func TestCrashOfSave(t *testing.T) {
	for _, tt := range []struct {
		name          string
		sync, syncDir bool
		want          []string
	}{
		{"neither synced", false, false, []string{"", "N25", "N50", "o10"}},
		{"directory synced", false, true, []string{"", "N25", "N50"}},
		{"file synced", true, false, []string{"N50", "o10"}},
		{"both synced", true, true, []string{"N50"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := faultfs.New()
			d.WriteFile("/etc/c", bytes.Repeat([]byte("o"), 10), 0o644)
			if err := save(d, "/etc/c", strings.Repeat("N", 50), tt.sync, tt.syncDir); err != nil {
				t.Fatal(err)
			}
			if got := outcomes(d, "/etc/c"); !slices.Equal(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// A power cut at any step of a proper save leaves the old file or the new
// one.
func TestCrashAtEveryStep(t *testing.T) {
	states := 0
	for n := 0; ; n++ {
		d := faultfs.New()
		d.WriteFile("/etc/c", []byte("old"), 0o644)
		p := d.As("p")
		p.StepLimit(n)
		err := save(p, "/etc/c", strings.Repeat("N", 9000), true, true)
		for state := range d.CrashStates() {
			states++
			data, readErr := state.ReadFile("/etc/c")
			if got := runs(data); got != "o1l1d1" && got != "N9000" || readErr != nil {
				t.Errorf("after step %d: got %s, %v (%s)", n, got, readErr, state.Origin())
			}
			if err == nil && len(data) != 9000 {
				t.Errorf("acknowledged and lost (%s)", state.Origin())
			}
		}
		if !p.Killed() {
			break
		}
	}
	if states < 20 {
		t.Errorf("got only %d states", states)
	}
}

func TestCrashInPlace(t *testing.T) {
	const page = 4096
	open := func(size int, flag int) (*faultfs.FS, func(string, int64)) {
		d := faultfs.New()
		d.WriteFile("/c", bytes.Repeat([]byte("o"), size), 0o644)
		f, err := d.OpenFile("/c", os.O_WRONLY|flag, 0)
		if err != nil {
			t.Fatal(err)
		}
		return d, func(s string, off int64) {
			if _, err := f.WriteAt([]byte(s), off); err != nil {
				t.Fatal(err)
			}
		}
	}
	check := func(d *faultfs.FS, want ...string) {
		t.Helper()
		slices.Sort(want)
		if got := outcomes(d, "/c"); !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}

	d, write := open(100, 0)
	write("NNNN", 10)
	check(d, "o100", "o10N4o86") // within one page, so never torn

	d, write = open(2*page, 0)
	write("NNNN", page-2)
	check(d, "o8192", "o4094N4o4094", "o4094N2o4096", "o4096N2o4094")

	d, write = open(100, os.O_TRUNC)
	write("NNNN", 0)
	check(d, "o100", "", "N2", "N4")

	d, write = open(100, 0)
	write("NNNN", 100)
	check(d, "o100", "o100N2", "o100N4")

	d, _ = open(100, os.O_TRUNC)
	check(d, "o100", "")

	d, write = open(10, 0)
	write(strings.Repeat("N", 3*page), 0)
	check(d, "o10", "N6149", "N8192", "N12288", // nothing, half of the appended part, all but the last page, all
		fmt.Sprintf("N%d0%d", page, 2*page),       // the first page
		fmt.Sprintf("N%d0%d", 2*page, page),       // two
		fmt.Sprintf("o100%dN%d", page-10, 2*page), // all but the first
		fmt.Sprintf("o100%dN%d", 2*page-10, page)) // only the last
}

// After a failed sync only a new file helps, even if the next sync
// succeeds.
func TestFailedSync(t *testing.T) {
	d := faultfs.New()
	d.WriteFile("/c", []byte("ooo"), 0o644)
	d.Inject(faultfs.Rule{Op: faultfs.OpSync, Err: syscall.EIO, Times: 1})
	f, err := d.OpenFile("/c", os.O_RDWR|os.O_TRUNC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write([]byte("NNNN")); err != nil {
		t.Fatal(err)
	}
	if err := f.Sync(); !errors.Is(err, syscall.EIO) {
		t.Errorf("got %v, want EIO", err)
	}
	if err := f.Sync(); err != nil {
		t.Error(err)
	}
	expectContent(t, d, "/c", "NNNN")
	if got, want := outcomes(d, "/c"), []string{"04"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if _, err := f.WriteAt([]byte("NNNN"), 0); err != nil {
		t.Fatal(err)
	}
	if err := f.Sync(); err != nil {
		t.Error(err)
	}
	if got, want := outcomes(d, "/c"), []string{"N4"}; !slices.Equal(got, want) {
		t.Errorf("written again: got %q, want %q", got, want)
	}
}

func TestCrashOfNames(t *testing.T) {
	d := faultfs.New()
	d.WriteFile("/d/a", []byte("A"), 0o644)
	d.WriteFile("/d/b", []byte("B"), 0o644)
	d.MkdirAll("/e", 0o755)
	states := func() []string {
		var all []string
		for state := range d.CrashStates() {
			all = append(all, strings.Join(state.Files(), " "))
		}
		slices.Sort(all)
		return all
	}
	check := func(what string, want ...string) {
		t.Helper()
		slices.Sort(want)
		if got := states(); !slices.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", what, got, want)
		}
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(d.Link("/d/a", "/d/c"))
	must(d.Remove("/d/b"))
	check("a link and a removal", "/d/a /d/b", "/d/a /d/b /d/c", "/d/a", "/d/a /d/c")
	must(d.SyncDir("/"))
	must(d.SyncDir("/e"))
	check("another directory synced", "/d/a /d/b", "/d/a /d/b /d/c", "/d/a", "/d/a /d/c")
	must(d.SyncDir("/d"))
	check("synced", "/d/a /d/c")

	must(d.Rename("/d/a", "/e/a"))
	check("a move", "/d/a /d/c", "/d/c /e/a")
	must(d.SyncDir("/d"))
	check("a move, the old directory synced", "/d/c", "/d/c /e/a")
	must(d.SyncDir("/e"))
	check("a move, both synced", "/d/c /e/a")

	must(d.Mkdir("/new", 0o755))
	must(save(d, "/new/f", "F", true, false))
	must(d.SyncDir("/new"))
	check("the parent's directory not synced", "/d/c /e/a", "/d/c /e/a /new/f")
	must(d.SyncDir("/"))
	check("synced", "/d/c /e/a /new/f")
}

func TestCrashOfExchange(t *testing.T) {
	d := faultfs.New()
	d.WriteFile("/a", []byte("A"), 0o644)
	d.WriteFile("/b", []byte("B"), 0o644)
	if err := d.Exchange("/a", "/b"); err != nil {
		t.Fatal(err)
	}
	var got []string
	for state := range d.CrashStates() {
		a, _ := state.ReadFile("/a")
		b, _ := state.ReadFile("/b")
		got = append(got, string(a)+string(b))
	}
	if want := []string{"AB", "BA"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestCrashSample(t *testing.T) {
	d := faultfs.New()
	for i := range 30 {
		if err := d.Mkdir(fmt.Sprint("/", i), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	count := func(limit int, seed uint64) (origins []string) {
		for state := range d.SampleCrashStates(limit, seed) {
			origins = append(origins, state.Origin())
		}
		return origins
	}
	one := count(200, 1)
	if len(one) < 200 || len(one) > 400 {
		t.Errorf("got %d states", len(one))
	}
	if !slices.Equal(one, count(200, 1)) {
		t.Error("got two samples from one seed")
	}
	if slices.Equal(one, count(200, 2)) {
		t.Error("got one sample from two seeds")
	}
	for range d.CrashStates() {
		break // may be left early
	}
}

// The disk after a crash works as any disk, and is independent of the one
// before.
func TestReopen(t *testing.T) {
	d := faultfs.New()
	d.SetUser(1000, 1000)
	d.MkdirAll("/d", 0o777)
	d.WriteFile("/d/ro", []byte("R"), 0o444)
	d.MarkMountPoint("/d/ro")
	f, err := d.OpenFile("/d/f", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write([]byte("F")); err != nil {
		t.Fatal(err)
	}
	if _, err := d.LockDir("/d"); err != nil {
		t.Fatal(err)
	}
	lost, kept := d.Crash(faultfs.LoseUnsynced), d.Crash(faultfs.KeepUnsynced)
	if got, want := lost.Files(), []string{"/d/ro"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	expectContent(t, kept, "/d/f", "F")
	if !strings.HasPrefix(lost.Origin(), "lost: open f") || !strings.HasPrefix(kept.Origin(), "kept: open f") {
		t.Errorf("got %q and %q", lost.Origin(), kept.Origin())
	}
	if err := kept.CheckWritable("/d/ro"); !errors.Is(err, syscall.EACCES) {
		t.Errorf("got %v, want EACCES", err)
	}
	if is, err := kept.IsMountPoint("/d/ro"); !is || err != nil {
		t.Errorf("got %v, %v", is, err)
	}
	if _, err := kept.LockDir("/d"); err != nil {
		t.Errorf("locked after a crash: %v", err)
	}
	if err := kept.Remove("/d/f"); err != nil {
		t.Error(err)
	}
	expectContent(t, d, "/d/f", "F")
	if got := len(slices.Collect(kept.CrashStates())); got != 2 {
		t.Errorf("got %d states after the next crash, want 2", got)
	}
}
