package anchor_test

import (
	"errors"
	"io/fs"
	"strings"
	"syscall"
	"testing"

	"github.com/rollcall-dev/rollcall/internal/anchor"
	"github.com/rollcall-dev/rollcall/internal/replace"
	"github.com/rollcall-dev/rollcall/internal/test/faultfs"
)

// appending returns an edit that appends a word.
func appending(word string) func(string, bool) (string, error) {
	return func(old string, exists bool) (string, error) {
		if exists != (old != "") {
			return "", errors.New("an empty anchor")
		}
		return strings.TrimSpace(old + " " + word), nil
	}
}

func TestUpdate(t *testing.T) {
	bubble(t, func(t *testing.T, disk *faultfs.FS) {
		a, ctx := openAnchor(t, disk), t.Context()
		for _, word := range []string{"one", "two", "three"} {
			if err := a.Update(ctx, appending(word)); err != nil {
				t.Fatal(err)
			}
		}
		requireContent(t, disk, anchorPath, "one two three\n")
		if got, err := disk.Crash(faultfs.LoseUnsynced).ReadFile(anchorPath); string(got) != "one two three\n" || err != nil {
			t.Errorf("got %q, %v after a power cut", got, err)
		}
		disk.ResetLog()
		if err := a.Update(ctx, func(old string, _ bool) (string, error) { return old, nil }); err != nil {
			t.Error(err)
		}
		for _, e := range disk.Log() {
			if e.Mutates() {
				t.Errorf("an edit that changes nothing: %v", e)
			}
		}
		no := errors.New("no")
		if err := a.Update(ctx, func(string, bool) (string, error) { return "x", no }); !errors.Is(err, no) {
			t.Errorf("got %v, want the error of the edit", err)
		}
		if err := a.Update(ctx, func(string, bool) (string, error) { return strings.Repeat("x", 1024), nil }); err == nil {
			t.Error("wrote more than can be read")
		}
		requireContent(t, disk, anchorPath, "one two three\n")
		for range 2 { // none is there the second time
			if err := a.Update(ctx, func(string, bool) (string, error) { return "", nil }); err != nil {
				t.Error(err)
			}
		}
		if _, err := disk.Crash(faultfs.LoseUnsynced).ReadFile(anchorPath); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("got %v after a removal and a power cut", err)
		}
		requireContent(t, disk, configPath, config)
		requireNoTemps(t, disk)
	})
}

// TestUpdateMissingDirectory: missing directories are created.
func TestUpdateMissingDirectory(t *testing.T) {
	bubble(t, func(t *testing.T, disk *faultfs.FS) {
		a, err := anchor.Open(disk, faultfs.Abs("/var/lib/app/words"), anchor.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if err := a.Update(t.Context(), appending("one")); err != nil {
			t.Fatal(err)
		}
		if got, err := disk.Crash(faultfs.LoseUnsynced).ReadFile("/var/lib/app/words"); string(got) != "one\n" || err != nil {
			t.Errorf("got %q, %v after a power cut", got, err)
		}
	})
}

// TestUpdateUnreadable: an anchor that cannot be read is not written.
func TestUpdateUnreadable(t *testing.T) {
	for name, tt := range map[string]struct {
		prepare func(*faultfs.FS)
		want    error
	}{
		"too large": {func(d *faultfs.FS) { d.WriteFile(anchorPath, []byte(strings.Repeat("x", 1025)), 0o644) }, replace.ErrTooLarge},
		"directory": {func(d *faultfs.FS) { d.MkdirAll(anchorPath, 0o755) }, replace.ErrNotRegular},
		"link":      {func(d *faultfs.FS) { d.Symlink("/mnt/gone", anchorPath) }, anchor.ErrDangling},
		"error": {func(d *faultfs.FS) {
			d.WriteFile(anchorPath, []byte("one\n"), 0o644)
			d.Inject(faultfs.Rule{Op: faultfs.OpRead, Err: syscall.EIO})
		}, syscall.EIO},
	} {
		bubble(t, func(t *testing.T, disk *faultfs.FS) {
			tt.prepare(disk)
			disk.ResetLog()
			a := openAnchor(t, disk)
			if err := a.Update(t.Context(), appending("two")); !errors.Is(err, tt.want) {
				t.Errorf("%s: got %v, want %v", name, err, tt.want)
			}
			if _, err := a.Peek(t.Context()); name != "too large" && !errors.Is(err, tt.want) {
				t.Errorf("%s: Peek: got %v, want %v", name, err, tt.want)
			}
			for _, e := range disk.Log() {
				if e.Mutates() {
					t.Errorf("%s: changed something: %v", name, e)
				}
			}
		})
	}
}

// TestUpdateRace: another process changes, removes or creates the anchor just
// before the commit, and nothing of it is lost.
func TestUpdateRace(t *testing.T) {
	for name, tt := range map[string]struct {
		before string // "" for none
		other  func(d *faultfs.FS)
		want   string
	}{
		"changed": {"one\n", func(d *faultfs.FS) { d.WriteFile(anchorPath, []byte("other\n"), 0o644) }, "other two\n"},
		"removed": {"one\n", func(d *faultfs.FS) { d.Delete(anchorPath) }, "two\n"},
		"created": {"", func(d *faultfs.FS) { d.WriteFile(anchorPath, []byte("other\n"), 0o644) }, "other two\n"},
	} {
		bubble(t, func(t *testing.T, disk *faultfs.FS) {
			if tt.before != "" {
				disk.WriteFile(anchorPath, []byte(tt.before), 0o644)
			}
			p := disk.As("p")
			disk.Inject(faultfs.Rule{Op: faultfs.OpWrite, Proc: "p", Times: 1, Do: func() { tt.other(disk) }})
			if err := openAnchor(t, p).Update(t.Context(), appending("two")); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			requireContent(t, disk, anchorPath, tt.want)
		})
	}
}

// TestMaxSize: a larger anchor can be read and written if that is wanted.
func TestMaxSize(t *testing.T) {
	bubble(t, func(t *testing.T, disk *faultfs.FS) {
		a, err := anchor.Open(disk, faultfs.Abs(anchorPath), anchor.Options{MaxSize: 2000})
		if err != nil {
			t.Fatal(err)
		}
		for _, tt := range []struct {
			size int
			ok   bool
		}{{1999, true}, {2000, false}} { // and a line feed
			text := strings.Repeat("x", tt.size)
			if err := a.Update(t.Context(), func(string, bool) (string, error) { return text, nil }); (err == nil) != tt.ok {
				t.Errorf("%d bytes: got %v", tt.size, err)
			}
		}
		if text, err := a.Read(t.Context()); len(text) != 1999 || err != nil {
			t.Errorf("got %d bytes, %v", len(text), err)
		}
	})
}
