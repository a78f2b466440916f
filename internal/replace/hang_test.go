package replace_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/internal/configfile"
	"github.com/rollcall-dev/rollcall/internal/flight"
	"github.com/rollcall-dev/rollcall/internal/test/faultfs"
)

// TestHang lets every operation of a save hang, in turn. No call waits longer
// than its context, and one operation is in flight, however often it is tried.
// When the disk responds at last, the abandoned save does no harm, and the next
// one works.
func TestHang(t *testing.T) {
	eachStep(t, func(t *testing.T, s *scene, at moment) {
		s.run(t, func(t *testing.T, disk *faultfs.FS, save saver) {
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
func hangAt(t *testing.T, disk *faultfs.FS, at moment, save saver) *faultfs.Fault {
	t.Helper()
	hang := disk.Inject(at.Rule(faultfs.Rule{Hang: true}))
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
func requireWorks(t *testing.T, s *scene, disk *faultfs.FS, save saver) {
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

// TestHostSavesWhileHanging lets the host save while an operation hangs. What
// the abandoned save completes late undoes none of that.
func TestHostSavesWhileHanging(t *testing.T) {
	eachStep(t, func(t *testing.T, s *scene, at moment) {
		if !s.isConfig() {
			return // no host saves an anchor
		}
		for _, host := range hostSaves {
			if s.mountPoint && host.name == "by rename" {
				continue // a mount point cannot be renamed over
			}
			s.run(t, func(t *testing.T, disk *faultfs.FS, save saver) {
				hang := hangAt(t, disk, at, save)
				disk.MkdirAll("/etc/app", 0o755)
				if err := host.save(disk.As("host"), configPath, saved); err != nil {
					t.Fatal(err)
				}
				hang.Release()
				time.Sleep(time.Second)
				requireIdle(t, disk)
				requireNoTemps(t, disk)
				lost := s.loses(at, host.name) && at.Step == at.commit // an abandoned save goes no further than its last comparison
				requireSaved(t, host.name, lost, disk, save)
			})
		}
	})
}

// requireSaved checks that the config holds the save of the host, unless that
// must be lost, and that the next save adds the ID.
func requireSaved(t *testing.T, host string, loses bool, disk *faultfs.FS, save saver) {
	t.Helper()
	got, err := parse([]byte(content(t, disk, configPath)))
	if lost := err != nil || got.Saves != 2; lost != loses {
		t.Errorf("host saves %s: got %q, %v, lost: %v", host, content(t, disk, configPath), err, lost)
	}
	if err == nil && got.Telemetry.ID != "" && got.Telemetry.ID != id {
		t.Errorf("host saves %s: got ID %q", host, got.Telemetry.ID)
	}
	if err != nil {
		return // written into, which only the operator can repair
	}
	stored, err := save(t.Context())
	if err != nil || stored != id {
		t.Errorf("host saves %s: next save: got %q, %v, want %q", host, stored, err, id)
	}
	if got, err := parse([]byte(content(t, disk, configPath))); err != nil || got.Telemetry.ID != id {
		t.Errorf("host saves %s: got %+v, %v after the next save", host, got, err)
	}
}

// TestManyProcessesHang lets many processes with one ID hang in the same
// operation, the first of them with the lock, while the host saves. What they
// complete late undoes none of that.
func TestManyProcessesHang(t *testing.T) {
	for _, op := range faultfs.Ops() {
		for _, host := range hostSaves {
			bubble(t, func(t *testing.T, disk *faultfs.FS) {
				hang := disk.Inject(faultfs.Rule{
					Op: op, Hang: true,
					If: func(e faultfs.Entry) bool { return e.Proc != "host" && !strings.Contains(e.Name, ".new") },
				})
				disk.Inject(faultfs.Rule{Delay: time.Millisecond}) // so that they run side by side
				var processes sync.WaitGroup
				for i := range 5 {
					f := open(t, disk.As(number(i)))
					processes.Go(func() {
						ctx, cancel := context.WithTimeout(t.Context(), attempt)
						defer cancel()
						set(ctx, f, id)
					})
				}
				processes.Wait()
				if err := host.save(disk.As("host"), configPath, saved); err != nil {
					t.Fatal(err)
				}
				hang.Release()
				waitIdle(t, disk)
				if got, err := parse([]byte(content(t, disk, configPath))); err != nil || got.Saves != 2 {
					t.Errorf("%v, host saves %s: got %+v, %v", op, host.name, got, err)
				}
				requireNoTemps(t, disk)
				mustSet(t, open(t, disk), id)
				requireContent(t, disk, configPath, withID(saved, id))
			})
		}
	}
}

// loses reports whether a save of the host at this moment cannot be kept. The
// only such moments are
//
//   - where files cannot be exchanged: the rename, if the host replaces the
//     config;
//   - where new files cannot be linked: the rename, if the host creates the
//     config;
//   - in place: between the last comparison and the write.
//
// On one machine the kernel lets the host do none of this while the rename or
// the write hangs.
func (s *scene) loses(at moment, host string) bool {
	switch {
	case s.renames:
		return at.Step == at.commit && (host == "by rename" || s.before == "")
	}
	return false
}

// TestLateReplaceUndoesNothing lets an operator replace the anchor while an
// earlier replacement hangs.
func TestLateReplaceUndoesNothing(t *testing.T) {
	s := scenes()[len(scenes())-2]
	if s.name != "replaced anchor" {
		t.Fatal(s.name)
	}
	for _, at := range s.steps(t) {
		s.run(t, func(t *testing.T, disk *faultfs.FS, save saver) {
			hang := hangAt(t, disk, moment{Step: at}, save)
			operator := openAnchor(t, disk.As("operator"))
			if err := operator.Replace(t.Context(), otherID); err != nil {
				t.Errorf("%v: %v", at, err)
			}
			hang.Release()
			waitIdle(t, disk)
			requireContent(t, disk, anchorPath, otherID+"\n")
			requireNoTemps(t, disk)
		})
	}
}
