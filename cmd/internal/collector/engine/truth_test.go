package engine_test

import (
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	_ "modernc.org/sqlite" // the reference
	"pgregory.net/rapid"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/figures"
	"github.com/rollcall-dev/rollcall/report"
)

// The reference is brute force: every heartbeat is a row, and every figure is a
// query over the rows of the members: all installations, or those of a segment.
const truthSchema = `
CREATE TABLE beat (day INTEGER, id INTEGER, version TEXT, system TEXT, fact TEXT, at INTEGER);
CREATE TABLE faulted (day INTEGER, id INTEGER, reason TEXT, count INTEGER, version TEXT);
CREATE TABLE other (id INTEGER); -- not in the segment
CREATE TABLE aside (day INTEGER, id INTEGER, what TEXT);
CREATE TABLE report (day INTEGER, repeated INTEGER);
CREATE VIEW first AS SELECT id, min(day) AS day FROM beat WHERE id NOT IN other GROUP BY id;
CREATE VIEW days AS SELECT DISTINCT day, id FROM beat WHERE id NOT IN other;
CREATE VIEW fault AS SELECT * FROM faulted WHERE id NOT IN other;`

type truth struct {
	t  tester
	db *sql.DB
	// view has the segment that is checked.
	view figures.View
}

// A tester is a *testing.T or a *rapid.T.
type tester interface {
	Fatal(args ...any)
	Fatalf(format string, args ...any)
	Errorf(format string, args ...any)
}

func newTruth(t tester) *truth {
	db, err := sql.Open("sqlite", ":memory:")
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	if _, err := db.Exec(truthSchema); err != nil {
		t.Fatal(err)
	}
	return &truth{t: t, db: db}
}

func (tr *truth) exec(query string, args ...any) {
	if _, err := tr.db.Exec(query, args...); err != nil {
		tr.t.Fatal(err)
	}
}

func (tr *truth) number(query string, args ...any) uint64 {
	var n uint64
	if err := tr.db.QueryRow(query, args...).Scan(&n); err != nil {
		tr.t.Fatalf("%s: %v", query, err)
	}
	return n
}

func (tr *truth) counts(query string, args ...any) map[string]uint64 {
	rows, err := tr.db.Query(query, args...)
	if err != nil {
		tr.t.Fatalf("%s: %v", query, err)
	}
	defer rows.Close()
	counts := map[string]uint64{}
	for rows.Next() {
		var value string
		var n uint64
		if err := rows.Scan(&value, &n); err != nil {
			tr.t.Fatal(err)
		}
		counts[value] = n
	}
	return counts
}

func (tr *truth) wants(what string, got figures.Count, query string, args ...any) {
	tr.equals(what, got, tr.number(query, args...))
}

func (tr *truth) equals(what string, got figures.Count, want uint64) {
	if got == nil {
		tr.t.Errorf("%s: hidden, want %d", what, want)
	} else if *got != want {
		tr.t.Errorf("%s: got %d, want %d", what, *got, want)
	}
}

// state selects the value that an installation had in a column at the end of a
// day; for a segment, that it has now.
func (tr *truth) state(column string) string {
	until := "b.day <= ?1"
	if !tr.view.Segment.Empty() {
		until = "true"
	}
	return fmt.Sprintf(`(SELECT b.%s FROM beat b WHERE b.id = w.id AND %s ORDER BY b.at DESC LIMIT 1)`, column, until)
}

