package replace_test

import (
	"errors"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/internal/configfile"
	"github.com/rollcall-dev/rollcall/internal/replace"
	"github.com/rollcall-dev/rollcall/internal/test/faultfs"
)

// TestHostSavesAtEveryMoment lets the host save at the moment of each operation
// of a save, even if that operation then reports a failure. The save of the
// host is never lost, except at the moments of loses.
func TestHostSavesAtEveryMoment(t *testing.T) {
	eachStep(t, func(t *testing.T, s *scene, at moment) {
		if !s.isConfig() {
			return // no host saves an anchor
		}
		for _, host := range hostSaves {
			if s.mountPoint && host.name == "by rename" {
				continue // a mount point cannot be renamed over
			}
			for _, afterErr := range []error{nil, syscall.EIO} {
				s.run(t, func(t *testing.T, disk *faultfs.FS, save saver) {
					disk.Inject(at.Rule(faultfs.Rule{AfterErr: afterErr, Do: func() {
						disk.MkdirAll("/etc/app", 0o755)
						if err := host.save(disk.As("host"), configPath, saved); err != nil {
							t.Error(err)
						}
					}}))
					stored, err := save(t.Context())
					got, parseErr := parse([]byte(content(t, disk, configPath)))
					loses := s.loses(at, host.name) && (afterErr == nil || at.Step == at.commit)
					switch {
					case loses:
					case err == nil && at.beforeCommit() && (stored != id || got.Telemetry.ID != id):
						t.Errorf("host saves %s: got %q, no error, and %+v, %v in the config", host.name, stored, got, parseErr)
					case err != nil && afterErr == nil && !errors.Is(err, replace.ErrChanging):
						t.Errorf("host saves %s: %v", host.name, err)
					}
					if at.Op != faultfs.OpRemove {
						requireNoTemps(t, disk)
					}
					requireSaved(t, host.name, loses, disk, save)
				})
			}
		}
	})
}

// TestHostHoldsFileOpen lets the host open its config, truncate it, and write
// it so late that the save meets it in every state.
func TestHostHoldsFileOpen(t *testing.T) {
	eachStep(t, func(t *testing.T, s *scene, at moment) {
		if !s.isConfig() || s.before == "" || s.inPlace {
			return
		}
		for _, held := range []time.Duration{time.Millisecond, 50 * time.Millisecond, 300 * time.Millisecond, 3 * time.Second} {
			if s.renames && at.Op != faultfs.OpHasWriters && at.isLast(faultfs.OpHasWriters) && held > 200*time.Millisecond {
				continue // longer than the save waits
			}
			s.run(t, func(t *testing.T, disk *faultfs.FS, save saver) {
				var host sync.WaitGroup
				disk.Inject(at.Rule(faultfs.Rule{Do: func() {
					file, err := disk.As("host").OpenFile(configPath, os.O_WRONLY|os.O_TRUNC, 0)
					if err != nil {
						t.Error(err)
						return
					}
					host.Go(func() {
						time.Sleep(held / 2)
						file.Write([]byte(saved))
						time.Sleep(held / 2)
						file.Close()
					})
				}}))
				stored, err := save(t.Context())
				host.Wait()
				time.Sleep(time.Second)
				got, parseErr := parse([]byte(content(t, disk, configPath)))
				if parseErr != nil || got.Saves != 2 {
					t.Errorf("held for %v: got %q, %v", held, content(t, disk, configPath), parseErr)
				}
				if err == nil && stored != id {
					t.Errorf("held for %v: stored %q", held, stored)
				}
				requireNoTemps(t, disk)
				if stored, err := save(t.Context()); err != nil || stored != id {
					t.Errorf("held for %v: next save: got %q, %v", held, stored, err)
				}
			})
		}
	})
}

// TestHostKeepsSaving lets the host save at every operation of a save. The save
// ends, and the last save of the host is there.
func TestHostKeepsSaving(t *testing.T) {
	for _, host := range hostSaves {
		for _, op := range []faultfs.Op{"", faultfs.OpExchange, faultfs.OpOpen, faultfs.OpHasWriters, faultfs.OpLstat} {
			t.Run(host.name+", "+string(op), func(t *testing.T) {
				t.Parallel()
				bubble(t, func(t *testing.T, disk *faultfs.FS) {
					f := open(t, disk.As("p"))
					fault := disk.Inject(faultfs.Rule{Proc: "p", Op: op, Do: func() {
						if err := host.save(disk.As("host"), configPath, saved+time.Now().Format("\t")); err != nil {
							t.Error(err)
						}
					}})
					stored, err := set(t.Context(), f, id)
					if err == nil {
						t.Logf("saved all the same: %q", stored)
					} else if !errors.Is(err, replace.ErrChanging) || configfile.Permanent(err) {
						t.Errorf("got %v, want ErrChanging", err)
					}
					if got, err := parse([]byte(content(t, disk, configPath))); err != nil || got.Saves != 2 {
						t.Errorf("got %+v, %v", got, err)
					}
					requireNoTemps(t, disk)
					fault.Remove()
					mustSet(t, f, id)
				})
			})
		}
	}
}
