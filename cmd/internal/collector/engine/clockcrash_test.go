package engine_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
)

// S1 and S11 in docs/failures.md: wherever the collector is killed between the
// jump and the confirmation, what it acknowledged is counted once.
func TestCrashWhileHeld(t *testing.T) {
	t.Parallel()
	for name, script := range map[string][]func(r *rig) error{
		"confirmed": {
			func(r *rig) error { r.jump(20 * day); return nil },
			func(r *rig) error { return r.try(30, "2.0") },
			func(r *rig) error { return r.try(0, "2.0") },
			func(r *rig) error { time.Sleep(2 * time.Minute); return r.try(1, "2.0") },
			func(r *rig) error { return r.try(2, "2.0") },
			func(r *rig) error { return r.try(3, "2.0") },
			func(r *rig) error { return r.try(1, "2.0") },
			func(r *rig) error { return r.try(0, "2.0") },
			func(r *rig) error { return r.try(2, "2.0") },
			func(r *rig) error { return r.try(31, "2.0") },
		},
		"returned": {
			func(r *rig) error { r.jump(-20 * day); return nil },
			func(r *rig) error { return r.tryLate(30) },
			func(r *rig) error { return r.tryLate(0) },
			func(r *rig) error { time.Sleep(2 * time.Minute); return r.tryLate(1) },
			func(r *rig) error { r.jump(20 * day); return r.tryLate(2) },
			func(r *rig) error { return r.tryLate(31) },
		},
		"back from the future": {
			func(r *rig) error { r.jump(10 * day); _, _, err := r.e.FixDay(r.t.Context()); return err },
			func(r *rig) error { return r.try(30, "2.0") },
			func(r *rig) error { return r.try(0, "2.0") },
			func(r *rig) error {
				r.offset.Store(0)
				_, _, err := r.e.FixDay(r.t.Context())
				return err
			},
			func(r *rig) error { return r.try(1, "2.0") },
			func(r *rig) error { return r.try(31, "2.0") },
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run := func(kill int) (text string, commits int) {
				inBubble(t, func(t *testing.T, r *rig) {
					r.knownFleet(5, 20)
					before := r.store.Commits()
					if kill > 0 {
						r.store.FailAfter(kill-1, collector.ErrUnavailable)
					}
					for _, step := range script {
						offset := r.offset.Load()
						if err := step(r); err != nil {
							if !errors.Is(err, collector.ErrUnavailable) {
								t.Fatal(err)
							}
							r.crash() // which also ends the failure
							r.offset.Store(offset)
							if err := step(r); err != nil {
								t.Fatal(err)
							}
						}
					}
					commits = r.store.Commits() - before
					r.store.Fail(nil)
					r.crash()
					text = r.figures(33)
				})
				return text, commits
			}
			want, commits := run(0)
			if commits < len(script) {
				t.Errorf("got %d commits of %d steps", commits, len(script))
			}
			for kill := 1; kill <= commits; kill++ {
				got, _ := run(kill)
				sameLines(t, fmt.Sprintf("killed at commit %d", kill), got, want)
			}
		})
	}
}

// try sends a heartbeat of an installation whose clock agrees with the
// collector's, and tryLate one whose clock is right.
func (r *rig) try(n int, version string) error {
	h := r.heartbeat(n, version)
	h.Heartbeat.SentAt = r.clock()
	_, err := r.e.Heartbeat(r.t.Context(), h)
	return err
}

func (r *rig) tryLate(n int) error {
	_, err := r.e.Heartbeat(r.t.Context(), r.heartbeat(n, "2.0"))
	return err
}
