package alert_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/alert"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/figures"
)

// Each kind of rule fires once, not again after a restart, and is resolved once.
// A figure near the threshold does not flicker.
func TestRules(t *testing.T) {
	order := []string{"2.0", "1.0"}
	many := map[string]uint64{"2.0": 500, "1.0": 500}
	faults := func(newest, older uint64) map[string]map[string]uint64 {
		return map[string]map[string]uint64{"decode": {"2.0": newest, "1.0": older}}
	}
	step := func(share float64) []figures.FloorStep {
		return []figures.FloorStep{{Version: "2.1", Share: share / 2}, {Version: "2.0", Share: share}, {Version: "1.0", Share: 1}}
	}
	for name, tt := range map[string]struct {
		rule              string
		calm, alarm, near func(f *fake)
		over              func(f *fake)
		want              string
	}{
		"active drop": {
			rule:  `{"kind":"active_drop","percent":30}`,
			calm:  func(f *fake) { f.days(repeat(100, 40, 71, 5)...) },
			alarm: func(f *fake) { f.days(repeat(100, 40, 60, 5)...) },
			near:  func(f *fake) { f.days(repeat(100, 40, 72, 5)...) },
			over:  func(f *fake) { f.days(repeat(100, 40, 74, 5)...) },
			want:  "active installations dropped by 40%: 60 on 1999-12-31, compared with an average of 100 on that weekday",
		},
		"fault rate": {
			rule:  `{"kind":"fault_rate","percent":100}`,
			calm:  func(f *fake) { f.releases(many, order, faults(39, 20)) },
			alarm: func(f *fake) { f.releases(many, order, faults(50, 20)) },
			near:  func(f *fake) { f.releases(many, order, faults(39, 20)) },
			over:  func(f *fake) { f.releases(many, order, faults(37, 20)) },
			want:  "camera: decode affects 100 per 1,000 installations of 2.0, compared with 40 of 1.0",
		},
		"adoption": {
			rule:  `{"kind":"adoption","percent":50,"version":"2.0"}`,
			calm:  func(f *fake) { f.steps = step(.49) },
			alarm: func(f *fake) { f.steps = step(.5) },
			near:  func(f *fake) { f.steps = step(.46) },
			over:  func(f *fake) { f.steps = step(.44) },
			want:  "50% of the active installations run 2.0 or newer",
		},
		"silence": {
			rule:  `{"kind":"silence","hours":1}`,
			calm:  func(f *fake) { f.days(9, 9); f.asOf = time.Now() },
			alarm: func(f *fake) { f.days(9, 9); f.asOf = time.Now().Add(-12 * time.Hour) },
			near:  func(f *fake) { f.days(0, 0) }, // a week without reports has passed
			over:  func(f *fake) { f.days(9, 9); f.asOf = time.Now().Add(time.Minute) },
			want:  "no report was counted for 1 h",
		},
		"burst": {
			rule:  `{"kind":"new_burst","percent":200}`,
			calm:  func(f *fake) { f.days(repeat(20, 20, 59)...) },
			alarm: func(f *fake) { f.days(repeat(20, 20, 60)...) },
			near:  func(f *fake) { f.days(repeat(20, 20, 57)...) },
			over:  func(f *fake) { f.days(repeat(20, 20, 55)...) },
			want:  "60 new installations today, compared with an average of 20.0 on the days before",
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, tt.rule)
				tt.calm(r.f)
				r.run(11 * time.Minute)
				r.wants("calm", "")
				if got := r.status(); got != "" {
					t.Errorf("calm: got status %q", got)
				}
				r.f.asOf = time.Now()
				tt.alarm(r.f)
				r.run(time.Hour + 6*time.Minute)
				r.wants("alarm", "firing "+tt.want)
				r.run(time.Hour)
				r.wants("the alarm goes on", "")
				r.restart()
				r.run(21 * time.Minute)
				r.wants("after a restart", "")
				tt.near(r.f)
				r.run(11 * time.Minute)
				r.wants("near the mark", "")
				r.f.broken = true
				r.run(11 * time.Minute)
				r.f.broken = false
				r.wants("figures that cannot be read", "")
				tt.over(r.f)
				r.run(11 * time.Minute)
				r.wants("over", "resolved Resolved: "+tt.want)
				r.run(11 * time.Minute)
				r.wants("still over", "")
			})
		})
	}
}