// checkDay compares all figures of a day with the reference.
func (tr *truth) checkDay(r *rig, day collector.Day) {
	p := r.pointOf(day, tr.view)
	for name, tt := range map[string]struct {
		active figures.Active
		min    int
	}{"raw": {p.Active, 1}, "established": {p.Established, 2}} {
		for days, got := range map[int]figures.Count{1: tt.active.Day, 7: tt.active.Week, 28: tt.active.Days28, 30: tt.active.Days30} {
			tr.wants(fmt.Sprintf("%s: %s active in %d days", day, name, days), got, `SELECT count(*) FROM (
				SELECT DISTINCT id FROM days WHERE day > ?1 - ?2 AND day <= ?1) w
				WHERE (SELECT count(*) FROM days d WHERE d.id = w.id AND d.day <= ?1) >= ?3`, day, days, tt.min)
		}
	}
	tr.wants(day.String()+": new", p.New, `SELECT count(*) FROM first WHERE day = ?`, day)
	tr.wants(day.String()+": returning", p.Returning, `SELECT count(*) FROM days w JOIN first f USING (id) WHERE w.day = ?1 AND f.day < ?1
		AND NOT EXISTS (SELECT 1 FROM days d WHERE d.id = w.id AND d.day BETWEEN ?1 - 28 AND ?1 - 1)`, day)
	tr.wants(day.String()+": lost", p.Lost, `SELECT count(*) FROM days w WHERE w.day = ?1 - 28
		AND NOT EXISTS (SELECT 1 FROM days d WHERE d.id = w.id AND d.day BETWEEN ?1 - 27 AND ?1)`, day)
	tr.median(r, day)
	if tr.view.Segment.Empty() {
		tr.wants(day.String()+": in memory", p.InMemory, `SELECT count(DISTINCT id) FROM aside WHERE day = ? AND what = 'memory'`, day)
		tr.wants(day.String()+": excluded", p.Excluded, `SELECT count(DISTINCT id) FROM aside WHERE day = ? AND what = 'excluded'`, day)
	} else if p.InMemory != nil || p.Excluded != nil || *p.Forgotten != 0 {
		tr.t.Errorf("%s: a segment has figures of what is no installation", day)
	}
	for dimension, column := range map[string]string{
		collector.DimVersion: "version", collector.DimSystem: "system", collector.FactDimension + "f": "fact",
	} {
		for _, window := range []int{1, 7, 28, 30} {
			b, err := r.e.Breakdown(r.t.Context(), r.app.Num, dimension, window, day, tr.view)
			if err != nil {
				tr.t.Fatal(err)
			}
			want := tr.counts(`SELECT value, count(*) FROM (SELECT `+tr.state(column)+` AS value FROM (
				SELECT DISTINCT id FROM days WHERE day > ?1 - ?2 AND day <= ?1) w) WHERE value <> '' GROUP BY value`, day, window)
			tr.same(fmt.Sprintf("%s: %s in %d days", day, dimension, window), b.Values, want)
		}
	}
	floor, err := r.e.Floor(r.t.Context(), r.app.Num, day, tr.view)
	if err != nil {
		tr.t.Fatal(err)
	}
	for _, step := range floor.Steps {
		newer := []string{}
		for _, v := range versions {
			if report.CompareVersions(v, step.Version) >= 0 {
				newer = append(newer, v)
			}
		}
		var kept uint64
		for _, v := range newer {
			kept += tr.number(`SELECT count(*) FROM (SELECT DISTINCT id FROM days WHERE day > ?1 - 28 AND day <= ?1) w
				WHERE `+tr.state("version")+` = ?2`, day, v)
		}
		if *step.Kept != kept {
			tr.t.Errorf("%s: floor %s: got %d kept, want %d", day, step.Version, *step.Kept, kept)
		}
	}
}

// median compares the median age, the lower of two, with the reference.
func (tr *truth) median(r *rig, day collector.Day) {
	s, err := r.e.Series(r.t.Context(), r.app.Num, collector.Range{From: day, To: day}, tr.view)
	if err != nil {
		tr.t.Fatal(err)
	}
	const active = `FROM (SELECT DISTINCT id FROM days WHERE day > ?1 - 28 AND day <= ?1) JOIN first f USING (id)`
	n := tr.number(`SELECT count(*) `+active, day)
	if n == 0 {
		if s.MedianAge != nil {
			tr.t.Errorf("%s: median age without installations: got %d", day, *s.MedianAge)
		}
		return
	}
	tr.wants(day.String()+": median age", s.MedianAge, `SELECT ?1 - f.day `+active+` ORDER BY 1 LIMIT 1 OFFSET ?2`, day, (n-1)/2)
}

