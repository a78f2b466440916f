package keeper_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollcall-dev/rollcall/internal/keeper"
	"github.com/rollcall-dev/rollcall/internal/replace"
	"github.com/rollcall-dev/rollcall/internal/test/faultfs"
)

const day = 24 * time.Hour

// untilNow lets the clock, which begins in 2000, show a time that can be right.
func untilNow() { time.Sleep(time.Until(time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC))) }

const (
	ownLayer = "it lies on the container's own layer, which is removed with the container; mount a directory of the machine for it"
	inTmpfs  = "it lies in memory (tmpfs), which is empty after a restart; mount a directory of the machine for it"
)

func doubted(k *keeper.Keeper, reason string) string {
	return "WARN Installation ID counts as in-memory (its disk may not last) id=" + k.ID().Short() + " reason=" + reason +
		" note=it counts as persisted once it has been there for 30 days; where the disk lasts, set ROLLCALL_TRUST_DISK=true"
}

// TestDoubtfulDisk keeps an ID where it may not last, in each of the ways. It
// counts as in-memory, although it stays the same, until it has survived for 30
// days.
func TestDoubtfulDisk(t *testing.T) {
	for _, tt := range []struct {
		name          string
		change        func(*setup)
		point, fstype string
		reason, since string
	}{
		{"config", func(*setup) {}, "/", "overlay", ownLayer, "/srv/app/.config.json.rollcall-since"},
		{"config in memory", func(*setup) {}, "/srv", "tmpfs", inTmpfs, "/srv/app/.config.json.rollcall-since"},
		{"state directory", func(s *setup) { s.AnchorDir = "/var/lib/app" }, "/", "overlay", ownLayer, "/var/lib/app/.config.json.rollcall-since"},
		{"state file", inStateFile, "/", "overlay", ownLayer, "/var/lib/app/.installation-id.rollcall-since"},
	} {
		synctest.Test(t, func(t *testing.T) {
			t.Log(tt.name)
			untilNow()
			r := newRig(t, hostConfig)
			r.fs.MarkMount(tt.point, tt.fstype, "/")
			k := r.start(tt.change)
			id := k.ID().String()
			r.log.want(generated(k.ID()), doubted(k, tt.reason), started(false))
			st := k.Status()
			if st.Persisted || !st.Stored || st.Provisional || st.Incomplete || st.Reason != tt.reason || st.LastError != "" {
				t.Errorf("got %+v", st)
			}
			time.Sleep(10 * day)
			r.wantState(k, id, false)
			r.stop(k)

			// Another process, as after a restart.
			r.log.reset()
			k = r.start(tt.change)
			r.log.want(doubted(k, tt.reason), started(false))
			r.wantState(k, id, false)
			line, _ := r.fs.ReadFile(tt.since)
			time.Sleep(20*day - 2*time.Hour)
			r.wantState(k, id, false)
			time.Sleep(4 * time.Hour)
			r.wantState(k, id, true)
			if st := k.Status(); st.Reason != "" {
				t.Errorf("after 30 days: got reason %q", st.Reason)
			}
			r.stop(k)
			if again, _ := r.fs.ReadFile(tt.since); string(again) != string(line) || strings.Contains(string(line), id) {
				t.Errorf("got %q, and later %q", line, again)
			}

			// From now on it is an ID like others.
			r.log.reset()
			r.fs.ResetLog()
			k = r.start(tt.change)
			r.log.want(started(true))
			r.wantState(k, id, true)
			r.wantNoMutation()

			// A new one has to prove itself.
			if _, err := k.Reset(t.Context()); err != nil {
				t.Fatal(err)
			}
			r.wantState(k, k.ID().String(), false)
			r.stop(k)
		})
	}
}

// TestDoubtfulDiskKnown is about configs and anchors that are not equally safe.
func TestDoubtfulDiskKnown(t *testing.T) {
	apart := func(s *setup) { s.AnchorDir = "/var/lib/app" }
	for name, tt := range map[string]struct {
		mount     string // what lies in memory
		change    func(*setup)
		persisted bool
	}{
		"the config does not last, the anchor does": {"/srv/app", apart, true},
		"the anchor does not last, the config does": {"/var/lib", apart, true},
		"neither lasts":                    {"/", apart, false},
		"the operator says that they last": {"/", func(s *setup) { s.TrustDisk = true }, true},
	} {
		synctest.Test(t, func(t *testing.T) {
			untilNow()
			r := newRig(t, hostConfig)
			r.fs.MkdirAll("/var/lib/app", 0o755)
			r.fs.MarkMount(tt.mount, "tmpfs", "/")
			for range 2 { // at the start that saves, and at the next
				k := r.start(tt.change)
				if st := k.Status(); st.Persisted != tt.persisted || (st.Reason == "") != tt.persisted {
					t.Errorf("%s: got %+v", name, st)
				}
				time.Sleep(3 * time.Hour)
				r.stop(k)
			}
			isSince := func(file string) bool { return strings.HasSuffix(file, ".rollcall-since") }
			if slices.ContainsFunc(r.fs.Files(), isSince) == tt.persisted {
				t.Errorf("%s: got files %q", name, r.fs.Files())
			}
		})
	}
}

