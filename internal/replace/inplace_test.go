package replace_test

import (
	"errors"
	"strings"
	"syscall"
	"testing"

	"github.com/rollcall-dev/rollcall/internal/configfile"
	"github.com/rollcall-dev/rollcall/internal/fsys"
	"github.com/rollcall-dev/rollcall/internal/replace"
	"github.com/rollcall-dev/rollcall/internal/test/faultfs"
)

const page = 4096

// TestInPlace is about which changes fit into one page of the file, the part
// that one write changes as a whole: the change itself, and everything behind
// it that it moves.
func TestInPlace(t *testing.T) {
	grow := len(`, "telemetry": {"installation_id": "` + id + `"}`)
	value := func(value string, before int) string {
		const head, middle = `{"a": "`, `", "telemetry": {"installation_id": `
		return head + strings.Repeat("a", before-len(head)-len(middle)) + middle + value + `}}`
	}
	for _, tt := range []struct {
		name, before string
		fits         bool
	}{
		{"small", config, true},
		{"ends just inside the first page", ofSize(page-grow, 0), true},
		{"grows one byte into the second page", ofSize(page-grow+1, 0), false},
		{"insertion begins with the second page", ofSize(page+1, 0), true},
		{"insertion begins one byte before the second page", ofSize(page, 0), false},
		{"in the second page", ofSize(page+1000, 0), true},
		{"much white space behind it", ofSize(2*page, page+100), false},
		{"value of the same length, in one page", value(`"`+strings.Repeat("x", len(id))+`"`, 100), true},
		{"value of the same length, over a border", value(`"`+strings.Repeat("x", len(id))+`"`, page-10), false},
		{"value of the same length, behind a border", value(`"`+strings.Repeat("x", len(id))+`"`, page-1), true},
		{"value gets shorter", value(`"`+strings.Repeat("x", len(id)+1)+`"`, 100), false},
		{"value gets longer", value(`""`, 100), true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			// The result if the file can be replaced.
			var want string
			bubble(t, func(t *testing.T, disk *faultfs.FS) {
				disk.WriteFile(configPath, []byte(tt.before), 0o644)
				mustSet(t, open(t, disk), id)
				want = content(t, disk, configPath)
			})
			bubble(t, func(t *testing.T, disk *faultfs.FS) {
				disk.WriteFile(configPath, []byte(tt.before), 0o644)
				disk.MarkMountPoint(configPath)
				_, err := set(t.Context(), open(t, disk), id)
				if tt.fits {
					if err != nil {
						t.Error(err)
					}
					requireContent(t, disk, configPath, want)
					return
				}
				if !errors.Is(err, replace.ErrNotInPlace) || !configfile.Permanent(err) {
					t.Errorf("got %v, want ErrNotInPlace, permanent", err)
				}
				requireContent(t, disk, configPath, tt.before)
			})
		})
	}
}

// TestInPlaceError names why the file could not be replaced.
func TestInPlaceError(t *testing.T) {
	bubble(t, func(t *testing.T, disk *faultfs.FS) {
		disk.WriteFile(configPath, []byte(ofSize(page, 0)), 0o666)
		_, err := set(t.Context(), open(t, asUser(disk, 7)), id)
		if !errors.Is(err, replace.ErrNotInPlace) || !errors.Is(err, syscall.EACCES) || !fsys.IsReadOnly(err) {
			t.Errorf("got %v, want ErrNotInPlace because of EACCES", err)
		}
	})
}

// TestInPlaceKilled kills a save in place after each write to each page. The
// file is valid and holds the old value or the new one, and the next process
// succeeds.
func TestInPlaceKilled(t *testing.T) {
	for _, before := range []string{config, ofSize(page+1, 0), ofSize(3*page-200, page-700), withID(config, ""), "{} // comment"} {
		for steps, killed := 0, true; killed; steps++ {
			bubble(t, func(t *testing.T, disk *faultfs.FS) {
				disk.WriteFile(configPath, []byte(before), 0o644)
				disk.MarkMountPoint(configPath)
				p := disk.As("p")
				p.StepLimit(steps)
				set(t.Context(), open(t, p), id)
				killed = p.Killed()
				for state := range disk.CrashStates() {
					for _, disk := range []*faultfs.FS{disk, state} {
						values, err := open(t, disk).Read(t.Context(), key)
						if err != nil || values[0].Text != "" && values[0].Text != id {
							t.Errorf("step %d: got %v, %v: %q", steps, values, err, content(t, disk, configPath))
						}
					}
				}
				mustSet(t, open(t, disk), id)
			})
		}
	}
}

// TestInPlaceLateSpaces lets the spaces be appended after the host has saved:
// they follow what it saved.
func TestInPlaceLateSpaces(t *testing.T) {
	for _, text := range []string{"{}", saved + saved[1:], saved} {
		bubble(t, func(t *testing.T, disk *faultfs.FS) {
			disk.MarkMountPoint(configPath)
			disk.Inject(faultfs.Rule{Op: faultfs.OpWrite, Proc: "p", Times: 1, Do: func() {
				disk.WriteFile(configPath, []byte(text), 0o644)
			}})
			set(t.Context(), open(t, disk.As("p")), id)
			got := content(t, disk, configPath)
			if !strings.HasPrefix(got, strings.TrimRight(text, "}\n")) || strings.ContainsRune(got, 0) {
				t.Errorf("got %q, want %q", got, text)
			}
		})
	}
}

// TestInPlaceWrites checks that a change of the same length is one write and one
// sync, and a longer one two of each.
func TestInPlaceWrites(t *testing.T) {
	for _, tt := range []struct {
		before string
		writes int
	}{
		{withID(config, strings.Repeat("x", len(id))), 1},
		{withID(config, ""), 2},
	} {
		bubble(t, func(t *testing.T, disk *faultfs.FS) {
			disk.WriteFile(configPath, []byte(tt.before), 0o644)
			disk.MarkMountPoint(configPath)
			disk.ResetLog()
			mustSet(t, open(t, disk), id)
			writes := count(disk, func(e faultfs.Entry) bool { return e.Op == faultfs.OpWrite || e.Op == faultfs.OpWriteAt })
			syncs := count(disk, func(e faultfs.Entry) bool { return e.Op == faultfs.OpSync })
			if writes != tt.writes || syncs != tt.writes {
				t.Errorf("got %d writes and %d syncs, want %d", writes, syncs, tt.writes)
			}
		})
	}
}