// checkTrend compares days of a trend with the reference.
func (tr *truth) checkTrend(r *rig, dimension string, from, to collector.Day) {
	const top = 2
	trend, err := r.e.Trend(r.t.Context(), r.app.Num, dimension, 7, collector.Range{From: from, To: to}, top, tr.view)
	if err != nil {
		tr.t.Fatal(err)
	}
	if len(trend.Points) != int(to-from)+1 {
		tr.t.Errorf("got %d points of a trend from %s to %s", len(trend.Points), from, to)
	}
	for _, p := range trend.Points[max(0, len(trend.Points)-9):] {
		want := tr.counts(`SELECT value, count(*) FROM (SELECT `+tr.state(dimension)+` AS value FROM (
			SELECT DISTINCT id FROM days WHERE day > ?1 - 7 AND day <= ?1) w) GROUP BY value`, p.Day)
		var rest uint64
		for _, n := range want {
			rest += n
		}
		if *p.Active != rest {
			tr.t.Errorf("%s: got trend of %d, want %d", p.Day, *p.Active, rest)
		}
		for i, value := range trend.Values {
			n := want[value]
			rest -= n
			if value == collector.Other {
				n = rest
			}
			if *p.Counts[i] != n {
				tr.t.Errorf("%s: trend of %s: got %d, want %d", p.Day, value, *p.Counts[i], n)
			}
		}
	}
}

// checkPairs compares the pairs of today's values with the reference, in the windows
// that end today and yesterday.
func (tr *truth) checkPairs(r *rig, day collector.Day) {
	for to := day - 1; to <= day; to++ {
		tr.checkPairsTo(r, day, to)
	}
}

func (tr *truth) checkPairsTo(r *rig, day, to collector.Day) {
	pairs, err := r.e.CoOccurrence(r.t.Context(), r.app.Num, collector.DimSystem, collector.DimVersion, 28, to, tr.view)
	if errors.Is(err, collector.ErrDimension) && tr.number(`SELECT count(*) FROM beat`) == 0 {
		return
	}
	if err != nil {
		tr.t.Fatal(err)
	}
	want := tr.counts(`SELECT value, count(*) FROM (SELECT `+tr.state("system")+` || ' ' || `+tr.state("version")+` AS value FROM (
		SELECT DISTINCT id FROM days WHERE day > ?2 - 28 AND day <= ?2) w) GROUP BY value`, day, to)
	for i, row := range pairs.Rows {
		for j, column := range pairs.Columns {
			if got, want := *pairs.Counts[i][j], want[row+" "+column]; got != want {
				tr.t.Errorf("%s to %s: %s and %s: got %d, want %d", day, to, row, column, got, want)
			}
			delete(want, row+" "+column)
		}
	}
	if len(want) > 0 {
		tr.t.Errorf("pairs are missing: %v", want)
	}
}