// TestDoubtfulDiskReadOnly writes nothing beside a read-only config.
func TestDoubtfulDiskReadOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		untilNow()
		r := newRig(t, withID(knownID))
		r.fs.Chmod(configPath, 0o444)
		r.fs.MarkMount("/", "overlay", "/")
		k := r.start()
		time.Sleep(40 * day)
		r.wantState(k, knownID, false)
		r.wantNoMutation()
		r.stop(k)
	})
}

// TestDoubtfulDiskClock begins the 30 days when the clock can be right, and
// again when it was wrong.
func TestDoubtfulDiskClock(t *testing.T) {
	const since = "/srv/app/.config.json.rollcall-since"
	synctest.Test(t, func(t *testing.T) { // which begins in 2000
		r := newRig(t, hostConfig)
		r.fs.MarkMount("/", "overlay", "/")
		k := r.start()
		time.Sleep(40 * day)
		r.wantState(k, k.ID().String(), false)
		if _, err := r.fs.ReadFile(since); err == nil {
			t.Error("recorded a time that cannot be right")
		}
		r.stop(k)
		untilNow()
		k = r.start()
		time.Sleep(2 * time.Hour)
		line, _ := r.fs.ReadFile(since)
		if !strings.HasPrefix(string(line), "2026-06-01T") {
			t.Errorf("got %q", line)
		}
		r.stop(k)
		// Written by a clock that was ahead.
		r.fs.WriteFile(since, []byte("2030"+string(line[4:])), 0o644)
		k = r.start()
		time.Sleep(2 * time.Hour)
		if again, _ := r.fs.ReadFile(since); !strings.HasPrefix(string(again), "2026-06-01T") {
			t.Errorf("got %q", again)
		}
		r.stop(k)
	})
}

// TestDoubtfulCopyFails lets only the copy fail: as elsewhere, the start does
// not wait for further attempts.
func TestDoubtfulCopyFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		untilNow()
		r := newRig(t, hostConfig)
		r.fs.MarkMount("/", "overlay", "/")
		r.fs.Inject(faultfs.Rule{Op: faultfs.OpExchange, Name: "config.json", Err: errors.New("broken"), Times: 2})
		begin := time.Now()
		k := r.start()
		if took := time.Since(begin); took != 0 {
			t.Errorf("the start took %v", took)
		}
		time.Sleep(time.Minute)
		r.wantFile(configPath, withID(k.ID().String()))
		r.wantState(k, k.ID().String(), false)
		r.stop(k)
	})
}

// TestReplacedSource has a config that was replaced where it is mounted from.
// What it holds is used and not called persisted, and nothing is written to it.
func TestReplacedSource(t *testing.T) {
	for name, tt := range map[string]struct {
		config string
		change func(*setup)
		want   bool
	}{
		"with an ID":                       {withID(knownID), func(*setup) {}, false},
		"without an ID":                    {hostConfig, func(*setup) {}, false},
		"without an ID, a state directory": {hostConfig, func(s *setup) { s.AnchorDir = "/var/lib/app" }, true},
	} {
		synctest.Test(t, func(t *testing.T) {
			untilNow()
			r := newRig(t, tt.config)
			r.fs.MarkReplaced(configPath)
			for range 2 {
				k := r.start(tt.change)
				st := k.Status()
				if st.Persisted != tt.want || !tt.want && !strings.Contains(st.Reason, "replaced where it is mounted from") {
					t.Errorf("%s: got %+v", name, st)
				}
				if tt.config != hostConfig {
					r.wantState(k, knownID, false)
				}
				time.Sleep(40 * day) // however long that lasts
				r.wantState(k, k.ID().String(), tt.want)
				if !tt.want && tt.config == hostConfig && !strings.Contains(k.Status().LastError, replace.ErrReplaced.Error()) {
					t.Errorf("%s: got %+v", name, k.Status())
				}
				r.stop(k)
			}
			r.wantFile(configPath, tt.config)
		})
	}
}
