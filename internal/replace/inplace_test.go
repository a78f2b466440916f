package replace_test

import (
	"errors"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

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

// TestInPlaceHostIsFaster lets the host save just before each of the two
// writes. Nothing is written into what it saved, but the change is made again
// from it.
func TestInPlaceHostIsFaster(t *testing.T) {
	for _, write := range []int{1, 2} {
		for _, text := range []string{saved, saved + saved[1:]} {
			bubble(t, func(t *testing.T, disk *faultfs.FS) {
				disk.MarkMountPoint(configPath)
				disk.Inject(faultfs.Rule{Op: faultfs.OpAmend, Proc: "p", Skip: write - 1, Times: 1, Do: func() {
					disk.WriteFile(configPath, []byte(text), 0o644)
				}})
				_, err := set(t.Context(), open(t, disk.As("p")), id)
				want := withID(text, id)
				if text != saved {
					want = text // not JSON
				}
				if got := content(t, disk, configPath); got != want || (err == nil) != (want != text) {
					t.Errorf("write %d: got %q, %v, want %q", write, got, err, want)
				}
			})
		}
	}
}

// TestInPlaceNobodyKnows writes nothing in place where the system cannot keep
// other programs out: as neither root nor the file's owner, or without leases.
func TestInPlaceNobodyKnows(t *testing.T) {
	for name, prepare := range map[string]func(disk *faultfs.FS) *faultfs.FS{
		"of another user": func(disk *faultfs.FS) *faultfs.FS {
			disk.Chmod(configPath, 0o666)
			return asUser(disk, 7)
		},
		"of another user, in an open directory": func(disk *faultfs.FS) *faultfs.FS {
			disk.Chmod(configPath, 0o666)
			disk.Chmod("/etc/app", 0o777)
			return asUser(disk, 7)
		},
		"of another user, in a sticky directory": func(disk *faultfs.FS) *faultfs.FS {
			disk.Chmod(configPath, 0o666)
			disk.Chmod("/etc/app", 0o777|fs.ModeSticky)
			return asUser(disk, 7)
		},
		"no leases": func(disk *faultfs.FS) *faultfs.FS {
			disk.MarkMountPoint(configPath)
			disk.Inject(faultfs.Rule{Op: faultfs.OpAmend, Err: errors.ErrUnsupported})
			return disk
		},
	} {
		bubble(t, func(t *testing.T, disk *faultfs.FS) {
			process := prepare(disk)
			_, err := set(t.Context(), open(t, process), id)
			if !errors.Is(err, replace.ErrNotInPlace) || !configfile.Permanent(err) {
				t.Errorf("%s: got %v, want ErrNotInPlace, permanent", name, err)
			}
			requireContent(t, disk, configPath, config)
		})
	}
}

// TestInPlaceInUse waits 200 ms for a program that has the file open, even if
// only for reading.
func TestInPlaceInUse(t *testing.T) {
	for held, want := range map[time.Duration]error{100 * time.Millisecond: nil, time.Second: replace.ErrChanging} {
		bubble(t, func(t *testing.T, disk *faultfs.FS) {
			disk.MarkMountPoint(configPath)
			reader, err := disk.As("reader").OpenFile(configPath, os.O_RDONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			time.AfterFunc(held, func() { reader.Close() })
			if _, err := set(t.Context(), open(t, disk), id); !errors.Is(err, want) {
				t.Errorf("open for %v: got %v, want %v", held, err, want)
			}
			time.Sleep(held)
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
			writes := count(disk, func(e faultfs.Entry) bool { return e.Op == faultfs.OpAmend })
			syncs := count(disk, func(e faultfs.Entry) bool { return e.Op == faultfs.OpSync })
			if writes != tt.writes || syncs != tt.writes {
				t.Errorf("got %d writes and %d syncs, want %d", writes, syncs, tt.writes)
			}
		})
	}
}