// checkSurvival compares the curves with the reference, for the weeks that are
// over.
func (tr *truth) checkSurvival(r *rig, to collector.Day) {
	survival, err := r.e.Survival(r.t.Context(), r.app.Num, figures.MaxTop, tr.view)
	if err != nil {
		tr.t.Fatal(err)
	}
	const firstVersion = `(SELECT b.version FROM beat b WHERE b.id = f.id ORDER BY b.at LIMIT 1)`
	const monday = `(%s - (%[1]s + 3) %% 7)`
	cohort, week := fmt.Sprintf(monday, "f.day"), fmt.Sprintf(monday, "d.day")
	end := to.Week() // the first day that no curve covers
	seen := map[string]bool{}
	for _, v := range survival.Versions {
		seen[v.Version] = true
		tr.wants(v.Version+": size", v.Size, `SELECT count(*) FROM first f WHERE f.day < ?1 AND `+firstVersion+` = ?2`, end, v.Version)
		for age, cell := range v.Cells {
			tr.wants(fmt.Sprintf("%s after %d weeks", v.Version, age), cell.Active, `SELECT count(DISTINCT f.id) FROM first f JOIN days d USING (id)
				WHERE `+firstVersion+` = ?1 AND d.day < ?2 AND `+week+` = `+cohort+` + 7 * ?3`, v.Version, end, age)
			tr.wants(fmt.Sprintf("%s of %d weeks or more", v.Version, age), cell.Of, `SELECT count(*) FROM first f
				WHERE `+firstVersion+` = ?1 AND `+cohort+` + 7 * ?3 < ?2`, v.Version, end, age)
		}
	}
	for version := range tr.counts(`SELECT `+firstVersion+`, count(*) FROM first f WHERE f.day < ? GROUP BY 1`, end) {
		if !seen[version] {
			tr.t.Errorf("the curve of %s is missing", version)
		}
	}
}

// checkQuality compares the counts of reports, and the clones, with the
// reference. Repeated reports are not in the journal, so a crash loses those of
// its day.
func (tr *truth) checkQuality(r *rig, from, to collector.Day, clones uint64, crashed map[collector.Day]bool) {
	quality, err := r.e.Quality(r.t.Context(), r.app.Num, collector.Range{From: from, To: to})
	if err != nil {
		tr.t.Fatal(err)
	}
	if *quality.Clones != clones {
		tr.t.Errorf("got %d clones, want %d", *quality.Clones, clones)
	}
	for _, p := range quality.Points {
		news := p.Accepted - p.Repeated
		tr.wants(p.Day.String()+": accepted, not repeated", &news, `SELECT count(*) FROM report WHERE day = ? AND NOT repeated`, p.Day)
		if !crashed[p.Day] {
			tr.wants(p.Day.String()+": repeated", &p.Repeated, `SELECT count(*) FROM report WHERE day = ? AND repeated`, p.Day)
		}
	}
}

// A double detects that an ID is used more than once.
type double struct {
	before, now doubleState
	flips       int
	flipped     collector.Day
	probable    bool
}

// A doubleState is the values of a report. Facts may come and go; the rest tells
// hosts apart.
type doubleState struct{ host, facts string }

// become reports whether a state is new. Returning three times to the previous
// state, with more than other facts, each time within 28 days, makes a clone.
func (d *double) become(state doubleState, day collector.Day) (changed bool) {
	if state == d.now {
		return false
	}
	if state == d.before && state.host != d.now.host {
		if day-d.flipped > 28 {
			d.flips = 0
		}
		d.flips++
		d.flipped = day
		d.probable = d.probable || d.flips == 3
	}
	d.before, d.now = d.now, state
	return true
}

// aside sends a report that is not of an installation: of an in-memory ID, or of
// a development version, which a known installation may run.
func (tr *truth) aside(r *rig, n int, what string) {
	h := r.heartbeat(n, "1.0")
	if what == "memory" {
		h.Heartbeat.IDPersistence = report.InMemory
	} else {
		h.Heartbeat.Version = "2.0-dev"
	}
	r.send(h)
	tr.exec(`INSERT INTO report SELECT ?1, EXISTS (SELECT 1 FROM aside WHERE day = ?1 AND id = ?2 AND what = ?3)`, today(), n, what)
	tr.exec(`INSERT INTO aside VALUES (?, ?, ?)`, today(), n, what)
}