// Unknown figures neither fire nor resolve an alert.
func TestUnknown(t *testing.T) {
	gap := func(f *fake, ago int) { f.points[len(f.points)-1-ago].Gap = true }
	for name, tt := range map[string]struct {
		rule           string
		alarm, unknown func(f *fake)
	}{
		"drop: the collector did not run": {
			`{"kind":"active_drop","percent":30}`,
			func(f *fake) { f.days(repeat(100, 40, 10, 5)...) },
			func(f *fake) { f.days(repeat(100, 40, 10, 5)...); gap(f, 1) },
		},
		"drop: too few": {
			`{"kind":"active_drop","percent":30,"least":50}`,
			func(f *fake) { f.days(repeat(50, 40, 10, 5)...) },
			func(f *fake) { f.days(repeat(49, 40, 10, 5)...) },
		},
		"drop: too young": {
			`{"kind":"active_drop","percent":30}`,
			func(f *fake) { f.days(repeat(100, 7, 10, 5)...) },
			func(f *fake) { f.days(repeat(100, 6, 10, 5)...) },
		},
		"faults: one release": {
			`{"kind":"fault_rate","percent":50}`,
			func(f *fake) {
				f.releases(map[string]uint64{"2.0": 100, "1.0": 30}, []string{"2.0", "1.0"}, map[string]map[string]uint64{"x": {"2.0": 50}})
			},
			func(f *fake) {
				f.releases(map[string]uint64{"2.0": 100, "1.0": 29}, []string{"2.0", "1.0"}, map[string]map[string]uint64{"x": {"2.0": 50}})
			},
		},
		"burst: too young": {
			`{"kind":"new_burst","percent":50}`,
			func(f *fake) { f.days(1, 1, 1, 100) },
			func(f *fake) { f.days(1, 1, 100) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, tt.rule)
				tt.unknown(r.f)
				r.run(6 * time.Minute)
				r.wants("unknown", "")
				tt.alarm(r.f)
				r.run(6 * time.Minute)
				if got := r.b.take(); got == "" {
					t.Error("no message about the alarm")
				}
				tt.unknown(r.f)
				r.run(6 * time.Minute)
				r.wants("unknown after the alarm", "")
			})
		})
	}
}

