package engine_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/engine"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/figures"
	"github.com/rollcall-dev/rollcall/cmd/internal/test/race"
	"github.com/rollcall-dev/rollcall/report"
)

// The values that an installation w has now, and what it had first.
const (
	nowVersion   = `(SELECT b.version FROM beat b WHERE b.id = w.id ORDER BY b.at DESC LIMIT 1)`
	nowSystem    = `(SELECT b.system FROM beat b WHERE b.id = w.id ORDER BY b.at DESC LIMIT 1)`
	nowFact      = `(SELECT b.fact FROM beat b WHERE b.id = w.id ORDER BY b.at DESC LIMIT 1)`
	beganVersion = `(SELECT b.version FROM beat b WHERE b.id = w.id ORDER BY b.at LIMIT 1)`
	beganDay     = `(SELECT min(b.day) FROM beat b WHERE b.id = w.id)`
)

// segmentsOf returns segments of an app that began on a day, each with the
// condition that its members fulfil.
func segmentsOf(first collector.Day) map[string]string {
	week := first.Week()
	return map[string]string{
		`system=windows`:               nowSystem + ` = 'windows'`,
		`os=windows,linux version=1.x`: nowVersion + ` IN ('1.0', '1.1', '1.10')`,
		`version=1.1*`:                 nowVersion + ` IN ('1.1', '1.10')`,
		`version=2.0.x`:                nowVersion + ` IN ('2.0', '2.0-rc.1')`,
		`version<1.10 system=linux`:    nowVersion + ` IN ('1.0', '1.1') AND ` + nowSystem + ` = 'linux'`,
		`version>=1.1 version<2.0`:     nowVersion + ` IN ('1.1', '1.10', '2.0-rc.1')`,
		`f=a,b`:                        nowFact + ` IN ('a', 'b')`,
		`f=""`:                         nowFact + ` = ''`,
		`first_version=1.0,2.0`:        beganVersion + ` IN ('1.0', '2.0')`,
		`first_seen=` + first.String(): fmt.Sprintf(`%s = %d`, beganDay, first),
		fmt.Sprintf(`first_seen=%s..%s`, week+7, week+13): fmt.Sprintf(`%s BETWEEN %d AND %d`, beganDay, week+7, week+13),
		`system=linux first_seen=` + first.String()[:7]:   fmt.Sprintf(`%s = 'linux' AND %s BETWEEN %d AND %d`, nowSystem, beganDay, first.Month(), collector.GrainMonth.Next(first.Month())-1),
		`country=de`: `false`, // nobody has a country
	}
}

// checkSegments compares the figures of one in n segments with the reference,
// beginning with the i-th.
func (tr *truth) checkSegments(r *rig, first collector.Day, i, n int) {
	segments := segmentsOf(first)
	for k, text := range slices.Sorted(maps.Keys(segments)) {
		if k%n != i%n {
			continue
		}
		condition := segments[text]
		segment, err := collector.ParseSegment(text)
		if err != nil {
			tr.t.Fatal(err)
		}
		tr.exec(`DELETE FROM other`)
		tr.exec(`INSERT INTO other SELECT DISTINCT id FROM beat w WHERE NOT (` + condition + `)`)
		tr.view = figures.View{Segment: segment}
		tr.checkSegment(r, first)
		tr.view = figures.View{}
	}
	tr.exec(`DELETE FROM other`)
}

func (tr *truth) checkSegment(r *rig, first collector.Day) {
	everything := collector.Range{From: first, To: today()}
	if _, err := r.e.Series(r.t.Context(), r.app.Num, everything, tr.view); errors.Is(err, collector.ErrDimension) &&
		tr.number(`SELECT count(*) FROM (SELECT DISTINCT id FROM beat) w WHERE `+nowFact+` <> ''`) == 0 {
		return // nobody has the fact any more, and midnight has freed its place
	} else if err != nil {
		tr.t.Fatalf("%s: %v", tr.view.Segment, err)
	}
	for _, day := range []collector.Day{first, first + 1, first + 7, (first + today()) / 2, today() - 31, today() - 6, today() - 1, today()} {
		if first <= day && day <= today() {
			tr.checkDay(r, day)
		}
	}
	series, err := r.e.Series(r.t.Context(), r.app.Num, everything, tr.view)
	if err != nil {
		tr.t.Fatal(err)
	}
	if len(series.Points) != int(today()-first)+1 || series.Segment != tr.view.Segment.String() {
		tr.t.Errorf("%s: got %d points of %q from %s on", tr.view.Segment, len(series.Points), series.Segment, first)
	}
	tr.checkRetention(r, first, today())
	tr.checkFaults(r, first, today())
	tr.checkFaults(r, max(first, today()-7), today())
	tr.checkTrend(r, "system", first, today())
	tr.checkPairs(r, today())
	tr.checkVersionDetails(r, first, today(), nil)
	tr.checkFaultDetails(r, first, today())
	tr.checkSurvival(r, today())
	versions, err := r.e.Versions(r.t.Context(), r.app.Num, everything, tr.view)
	if err != nil {
		tr.t.Fatal(err)
	}
	active := tr.counts(`SELECT value, count(*) FROM (SELECT `+tr.state("version")+` AS value FROM (
		SELECT DISTINCT id FROM days WHERE day > ?1 - 28 AND day <= ?1) w) GROUP BY value`, today())
	for _, release := range versions.Releases {
		if *release.Active != active[release.Version] {
			tr.t.Errorf("%s: %s: got %d active, want %d", tr.view.Segment, release.Version, *release.Active, active[release.Version])
		}
	}
	if len(versions.Releases) != len(active) || len(versions.Moves) > 0 || versions.Upgrades != nil {
		tr.t.Errorf("%s: got %d releases and %d moves, want %d and none", tr.view.Segment, len(versions.Releases), len(versions.Moves), len(active))
	}
	if _, err := r.e.Trend(r.t.Context(), r.app.Num, collector.DimVersion, 7, everything, 2, tr.view); !errors.Is(err, engine.ErrNotSegmented) {
		tr.t.Errorf("%s: got %v for the versions of past days", tr.view.Segment, err)
	}
	public := tr.view
	public.Public = true
	if _, err := r.e.Series(r.t.Context(), r.app.Num, everything, public); !errors.Is(err, collector.ErrNotPublic) {
		tr.t.Errorf("the public gets figures of a segment: %v", err)
	}
}