// checkVersions compares moves and adoption with the reference.
func (tr *truth) checkVersions(r *rig, first, to collector.Day, moves map[[2]string]uint64) {
	answer, err := r.e.Versions(r.t.Context(), r.app.Num, collector.Range{From: first, To: to}, figures.View{})
	if err != nil {
		tr.t.Fatal(err)
	}
	var up, down uint64
	for move, n := range moves {
		if report.CompareVersions(move[0], move[1]) < 0 {
			up += n
		} else {
			down += n
		}
	}
	if *answer.Upgrades != up || *answer.Downgrades != down {
		tr.t.Errorf("got %d upgrades and %d downgrades, want %d and %d", *answer.Upgrades, *answer.Downgrades, up, down)
	}
	if len(answer.Moves) != len(moves) {
		tr.t.Errorf("got %d moves, want %d", len(answer.Moves), len(moves))
	}
	for _, m := range answer.Moves {
		if want := moves[[2]string{m.From, m.To}]; *m.Count != want || m.Up != (report.CompareVersions(m.From, m.To) < 0) {
			tr.t.Errorf("got %d moves from %s to %s (up: %v), want %d", *m.Count, m.From, m.To, m.Up, want)
		}
	}
	for _, release := range answer.Releases {
		if want := collector.Day(tr.number(`SELECT min(day) FROM beat WHERE version = ?`, release.Version)); release.Released != want {
			tr.t.Errorf("%s: got first seen on %s, want %s", release.Version, release.Released, want)
		}
		for _, p := range release.Adoption {
			if p.Days%5 > 0 {
				continue // checking all takes too long
			}
			day := release.Released + collector.Day(p.Days)
			counts := tr.counts(`SELECT value, count(*) FROM (SELECT `+tr.state("version")+` AS value FROM (
				SELECT DISTINCT id FROM days WHERE day = ?1) w) GROUP BY value`, day)
			var n, of uint64
			for version, count := range counts {
				if of += count; report.CompareVersions(version, release.Version) >= 0 {
					n += count
				}
			}
			if *p.Active != n || *p.Of != of {
				tr.t.Errorf("%s on %s: got %d of %d, want %d of %d", release.Version, day, *p.Active, *p.Of, n, of)
			}
		}
	}
}

func (tr *truth) same(what string, got []figures.Value, want map[string]uint64) {
	counts := map[string]uint64{}
	for _, v := range got {
		counts[v.Value] = *v.Count
	}
	for value := range want {
		if counts[value] != want[value] {
			tr.t.Errorf("%s: %s: got %d, want %d", what, value, counts[value], want[value])
		}
	}
	if len(counts) != len(want) {
		tr.t.Errorf("%s: got %v, want %v", what, counts, want)
	}
}

// checkRetention compares the triangles with the reference.
func (tr *truth) checkRetention(r *rig, from, to collector.Day) {
	for _, grain := range []collector.Grain{collector.GrainDay, collector.GrainWeek, collector.GrainMonth} {
		answer, err := r.e.Retention(r.t.Context(), r.app.Num, grain, collector.Range{From: from, To: to}, tr.view)
		if err != nil {
			tr.t.Fatal(err)
		}
		if len(answer.Cohorts) == 0 {
			tr.t.Errorf("%s: got no cohorts", grain)
		}
		start := func(d collector.Day) collector.Day {
			switch grain {
			case collector.GrainWeek:
				return d.Week()
			case collector.GrainMonth:
				return d.Month()
			}
			return d
		}
		next := func(d collector.Day) collector.Day {
			for n := d + 1; ; n++ {
				if start(n) == n {
					return n
				}
			}
		}
		for _, cohort := range answer.Cohorts {
			end := next(cohort.From)
			tr.wants(fmt.Sprintf("%s of %s: size", grain, cohort.From), cohort.Size,
				`SELECT count(*) FROM first WHERE day >= ? AND day < ?`, cohort.From, end)
			period := cohort.From
			for age, cell := range cohort.Cells {
				tr.wants(fmt.Sprintf("%s of %s at %d", grain, cohort.From, age), cell.Active, `SELECT count(DISTINCT d.id) FROM days d
					JOIN first f USING (id) WHERE f.day >= ? AND f.day < ? AND d.day >= ? AND d.day < ?`,
					cohort.From, end, period, next(period))
				if open := start(to) == period; cell.Open != open {
					tr.t.Errorf("%s of %s at %d: got open: %v", grain, cohort.From, age, cell.Open)
				}
				period = next(period)
			}
		}
	}
}

