package replace_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/internal/configfile"
	"github.com/rollcall-dev/rollcall/internal/test/configdisk"
	"github.com/rollcall-dev/rollcall/internal/test/faultfs"
)

// overtaken lets the host save at the moment of the commit, so that what it
// saved is displaced and must be put back.
func overtaken(t *testing.T, s *scene, run func(t *testing.T, disk *faultfs.FS, commit configdisk.Step, save saver)) {
	t.Helper()
	commit, host := configdisk.Step{Op: faultfs.OpExchange}, hostSaves[2]
	if s.renames {
		commit, host = configdisk.Step{Op: faultfs.OpRename}, hostSaves[0]
	}
	s.run(t, func(t *testing.T, disk *faultfs.FS, save saver) {
		disk.Inject(commit.Rule(faultfs.Rule{Do: func() {
			if err := host.save(disk.As("host"), configPath, saved); err != nil {
				t.Error(err)
			}
		}}))
		run(t, disk, commit, save)
	})
}

// TestPutBackFails lets every operation fail, in turn and in every way, that
// puts back what a save has displaced. The save of the host is in the config
// or, if that was not possible, in the file that the error names. After a
// rename it must be written again, so that it is lost on a disk that accepts
// nothing any more; the error says so.
func TestPutBackFails(t *testing.T) {
	for _, s := range scenes()[:2] {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			var steps []configdisk.Step
			overtaken(t, s, func(t *testing.T, disk *faultfs.FS, commit configdisk.Step, save saver) {
				if stored, err := save(t.Context()); stored != id || err != nil {
					t.Fatalf("got %q, %v", stored, err)
				}
				requireContent(t, disk, configPath, withID(saved, id))
				steps = configdisk.Steps(disk)
				steps = steps[slices.Index(steps, commit)+1:]
				steps = steps[slices.Index(steps, commit)+1:]
			})
			for _, at := range steps {
				for _, f := range failures {
					overtaken(t, s, func(t *testing.T, disk *faultfs.FS, _ configdisk.Step, save saver) {
						rule := at.Rule(f.rule)
						rule.Times = f.rule.Times
						fault := disk.Inject(rule)
						_, err := save(t.Context())
						got, parseErr := parse([]byte(content(t, disk, configPath)))
						if parseErr != nil {
							t.Errorf("%v, %s: got %q", at, f.name, content(t, disk, configPath))
						}
						time.Sleep(time.Hour)
						sweep(t, disk)
						toldLost := s.renames && (f.rule.Times == 0 || at.Op == faultfs.OpRead) && err != nil
						if got.Saves != 2 && !savedElsewhere(t, disk, err) && !toldLost {
							t.Errorf("%v, %s: lost: got %+v, %v", at, f.name, got, err)
						}
						requireIdle(t, disk)
						fault.Release()
						if got.Saves == 2 {
							mustSave(t, disk, save)
						}
					})
				}
			}
		})
	}
}

// savedElsewhere reports whether the save of the host is in the file that the
// error names.
func savedElsewhere(t *testing.T, disk *faultfs.FS, err error) bool {
	t.Helper()
	for _, name := range temps(disk) {
		if err != nil && strings.Contains(err.Error(), "put back what another program saved, which is now in "+name[len("/etc/app/"):]) {
			return content(t, disk, name) == saved
		}
	}
	return false
}

func mustSave(t *testing.T, disk *faultfs.FS, save saver) {
	t.Helper()
	if stored, err := save(t.Context()); stored != id || err != nil {
		t.Errorf("next save: got %q, %v", stored, err)
	}
	if got := strings.TrimRight(content(t, disk, configPath), " "); got != withID(saved, id) {
		t.Errorf("next save: got %q", got)
	}
}

// TestPutBackHangs lets an operation hang that puts back what a save has
// displaced, until long after the save was abandoned, and the host save again
// in the meantime.
func TestPutBackHangs(t *testing.T) {
	s := scenes()[0]
	var steps []configdisk.Step
	overtaken(t, s, func(t *testing.T, disk *faultfs.FS, commit configdisk.Step, save saver) {
		save(t.Context())
		steps = configdisk.Steps(disk)
		steps = steps[slices.Index(steps, commit)+1:]
	})
	for _, at := range steps {
		for _, host := range hostSaves {
			overtaken(t, s, func(t *testing.T, disk *faultfs.FS, _ configdisk.Step, save saver) {
				hang := disk.Inject(at.Rule(faultfs.Rule{Hang: true}))
				ctx, cancel := context.WithTimeout(t.Context(), attempt)
				defer cancel()
				save(ctx)
				last := strings.Replace(saved, "2", "3", 1)
				if err := host.save(disk.As("host"), configPath, last); err != nil {
					t.Fatal(err)
				}
				hang.Release()
				waitIdle(t, disk)
				if got, err := parse([]byte(content(t, disk, configPath))); err != nil || got.Saves != 3 {
					t.Errorf("%v, host saves %s: got %+v, %v", at, host.name, got, err)
				}
				requireNoTemps(t, disk)
			})
		}
	}
}

// TestDeletedDuringSave lets the operator delete the config at every moment of
// a save. It is created again or stays away, and nothing else is left.
func TestDeletedDuringSave(t *testing.T) {
	for _, s := range scenes() {
		if !s.isConfig() || s.before == "" {
			continue
		}
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			for _, at := range s.steps(t) {
				s.run(t, func(t *testing.T, disk *faultfs.FS, save saver) {
					disk.Inject(at.Rule(faultfs.Rule{Do: func() {
						if !s.mountPoint {
							disk.Delete(configPath)
						}
					}}))
					_, err := save(t.Context())
					if err != nil && configfile.Permanent(err) {
						t.Errorf("%v: %v", at, err)
					}
					if slices.Contains(disk.Files(), configPath) {
						if _, err := parse([]byte(content(t, disk, configPath))); err != nil {
							t.Errorf("%v: %v", at, err)
						}
					}
					requireNoTemps(t, disk)
					if stored, err := save(t.Context()); stored != id || err != nil {
						t.Errorf("%v: next save: got %q, %v", at, stored, err)
					}
				})
			}
		})
	}
}