// A fault fires if chance does not explain it, in releases that are large
// enough. Each fault is a line of its own.
func TestFaults(t *testing.T) {
	for name, tt := range map[string]struct {
		versions map[string]uint64
		order    []string
		faults   map[string]map[string]uint64
		want     string
	}{
		"the older release has no faults at all": {
			map[string]uint64{"2.0": 100, "1.0": 100}, []string{"2.0", "1.0"},
			map[string]map[string]uint64{"x": {"2.0": 10}}, "firing camera: x affects 100 per 1,000 installations of 2.0, compared with 0 of 1.0",
		},
		"one of thirty": {
			map[string]uint64{"2.0": 30, "1.0": 500}, []string{"2.0", "1.0"}, map[string]map[string]uint64{"x": {"2.0": 1}}, "",
		},
		"twice as many, and still chance": {
			map[string]uint64{"2.0": 100, "1.0": 1000}, []string{"2.0", "1.0"}, map[string]map[string]uint64{"x": {"2.0": 6, "1.0": 30}}, "",
		},
		"fewer than before": {
			map[string]uint64{"2.0": 100, "1.0": 100}, []string{"2.0", "1.0"}, map[string]map[string]uint64{"x": {"2.0": 20, "1.0": 40}}, "",
		},
		"small releases and development versions do not count": {
			map[string]uint64{"4.0-dev": 100, "3.0": 29, "2.0": 100, "1.0": 100, "other": 100}, []string{"4.0-dev", "3.0", "2.0", "1.0", "other"},
			map[string]map[string]uint64{"x": {"4.0-dev": 90, "3.0": 29, "2.0": 9, "1.0": 9}}, "",
		},
		"two faults": {
			map[string]uint64{"2.0": 100, "1.0": 100}, []string{"2.0", "1.0"},
			map[string]map[string]uint64{"x": {"2.0": 10}, "y": {"2.0": 20}},
			"firing camera: x affects 100 per 1,000 installations of 2.0, compared with 0 of 1.0\ncamera: y affects 200 per 1,000 installations of 2.0, compared with 0 of 1.0",
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, `{"kind":"fault_rate","percent":50}`)
				r.f.releases(tt.versions, tt.order, tt.faults)
				r.run(6 * time.Minute)
				r.wants("faults", tt.want)
			})
		})
	}
	synctest.Test(t, func(t *testing.T) {
		versions, order := map[string]uint64{"2.0": 100, "1.0": 100}, []string{"2.0", "1.0"}
		r := newRig(t, `{"kind":"fault_rate","percent":50}`)
		r.f.releases(map[string]uint64{"9.0": 100, "2.0": 100, "1.0": 100}, []string{"9.0", "2.0", "1.0"}, map[string]map[string]uint64{"x": {"2.0": 10}})
		r.f.doubtful = "9.0"
		r.run(6 * time.Minute)
		r.wants("beside an invented release", "firing camera: x affects 100 per 1,000 installations of 2.0, compared with 0 of 1.0")
		r.f.releases(versions, order, nil)
		r.run(6 * time.Minute)
		r.b.take()
		r.f.releases(versions, order, map[string]map[string]uint64{"x": {"2.0": 10}})
		r.f.faults[0].Status = collector.FaultIgnored
		r.run(6 * time.Minute)
		r.wants("an ignored fault", "")
		r.f.faults[0].Status = collector.FaultFixed
		r.run(6 * time.Minute)
		r.wants("a fixed fault", "firing camera: x affects 100 per 1,000 installations of 2.0, compared with 0 of 1.0")
		r.f.releases(versions, order, map[string]map[string]uint64{"x": {"2.0": 10}, "y": {"2.0": 20}})
		r.run(6 * time.Minute)
		r.wants("another fault", "firing camera: y affects 200 per 1,000 installations of 2.0, compared with 0 of 1.0")
		crowd := map[string]map[string]uint64{}
		for i := range 100 {
			crowd[fmt.Sprintf("z%02d", i)] = map[string]uint64{"2.0": 50}
		}
		r.f.releases(versions, order, crowd)
		r.run(6 * time.Minute)
		said := r.b.take()
		if n := len(lines(said)); n != 2+alert.MaxLines {
			t.Errorf("a crowd: got %d lines:\n%s", n, said)
		}
		if n := len(lines(r.status())); n > alert.MaxFiring+1 {
			t.Errorf("a crowd: the status has %d lines", n)
		}
	})
}

// The time during which the collector did not run is no silence. An app without
// installations is not silent, and one that is gone may be.
func TestSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, `{"kind":"silence","hours":2}`)
		r.f.days(9, 9)
		r.f.asOf = time.Now().Add(-50 * time.Hour) // the collector was off until now
		r.run(110 * time.Minute)
		r.wants("just started", "")
		r.restart()
		r.run(110 * time.Minute)
		r.wants("started again", "")
		r.f.days(0, 0)
		r.run(5 * time.Hour)
		r.wants("nobody uses it", "")
		r.f.days(9, 9)
		r.f.apps[0].Gone = true
		r.run(5 * time.Hour)
		r.wants("gone", "")
		r.f.apps[0].Gone = false
		r.run(125 * time.Minute)
		r.wants("silent", "firing no report was counted for 2 h")
		r.restart()
		r.f.asOf = time.Now().Add(-time.Minute) // as of a collector that has counted nothing since it started
		r.run(3 * time.Hour)
		r.wants("silent after a restart", "")
		r.f.dayEnds = true
		r.run(25 * time.Hour)
		r.wants("the day ends during an evaluation", "")
		r.f.dayEnds = false
		r.f.apps[0].Gone = true
		r.run(6 * time.Minute)
		if got := r.status(); len(lines(got)) != 1 {
			t.Errorf("gone: got status %q", got)
		}
	})
}
