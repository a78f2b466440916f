package replace_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/internal/test/faultfs"
)

// TestSweep removes files that are ours, old and not in use.
func TestSweep(t *testing.T) {
	const name = "/etc/app/.config.json.rollcall-%d-ABCDEFGH.tmp"
	for _, tt := range []struct {
		name  string
		file  string // %d is the time of creation
		age   time.Duration
		rule  faultfs.Rule
		swept bool
	}{
		{"old", name, 10 * time.Minute, faultfs.Rule{}, true},
		{"young", name, 10*time.Minute - time.Second, faultfs.Rule{}, false},
		{"of a clock that is ahead", name, -(10*time.Minute - time.Second), faultfs.Rule{}, false},
		{"of the future", name, -10 * time.Minute, faultfs.Rule{}, true},
		{"of the far future, locks do not work", name, -24 * time.Hour, faultfs.Rule{Op: faultfs.OpLock, Err: syscall.ENOLCK}, true},
		{"of an anchor", "/etc/app/..config.json.installation-id.rollcall-%d-ABCDEFGH.tmp", 10 * time.Minute, faultfs.Rule{}, true},
		{"locks do not work", name, 24 * time.Hour, faultfs.Rule{Op: faultfs.OpLock, Err: syscall.ENOLCK}, true},
		{"locks do not work, a day old but for a second", name, 24*time.Hour - time.Second, faultfs.Rule{Op: faultfs.OpLock, Err: syscall.ENOLCK}, false},
		{"of another config", "/etc/app/.other.json.rollcall-%d-ABCDEFGH.tmp", 48 * time.Hour, faultfs.Rule{}, false},
		{"another suffix", "/etc/app/.config.json.rollcall-%d-ABCDEFGH.bak", 48 * time.Hour, faultfs.Rule{}, false},
		{"no time", "/etc/app/.config.json.rollcall-x%d-ABCDEFGH.tmp", 48 * time.Hour, faultfs.Rule{}, false},
		{"no random part", "/etc/app/.config.json.rollcall-%d.tmp", 48 * time.Hour, faultfs.Rule{}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, disk *faultfs.FS) {
				file := fmt.Sprintf(tt.file, time.Now().Add(-tt.age).Unix())
				disk.WriteFile(file, nil, 0o600)
				if tt.rule.Op != "" {
					disk.Inject(tt.rule)
				}
				sweep(t, disk)
				if swept := !slices.Contains(disk.Files(), file); swept != tt.swept {
					t.Errorf("swept: got %v, want %v", swept, tt.swept)
				}
				requireContent(t, disk, configPath, config)
			})
		})
	}
}

// TestSweepKeepsFilesInUse is about a temporary file that is old because the
// save hangs.
func TestSweepKeepsFilesInUse(t *testing.T) {
	bubble(t, func(t *testing.T, disk *faultfs.FS) {
		hang := disk.Inject(faultfs.Rule{Op: faultfs.OpExchange, Hang: true})
		f := open(t, disk.As("p"))
		done := make(chan error)
		go func() {
			_, err := set(t.Context(), f, id)
			done <- err
		}()
		time.Sleep(48 * time.Hour)
		sweep(t, disk)
		if left := temps(disk); len(left) != 1 {
			t.Errorf("left: %q", left)
		}
		hang.Release()
		if err := <-done; err != nil {
			t.Error(err)
		}
		requireContent(t, disk, configPath, withID(config, id))
	})
}

// TestSweepAtSymlinkTarget sweeps where a symlink leads to.
func TestSweepAtSymlinkTarget(t *testing.T) {
	bubble(t, func(t *testing.T, disk *faultfs.FS) {
		disk.Delete(configPath)
		disk.WriteFile("/srv/c.json", []byte(config), 0o644)
		disk.Symlink("/srv/c.json", configPath)
		disk.WriteFile("/srv/.c.json.rollcall-1-ABCDEFGH.tmp", nil, 0o600)
		sweep(t, disk)
		requireNoTemps(t, disk)
	})
}

// TestSweepNothing is no error.
func TestSweepNothing(t *testing.T) {
	bubble(t, func(t *testing.T, disk *faultfs.FS) {
		sweep(t, disk)
		disk.Delete("/etc")
		sweep(t, disk)
	})
}

// TestSweepHangs stops at its next step once it is abandoned, and leaves the
// rest.
func TestSweepHangs(t *testing.T) {
	bubble(t, func(t *testing.T, disk *faultfs.FS) {
		for i := range 3 {
			disk.WriteFile(fmt.Sprintf("/etc/app/.config.json.rollcall-%d-ABCDEFGH.tmp", i+1), nil, 0o600)
		}
		hang := disk.Inject(faultfs.Rule{Op: faultfs.OpRemove, Hang: true})
		ctx, cancel := context.WithTimeout(t.Context(), attempt)
		defer cancel()
		if err := open(t, disk).Sweep(ctx); err == nil {
			t.Error("no error")
		}
		hang.Release()
		waitIdle(t, disk)
		if left := temps(disk); len(left) != 2 {
			t.Errorf("left: %q", left)
		}
	})
}

// TestSweepFails reports an error and goes on with the other files.
func TestSweepFails(t *testing.T) {
	bubble(t, func(t *testing.T, disk *faultfs.FS) {
		for i := range 3 {
			disk.WriteFile(fmt.Sprintf("/etc/app/.config.json.rollcall-%d-ABCDEFGH.tmp", i+1), nil, 0o600)
		}
		disk.Inject(faultfs.Rule{Op: faultfs.OpRemove, Times: 1, Err: syscall.EIO})
		if err := open(t, disk).Sweep(t.Context()); err == nil || !strings.Contains(faultfs.Slashed(err.Error()), configPath) {
			t.Errorf("got %v, want an error that names the file", err)
		}
		if left := temps(disk); len(left) != 1 {
			t.Errorf("left: %q", left)
		}
	})
}
