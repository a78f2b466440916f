package configfile_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/configfile"
	"github.com/rollcall-dev/rollcall/internal/faultfs"
	"github.com/rollcall-dev/rollcall/internal/flight"
)

// TestHang lets every operation of a save hang, in turn. No call waits longer than its context and one operation is in
// flight, however often it is tried. When the disk answers at last, the save that was given up does no harm, and the next
// one works.
func TestHang(t *testing.T) {
	eachStep(t, func(t *testing.T, s *scene, at step) {
		s.run(t, func(t *testing.T, disk *faultfs.FS, save func(context.Context) (string, error)) {
			hang := hangAt(t, disk, at, save)
			hang.Release()
			time.Sleep(time.Second)
			requireIdle(t, disk)
			requireNoTemps(t, disk)
			s.requireOldOrNew(t, disk)
			requireWorks(t, s, disk, save)
		})
	})
}

// hangAt saves three times while one operation hangs.
func hangAt(t *testing.T, disk *faultfs.FS, at step, save func(context.Context) (string, error)) *faultfs.Fault {
	t.Helper()
	hang := disk.Inject(at.rule(faultfs.Rule{Hang: true}))
	for range 3 {
		begin := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), attempt)
		_, err := save(ctx)
		cancel()
		if !errors.Is(err, flight.ErrTimeout) || !errors.Is(err, context.DeadlineExceeded) || configfile.Permanent(err) {
			t.Errorf("got %v, want a time-out", err)
		}
		if d := time.Since(begin); d != attempt {
			t.Errorf("returned after %v, want %v", d, attempt)
		}
		if n := disk.InFlight(); n != 1 || hang.Waiting() != 1 {
			t.Errorf("%d operations are in flight, want 1", n)
		}
	}
	return hang
}

// requireWorks saves once more, without a fault.
func requireWorks(t *testing.T, s *scene, disk *faultfs.FS, save func(context.Context) (string, error)) {
	t.Helper()
	stored, err := save(t.Context())
	if err != nil || stored != id {
		t.Errorf("next save: got %q, %v, want %q", stored, err, id)
	}
	s.requireOldOrNew(t, disk)
	s.requireDurable(t, disk)
	requireNoTemps(t, disk)
	requireIdle(t, disk)
}

// TestHostSavesWhileHanging has the host save while an operation hangs. What was given up completes late, and undoes
// nothing of it.
func TestHostSavesWhileHanging(t *testing.T) {
	eachStep(t, func(t *testing.T, s *scene, at step) {
		if !s.isConfig() {
			return // no host saves an anchor
		}
		for _, host := range hostSaves {
			if s.mountPoint && host.name == "by rename" {
				continue // is not possible there
			}
			s.run(t, func(t *testing.T, disk *faultfs.FS, save func(context.Context) (string, error)) {
				hang := hangAt(t, disk, at, save)
				disk.MkdirAll("/etc/app", 0o755)
				if err := host.save(disk.As("host"), configPath, saved); err != nil {
					t.Fatal(err)
				}
				hang.Release()
				time.Sleep(time.Second)
				requireIdle(t, disk)
				requireNoTemps(t, disk)
				requireSaved(t, s, at, host.name, disk, save)
			})
		}
	})
}

// requireSaved checks that the host's save is in the config, and that the ID gets there with the next save.
func requireSaved(t *testing.T, s *scene, at step, host string, disk *faultfs.FS, save func(context.Context) (string, error)) {
	t.Helper()
	got, err := parse([]byte(content(t, disk, configPath)))
	if lost := err != nil || got.Saves != 2; lost != s.loses(at, host) {
		t.Errorf("host saves %s: got %q, %v, lost: %v", host, content(t, disk, configPath), err, lost)
	}
	if got.Telemetry.ID != "" && got.Telemetry.ID != id {
		t.Errorf("host saves %s: got ID %q", host, got.Telemetry.ID)
	}
	if err != nil {
		return // written into, which has to be mended by hand
	}
	stored, err := save(t.Context())
	if err != nil || stored != id {
		t.Errorf("host saves %s: next save: got %q, %v, want %q", host, stored, err, id)
	}
	if got, err := parse([]byte(content(t, disk, configPath))); err != nil || got.Telemetry.ID != id {
		t.Errorf("host saves %s: got %+v, %v after the next save", host, got, err)
	}
}

// loses tells in which moments a save of the host cannot be kept, and there are no others:
//
//   - where files cannot be exchanged, when it replaces the config in the moment of the rename;
//   - where new files cannot be linked, when it makes the config in the moment of the rename;
//   - in place, when it writes in the moment of the write.
//
// In the kernel of one machine none of them gets in while that very operation hangs.
func (s *scene) loses(at step, host string) bool {
	switch {
	case s.renames && at == step{faultfs.OpRename, 0}:
		return host == "by rename" || s.before == ""
	case s.inPlace && at == step{faultfs.OpWriteAt, 0}:
		return host != "by rename"
	}
	return false
}