func (tr *truth) checkFaults(r *rig, from, to collector.Day) {
	answer, err := r.e.Faults(r.t.Context(), r.app.Num, collector.Range{From: from, To: to}, tr.view)
	if err != nil {
		tr.t.Fatal(err)
	}
	want := tr.counts(`SELECT reason, count(DISTINCT id) FROM fault WHERE day BETWEEN ? AND ? GROUP BY reason`, from, to)
	if len(answer.Faults) != len(want) {
		tr.t.Errorf("%s to %s: got %d faults, want %d", from, to, len(answer.Faults), len(want))
	}
	for _, fault := range answer.Faults {
		if *fault.Affected != want[fault.Reason] {
			tr.t.Errorf("%s to %s: %s: got %d affected, want %d", from, to, fault.Reason, *fault.Affected, want[fault.Reason])
		}
		for _, v := range fault.Versions {
			const inRange = `FROM (SELECT DISTINCT id FROM days WHERE day BETWEEN ?2 AND ?1) w WHERE `
			tr.wants(v.Version+" in the range", v.Active, `SELECT count(*) `+inRange+tr.state("version")+` = ?3`, to, from, v.Version)
			tr.wants(fault.Reason+" in "+v.Version, v.Affected, `SELECT count(*) `+inRange+tr.state("version")+` = ?3
				AND EXISTS (SELECT 1 FROM fault f WHERE f.id = w.id AND f.reason = ?4 AND f.day BETWEEN ?2 AND ?1)`, to, from, v.Version, fault.Reason)
			if !tr.view.Segment.Empty() {
				continue
			}
			tr.wants("occurrences of "+fault.Reason+" in "+v.Version, v.Occurrences, `SELECT coalesce(sum(count), 0) FROM fault
				WHERE reason = ? AND version = ? AND day BETWEEN ? AND ?`, fault.Reason, v.Version, from, to)
		}
		if !tr.view.Segment.Empty() {
			if fault.Occurrences != nil {
				tr.t.Errorf("%s: got %d occurrences of a segment", fault.Reason, *fault.Occurrences)
			}
			continue
		}
		tr.wants("occurrences of "+fault.Reason, fault.Occurrences, `SELECT sum(count) FROM fault WHERE reason = ? AND day BETWEEN ? AND ?`, fault.Reason, from, to)
	}
}

var versions = []string{"1.0", "1.1", "1.10", "2.0-rc.1", "2.0"}

