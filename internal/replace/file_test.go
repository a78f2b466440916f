package replace_test

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/internal/replace"
	"github.com/rollcall-dev/rollcall/internal/test/faultfs"
)

var errTorn = errors.New("torn")

func newFile(disk *faultfs.FS) *replace.File {
	return replace.New(disk, faultfs.Abs(configPath), replace.Options{
		Torn:     func(err error) bool { return err == errTorn },
		CutShort: func(data []byte) bool { return len(data) == 0 },
	})
}

// TestReadAgain reads a torn file again after 5, 25 and 75 ms, and no other
// file.
func TestReadAgain(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want []time.Duration
	}{
		{nil, []time.Duration{0}},
		{errors.New("something else"), []time.Duration{0}},
		{errTorn, []time.Duration{0, 5 * time.Millisecond, 25 * time.Millisecond, 75 * time.Millisecond}},
	} {
		bubble(t, func(t *testing.T, disk *faultfs.FS) {
			var got []time.Duration
			begin := time.Now()
			err := newFile(disk).Read(t.Context(), func(*replace.Snapshot) error {
				got = append(got, time.Since(begin))
				return tt.err
			})
			if err != tt.err || !slices.Equal(got, tt.want) {
				t.Errorf("%v: got %v, reads at %v, want %v", tt.err, err, got, tt.want)
			}
		})
	}
}

// TestReadAgainAbandoned stops reading again when the context ends.
func TestReadAgainAbandoned(t *testing.T) {
	bubble(t, func(t *testing.T, disk *faultfs.FS) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		begin := time.Now()
		err := newFile(disk).Read(ctx, func(*replace.Snapshot) error { return errTorn })
		if took := time.Since(begin); err != errTorn || took != 10*time.Millisecond {
			t.Errorf("got %v after %v", err, took)
		}
	})
}

// TestUpdateOps checks that a save that meets nothing unusual does nothing
// superfluous: it syncs the new file and the directory once each, looks for no
// leftovers, and takes and releases the lock.
func TestUpdateOps(t *testing.T) {
	bubble(t, func(t *testing.T, disk *faultfs.FS) {
		err := newFile(disk).Update(t.Context(), func(*replace.Snapshot) ([]byte, error) { return []byte("new"), nil })
		if err != nil {
			t.Fatal(err)
		}
		requireContent(t, disk, configPath, "new")
		got := make(map[faultfs.Op]int)
		for _, e := range disk.Log() {
			got[e.Op]++
		}
		for op, want := range map[faultfs.Op]int{
			faultfs.OpSync: 1, faultfs.OpSyncDir: 1, faultfs.OpExchange: 1, faultfs.OpRename: 0, faultfs.OpReadDir: 0,
			faultfs.OpLock: 1, faultfs.OpRemove: 1, faultfs.OpWrite: 1, faultfs.OpAmend: 0, faultfs.OpLink: 0,
		} {
			if got[op] != want {
				t.Errorf("%v: got %d, want %d", op, got[op], want)
			}
		}
	})
}

// TestUpdateMountPoint does not even try to replace a mount point.
func TestUpdateMountPoint(t *testing.T) {
	bubble(t, func(t *testing.T, disk *faultfs.FS) {
		disk.MarkMountPoint(configPath)
		err := newFile(disk).Update(t.Context(), func(s *replace.Snapshot) ([]byte, error) { return append(s.Data, "x"...), nil })
		if err != nil {
			t.Fatal(err)
		}
		requireContent(t, disk, configPath, config+"x")
		if n := count(disk, isNewTemp); n != 0 {
			t.Errorf("created %d temporary files", n)
		}
	})
}

// TestSyncRefused: if the content may not be synced, the name still is.
func TestSyncRefused(t *testing.T) {
	bubble(t, func(t *testing.T, disk *faultfs.FS) {
		disk.Inject(faultfs.Rule{Op: faultfs.OpSync, Err: syscall.EACCES})
		disk.ResetLog()
		if err := newFile(disk).Sync(t.Context()); err != nil {
			t.Error(err)
		}
		if !did(disk, faultfs.OpSyncDir) {
			t.Error("the directory was not synced")
		}
	})
}

// TestThroughSymlink checks that the other methods work on the target of a
// symlink, and fail if that cannot be found.
func TestThroughSymlink(t *testing.T) {
	bubble(t, func(t *testing.T, disk *faultfs.FS) {
		disk.Delete(configPath)
		disk.WriteFile("/srv/c.json", []byte(config), 0o444)
		disk.WriteFile("/srv/.c.json.rollcall-1-ABCDEFGH.tmp", nil, 0o600)
		disk.Symlink("/srv/c.json", configPath)
		f := newFile(disk)
		disk.ResetLog()
		if err := f.Sync(t.Context()); err != nil {
			t.Error(err)
		}
		for _, e := range disk.Log() {
			if e.Op == faultfs.OpSync && e.Name != "/srv/c.json" || e.Op == faultfs.OpSyncDir && e.Name != "/srv" {
				t.Errorf("did %v", e)
			}
		}
		if !did(disk, faultfs.OpSync) || !did(disk, faultfs.OpSyncDir) {
			t.Error("did not sync")
		}
		if err := f.CheckWritable(t.Context()); !errors.Is(err, replace.ErrReadOnly) || err.Error() != "file is read-only: mode 0444" {
			t.Errorf("writable: got %v", err)
		}
		disk.Chmod("/srv/c.json", 0o200)
		if err := f.CheckWritable(t.Context()); err != nil {
			t.Errorf("writable: got %v", err)
		}
		if err := f.Sweep(t.Context()); err != nil {
			t.Error(err)
		}
		requireNoTemps(t, disk)
		disk.Delete("/srv/c.json")
		if err := f.CheckWritable(t.Context()); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("missing: got %v", err)
		}
		if err := f.Sync(t.Context()); err != nil {
			t.Errorf("missing: got %v", err)
		}
		disk.Inject(faultfs.Rule{Op: faultfs.OpLstat, Err: syscall.EIO})
		for _, method := range []func(context.Context) error{f.Sync, f.CheckWritable, f.Sweep} {
			if err := method(t.Context()); !errors.Is(err, syscall.EIO) {
				t.Errorf("unknown: got %v, want EIO", err)
			}
		}
	})
}
