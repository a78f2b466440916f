package replace_test

import (
	"context"
	"path"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/internal/test/faultfs"
)

// cutOff runs a save that is killed after each of its steps in turn, as by
// SIGKILL, and once to its end. A step is an operation that changed something
// or made it durable. After the last ones the save is done although it was
// killed.
func cutOff(t *testing.T, s *scene, check func(t *testing.T, disk *faultfs.FS, done, killed bool)) {
	t.Helper()
	for steps, killed := 0, true; killed; steps++ {
		if steps > 100 {
			t.Fatal("it never comes to its end")
		}
		bubble(t, func(t *testing.T, disk *faultfs.FS) {
			if s.prepare != nil {
				s.prepare(disk)
			}
			if s.without != "" {
				disk.Inject(faultfs.Rule{Op: s.without, Name: s.withoutAt, Err: s.withoutErr})
			}
			p := disk.As("p")
			save := s.open(t, p)
			p.StepLimit(steps)
			_, err := save(t.Context())
			if killed = p.Killed(); err != nil && !killed {
				t.Fatalf("step %d: %v", steps, err)
			}
			check(t, disk, err == nil, killed)
			if t.Failed() {
				t.Fatalf("step %d: %v", steps, err)
			}
		})
	}
}

var tempName = regexp.MustCompile(`^\.\.?config\.json(\.installation-id)?\.rollcall-\d+-[A-Z2-7]{8}\.tmp$`)

// TestKill kills a save after each of its steps. The file holds its old content
// or the new one, the next process saves at once, and what is left is
// recognised by its name and swept once it is old.
func TestKill(t *testing.T) {
	for _, s := range scenes() {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			cutOff(t, s, func(t *testing.T, disk *faultfs.FS, done, killed bool) {
				s.requireOldOrNew(t, disk)
				left := temps(disk)
				for _, name := range left {
					if !tempName.MatchString(path.Base(name)) {
						t.Errorf("temporary file with the name %s", name)
					}
				}
				most := 1
				if s.without == faultfs.OpExchange { // it tries on two more whether others can be exchanged
					most = 3
				}
				if len(left) > most || !killed && len(left) > 0 {
					t.Errorf("temporary files left: %q", left)
				}
				next := s.open(t, disk)
				begin := time.Now()
				if stored, err := next(t.Context()); stored != id || err != nil {
					t.Errorf("the next process: got %q, %v", stored, err)
				}
				if d := time.Since(begin); d != 0 {
					t.Errorf("the next process took %v", d)
				}
				s.requireOldOrNew(t, disk)
				s.requireDurableInAny(t, disk)

				sweep(t, disk)
				for _, name := range temps(disk) {
					if !slices.Contains(left, name) {
						t.Errorf("the next process left %s", name)
					}
				}
				time.Sleep(10 * time.Minute)
				sweep(t, disk)
				requireNoTemps(t, disk)
				s.requireDurableInAny(t, disk)
			})
		})
	}
}

// sweep sweeps as every process does at its start.
func sweep(t *testing.T, disk *faultfs.FS) {
	t.Helper()
	for _, sweep := range []func(context.Context) error{open(t, disk).Sweep, openAnchor(t, disk).Sweep} {
		if err := sweep(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

// TestPowerCut cuts the power after each step of a save. Every disk that this
// can leave holds the old content or the new one, and the new one if the save
// had succeeded.
func TestPowerCut(t *testing.T) {
	for _, s := range scenes() {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			states := 0
			cutOff(t, s, func(t *testing.T, disk *faultfs.FS, done, _ bool) {
				if done {
					s.requireDurableInAny(t, disk)
				}
				for state := range disk.CrashStates() {
					states++
					s.requireOldOrNew(t, state)
					// The next process saves there too, and durably.
					if stored, err := s.open(t, state)(t.Context()); stored != id || err != nil {
						t.Errorf("the next process: got %q, %v (%s)", stored, err, state.Origin())
					}
					s.requireDurableInAny(t, state)
				}
			})
			t.Logf("%d states", states)
		})
	}
}