// TestTruth counts random fleets, with crashes at any time, and compares every
// figure with the reference.
func TestTruth(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		size, length := rapid.IntRange(1, 12).Draw(rt, "installations"), rapid.IntRange(1, 75).Draw(rt, "days")
		seed := rapid.Uint64().Draw(rt, "seed")
		inBubble(t, func(t *testing.T, r *rig) {
			r.app.ExcludeDevelopment = true
			if err := r.e.UpdateApp(t.Context(), r.app); err != nil {
				t.Fatal(err)
			}
			tr := newTruth(rt)
			defer tr.db.Close()
			random := newRandom(seed)
			time.Sleep(time.Duration(random.IntN(40)) * 24 * time.Hour)
			first := today()
			at := 0
			current := make([]collector.Received, size)
			faults := map[string]int{}
			moves := map[[2]string]uint64{}
			away := make([]collector.Day, size) // until when
			doubles := make([]double, size)
			crashed := map[collector.Day]bool{}
			for range length {
				for n := range size {
					if random.IntN(60) == 0 {
						away[n] = today() + collector.Day(random.IntN(45)) // for up to a window or more
					}
					if today() < away[n] || random.IntN(100) < 8+n*4 {
						continue // late ones report more rarely
					}
					if n > 0 && at < 20 && random.IntN(3) > 0 {
						continue // and start later
					}
					for range 1 + random.IntN(2) {
						h := r.heartbeat(n, versions[random.IntN(len(versions))])
						if n%4 == 3 && current[n].App != 0 { // two hosts with one ID take turns
							h.Heartbeat = current[n].Heartbeat
							h.Heartbeat.Platform.System = []string{"linux", "windows"}[random.IntN(2)]
						} else if old := current[n]; old.App != 0 && random.IntN(4) > 0 {
							h.Heartbeat = old.Heartbeat
						} else {
							h.Heartbeat.Platform.System = []string{"linux", "windows"}[random.IntN(2)]
							if random.IntN(2) > 0 {
								h.Heartbeat.Facts = report.Facts{{Name: "f", Value: []string{"a", "b", "c"}[random.IntN(3)]}}
							}
						}
						if old := current[n]; old.App != 0 && old.Heartbeat.Version != h.Heartbeat.Version {
							moves[[2]string{old.Heartbeat.Version, h.Heartbeat.Version}]++
						}
						current[n] = h
						r.send(h)
						fact, _ := h.Heartbeat.Facts.Get("f")
						at++
						changed := doubles[n].become(doubleState{h.Heartbeat.Version + " " + h.Heartbeat.Platform.System, fact}, today())
						tr.exec(`INSERT INTO report SELECT ?1, NOT ?2 AND EXISTS (SELECT 1 FROM days WHERE day = ?1 AND id = ?3)`, today(), changed, n)
						tr.exec(`INSERT INTO beat VALUES (?, ?, ?, ?, ?, ?)`, today(), n, h.Heartbeat.Version, h.Heartbeat.Platform.System, fact, at)
					}
					if random.IntN(6) == 0 {
						reason := []string{"disk-full", "timeout"}[random.IntN(2)]
						key := fmt.Sprint(n, reason)
						more := 1 + random.IntN(5)
						faults[key] += more
						report := r.health(n, faults[key], first.Time(), reason)
						report.Report.Version = current[n].Heartbeat.Version
						r.reports(report)
						tr.exec(`INSERT INTO faulted VALUES (?, ?, ?, ?, ?)`, today(), n, reason, more, current[n].Heartbeat.Version)
						tr.exec(`INSERT INTO report VALUES (?, false)`, today())
					}
				}
				for random.IntN(3) > 0 {
					tr.aside(r, size+random.IntN(4), "memory")
					tr.aside(r, random.IntN(size+4), "excluded")
				}
				if random.IntN(10) == 0 {
					if random.IntN(2) == 0 {
						r.restart(0)
					} else {
						r.crash()
						crashed[today()] = true
					}
				}
				r.nextDay()
			}
			days := slices.Collect(func(yield func(collector.Day) bool) {
				for day := first; day <= today(); day++ {
					if day < today()-2 && random.IntN(8) > 0 {
						continue // checking all takes too long
					}
					if !yield(day) {
						return
					}
				}
			})
			for _, day := range days {
				tr.checkDay(r, day)
			}
			tr.checkRetention(r, first, today())
			tr.checkFaults(r, first, today())
			tr.checkFaults(r, max(first, today()-7), today())
			tr.checkVersions(r, first, today(), moves)
			tr.checkTrend(r, "version", first, today())
			tr.checkVersionDetails(r, first, today(), moves)
			tr.checkFaultDetails(r, first, today())
			tr.checkSegments(r, first, int(seed%100), 13)
			tr.checkPairs(r, today())
			tr.checkSurvival(r, today())
			var clones uint64
			for _, d := range doubles {
				if d.probable {
					clones++
				}
			}
			tr.checkQuality(r, first, today(), clones, crashed)
		})
	})
}