// TestSegments compares segments with the reference in the first hour, day, and
// week of an app, and later, on every weekday.
func TestSegments(t *testing.T) {
	t.Parallel()
	weekdays := 7
	if race.Enabled {
		weekdays = 1
	}
	for weekday := range weekdays {
		for _, length := range []int{0, 1, 6, 40} {
			t.Run(fmt.Sprintf("%d/%d days", weekday, length), func(t *testing.T) {
				t.Parallel()
				inBubble(t, func(t *testing.T, r *rig) {
					tr := newTruth(t)
					defer tr.db.Close()
					random := newRandom(uint64(weekday*100 + length))
					time.Sleep(time.Duration(60+weekday) * 24 * time.Hour)
					first, at, faults := today(), 0, 0
					r.app = r.addApp(collector.App{Key: "late"})
					tr.checkSegments(r, first, weekday, 7) // before the first report
					for day := range length + 1 {
						for n := range 12 {
							if random.IntN(3) == 0 || n > day+3 {
								continue
							}
							h := r.heartbeat(n, versions[random.IntN(len(versions))])
							h.Heartbeat.Platform.System = []string{"linux", "windows"}[random.IntN(2)]
							fact := []string{"", "a", "b"}[random.IntN(3)]
							if fact != "" {
								h.Heartbeat.Facts = report.Facts{{Name: "f", Value: fact}}
							}
							r.send(h)
							at++
							tr.exec(`INSERT INTO beat VALUES (?, ?, ?, ?, ?, ?)`, today(), n, h.Heartbeat.Version, h.Heartbeat.Platform.System, fact, at)
							if random.IntN(4) == 0 {
								faults++
								sick := r.health(n, faults, first.Time(), "disk-full")
								sick.Report.Version = h.Heartbeat.Version
								r.reports(sick)
								tr.exec(`INSERT INTO faulted VALUES (?, ?, 'disk-full', ?, ?)`, today(), n, 1, h.Heartbeat.Version)
							}
						}
						if day == 0 || day == length {
							time.Sleep(time.Minute)
							tr.checkSegments(r, first, weekday+day, 4)
						}
						r.nextDay()
					}
				})
			})
		}
	}
}

// TestSegmentsForget: a segment of days of first sight has no installation that was
// forgotten, and neither has what was kept of older days.
func TestSegmentsForget(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		first := today()
		for range 70 {
			r.sends(0, 4, "1.0")
			r.nextDay()
		}
		for _, text := range []string{"first_seen=" + first.String(), "version=1.0", `country=""`} {
			segment, err := collector.ParseSegment(text)
			if err != nil {
				t.Fatal(err)
			}
			v := figures.View{Segment: segment}
			before := r.pointOf(first+35, v)
			r.wants(text+": active", before.Active.Days28, 4)
		}
		if _, err := r.e.Forget(t.Context(), id(2)); err != nil {
			t.Fatal(err)
		}
		for _, text := range []string{"first_seen=" + first.String(), "version=1.0", `country=""`} {
			segment, _ := collector.ParseSegment(text)
			v := figures.View{Segment: segment}
			r.wants(text+": active once one is forgotten", r.pointOf(first+35, v).Active.Days28, 3)
			cohorts, err := r.e.Retention(t.Context(), r.app.Num, collector.GrainWeek, collector.Range{From: first, To: today()}, v)
			if err != nil {
				t.Fatal(err)
			}
			r.wants(text+": cohort", cohorts.Cohorts[0].Size, 3)
		}
	})
}

// TestSegmentReach: days whose bits are purged are left out, whatever the retention
// is by now, and so are days whose figures were imported.
func TestSegmentReach(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.app.Retention = collector.MinRetention
		if err := r.e.UpdateApp(t.Context(), r.app); err != nil {
			t.Fatal(err)
		}
		first := today()
		for range 100 {
			r.sends(0, 3, "1.0")
			r.nextDay()
		}
		r.sends(0, 3, "1.0")
		r.app.Retention = collector.DefaultRetention
		if err := r.e.UpdateApp(t.Context(), r.app); err != nil {
			t.Fatal(err)
		}
		segment, err := collector.ParseSegment("version=1.0")
		if err != nil {
			t.Fatal(err)
		}
		series, err := r.e.Series(t.Context(), r.app.Num, collector.Range{From: first, To: today()}, figures.View{Segment: segment})
		if err != nil {
			t.Fatal(err)
		}
		if series.Reaches < today()-collector.MinRetention || series.Reaches > today()-collector.MinRetention+8 {
			t.Errorf("got a reach of %s, want about %s", series.Reaches, today()-collector.MinRetention)
		}
		for _, p := range series.Points {
			r.wants(p.Day.String(), p.Active.Days30, 3)
		}
		if days := slices.Collect(func(yield func(collector.Day) bool) {
			for _, p := range series.Points {
				if !yield(p.Day) {
					return
				}
			}
		}); len(days) < 20 || days[0] != series.Reaches+30 {
			t.Errorf("got days %v, want those from the reach and 30 days on", days)
		}
	})
}
