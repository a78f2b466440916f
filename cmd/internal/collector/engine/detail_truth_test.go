package engine_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/figures"
	"github.com/rollcall-dev/rollcall/report"
)

// checkVersionDetails compares what is said of each version with the reference.
// moves is nil for a segment, which has none.
func (tr *truth) checkVersionDetails(r *rig, first, to collector.Day, moves map[[2]string]uint64) {
	everything := collector.Range{From: first, To: to}
	for version := range tr.counts(`SELECT version, count(*) FROM beat GROUP BY version`) {
		d, err := r.e.Version(r.t.Context(), r.app.Num, version, everything, tr.view)
		if err != nil {
			tr.t.Fatalf("%s: %v", version, err)
		}
		since := collector.Day(tr.number(`SELECT min(day) FROM beat WHERE version = ?`, version))
		if d.FirstSeen != since {
			tr.t.Errorf("%s: got first seen %s, want %s", version, d.FirstSeen, since)
		}
		if d.Before != "" && report.CompareVersions(d.Before, version) >= 0 {
			tr.t.Errorf("%s: got %s as the version before", version, d.Before)
		}
		const recently = `(SELECT DISTINCT id FROM days WHERE day > ?1 - 28 AND day <= ?1) w`
		tr.wants(version+": active", d.Active, `SELECT count(*) FROM `+recently+` WHERE `+tr.state("version")+` = ?2`, to, version)
		var newer uint64
		for text, n := range tr.counts(`SELECT `+tr.state("version")+`, count(*) FROM `+recently+` GROUP BY 1`, to) {
			if report.CompareVersions(text, version) > 0 {
				newer += n
			}
		}
		if *d.Newer != newer {
			tr.t.Errorf("%s: got %d on newer versions, want %d", version, *d.Newer, newer)
		}
		tr.wants(version+": silent", d.Silent, `SELECT count(*) FROM first w WHERE `+tr.state("version")+` = ?2
			AND NOT EXISTS (SELECT 1 FROM days d WHERE d.id = w.id AND d.day > ?1 - 28)`, to, version)
		tr.wants(version+": began", d.Began, `SELECT count(*) FROM first w WHERE `+beganVersion+` = ?`, version)
		for _, day := range d.Days[max(0, len(d.Days)-5):] {
			tr.wants(version+" on "+day.Day.String(), day.Running, `SELECT count(*) FROM `+recently+` WHERE `+tr.state("version")+` = ?2`, day.Day, version)
		}
		tr.checkVersionFaults(d, max(first, since), to)
		for _, curve := range d.Survival {
			if n := len(curve.Cells); n > 0 && *curve.Cells[n-1].Of == 0 {
				tr.t.Errorf("%s: the curve of %s goes on where nobody is old enough", version, curve.Version)
			}
			for age, cell := range curve.Cells {
				tr.wants(fmt.Sprintf("%s after %d weeks", curve.Version, age), cell.Active, `SELECT count(DISTINCT w.id) FROM first w JOIN days d USING (id)
					WHERE `+beganVersion+` = ?1 AND d.day < ?2 AND (d.day - (d.day + 3) % 7) = (w.day - (w.day + 3) % 7) + 7 * ?3`, curve.Version, to.Week(), age)
			}
		}
		if moves == nil {
			if len(d.CameFrom)+len(d.WentTo)+len(d.Days)+len(d.Adoption) > 0 {
				tr.t.Errorf("%s: a segment has what only totals say: %v", version, d)
			}
			continue
		}
		want := map[[2]string]uint64{}
		for move, n := range moves {
			if slices.Contains(move[:], version) {
				want[move] = n
			}
		}
		for _, move := range slices.Concat(d.CameFrom, d.WentTo) {
			if *move.Count != want[[2]string{move.From, move.To}] {
				tr.t.Errorf("%s: got %d from %s to %s, want %d", version, *move.Count, move.From, move.To, want[[2]string{move.From, move.To}])
			}
		}
		days, err := r.e.VersionDays(r.t.Context(), r.app.Num, version, collector.Range{From: first, To: to})
		if err != nil || !reflect.DeepEqual(days, d.Days) {
			tr.t.Errorf("%s: got the days %v, %v, want %v", version, days, err, d.Days)
		}
		if len(d.CameFrom)+len(d.WentTo) != len(want) {
			tr.t.Errorf("%s: got %v and %v, want %v", version, d.CameFrom, d.WentTo, want)
		}
	}
}

func (tr *truth) checkVersionFaults(d figures.VersionDetail, from, to collector.Day) {
	const inRange = `FROM (SELECT DISTINCT id FROM days WHERE day BETWEEN ?2 AND ?1) w WHERE `
	const sick = ` AND EXISTS (SELECT 1 FROM fault f WHERE f.id = w.id AND f.reason = ?4 AND f.day BETWEEN ?2 AND ?1)`
	seen := 0
	for _, reason := range []string{"disk-full", "timeout"} {
		count := func(version string) (a, of uint64) {
			a = tr.number(`SELECT count(*) `+inRange+tr.state("version")+` = ?3`+sick, to, from, version, reason)
			return a, tr.number(`SELECT count(*) `+inRange+tr.state("version")+` = ?3`, to, from, version)
		}
		a, ofA := count(d.Version)
		b, ofB := count(d.Before)
		i := slices.IndexFunc(d.Faults, func(f figures.VersionFault) bool { return f.Reason == reason })
		switch {
		case i < 0 && a+b > 0:
			tr.t.Errorf("%s: %s is missing", d.Version, reason)
		case i >= 0:
			seen++
			if f := d.Faults[i]; f.A != a || f.OfA != ofA || f.B != b || f.OfB != ofB {
				tr.t.Errorf("%s: %s: got %+v, want %d of %d and %d of %d", d.Version, reason, f.Difference, a, ofA, b, ofB)
			}
		}
	}
	if seen != len(d.Faults) {
		tr.t.Errorf("%s: got faults %v", d.Version, d.Faults)
	}
}

// checkFaultDetails compares what is said of each fault with the reference.
func (tr *truth) checkFaultDetails(r *rig, from, to collector.Day) {
	all, err := r.e.Faults(r.t.Context(), r.app.Num, collector.Range{From: from, To: to}, tr.view)
	if err != nil {
		tr.t.Fatal(err)
	}
	days, err := r.e.FaultDays(r.t.Context(), r.app.Num, "", collector.Range{From: from, To: to}, tr.view)
	if err != nil || len(days) != int(to-from)+1 {
		tr.t.Errorf("all faults: got %d days, %v, want %d", len(days), err, to-from+1)
	}
	affected := tr.counts(`SELECT day, count(DISTINCT id) FROM fault GROUP BY day`)
	occurrences := tr.counts(`SELECT day, sum(count) FROM fault GROUP BY day`)
	for _, day := range days {
		number := strconv.Itoa(int(day.Day))
		tr.equals("all faults on "+day.Day.String(), day.Affected, affected[number])
		if tr.view.Segment.Empty() {
			tr.equals("all faults on "+day.Day.String(), day.Occurrences, occurrences[number])
		}
	}
	for _, fault := range all.Faults {
		days, err := r.e.FaultDays(r.t.Context(), r.app.Num, fault.ID, collector.Range{From: from, To: to}, tr.view)
		if err != nil {
			tr.t.Fatal(err)
		}
		d, err := r.e.Fault(r.t.Context(), r.app.Num, fault.ID, collector.Range{From: from, To: to}, tr.view)
		if err != nil {
			tr.t.Fatal(err)
		}
		if *d.Fault.Affected != *fault.Affected || len(d.Fault.Versions) != len(fault.Versions) {
			tr.t.Errorf("%s: got %v, want %v", fault.Reason, d.Fault, fault)
		}
		if len(d.Days) != int(to-from)+1 {
			tr.t.Errorf("%s: got %d days, want %d", fault.Reason, len(d.Days), to-from+1)
		}
		if !reflect.DeepEqual(days, d.Days) {
			tr.t.Errorf("%s: got the days %v, want %v", fault.Reason, days, d.Days)
		}
		for _, day := range d.Days {
			tr.wants(fault.Reason+" on "+day.Day.String(), day.Affected, `SELECT count(DISTINCT id) FROM fault WHERE reason = ? AND day = ?`, fault.Reason, day.Day)
			if tr.view.Segment.Empty() {
				tr.wants(fault.Reason+" on "+day.Day.String(), day.Occurrences, `SELECT coalesce(sum(count), 0) FROM fault WHERE reason = ? AND day = ?`, fault.Reason, day.Day)
			}
		}
		for _, dimension := range d.Dimensions {
			if dimension.Dimension != collector.DimSystem {
				continue
			}
			const inRange = `FROM (SELECT DISTINCT id FROM days WHERE day BETWEEN ?2 AND ?1) w WHERE `
			for _, value := range dimension.Values {
				tr.wants(value.Value+" active", value.Active, `SELECT count(*) `+inRange+nowSystem+` = ?3`, to, from, value.Value)
				tr.wants(fault.Reason+" on "+value.Value, value.Affected, `SELECT count(*) `+inRange+nowSystem+` = ?3
					AND EXISTS (SELECT 1 FROM fault f WHERE f.id = w.id AND f.reason = ?4 AND f.day BETWEEN ?2 AND ?1)`, to, from, value.Value, fault.Reason)
			}
		}
	}
}

// TestVersionBefore: a version is compared with the newest older release that is as
// well supported, and with pre-releases only if it is one.
func TestVersionBefore(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		for n, version := range []string{"1.0", "1.1", "1.2-rc.1", "1.2"} {
			r.send(r.heartbeat(n, version))
		}
		for range 40 {
			r.nextDay()
			for n, version := range []string{"1.0", "1.1", "1.2-rc.1", "1.2"} {
				r.send(r.heartbeat(n, version))
			}
		}
		r.send(r.heartbeat(77, "1.1.99")) // an invention
		for version, want := range map[string]string{"1.0": "", "1.1": "1.0", "1.2-rc.1": "1.1", "1.2": "1.1", "1.1.99": "1.1"} {
			d, err := r.e.Version(t.Context(), r.app.Num, version, collector.Range{From: today() - 6, To: today()}, figures.View{})
			if err != nil {
				t.Fatal(err)
			}
			if d.Before != want {
				t.Errorf("%s: got %q before it, want %q", version, d.Before, want)
			}
		}
		if _, err := r.e.Version(t.Context(), r.app.Num, "9", collector.Range{From: today(), To: today()}, figures.View{}); !errors.Is(err, collector.ErrVersion) {
			t.Errorf("a version that was never seen: got %v", err)
		}
	})
}

// TestTriage: what was said of a fault is kept, the latest first, also by a restart,
// and there is a limit.
func TestTriage(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.reports(r.health(1, 1, time.Now(), "disk-full"))
		ask := func() figures.FaultDetail {
			t.Helper()
			all, err := r.e.Faults(t.Context(), r.app.Num, collector.Range{From: today(), To: today()}, figures.View{})
			if err != nil {
				t.Fatal(err)
			}
			d, err := r.e.Fault(t.Context(), r.app.Num, all.Faults[0].ID, all.Range, figures.View{})
			if err != nil {
				t.Fatal(err)
			}
			return d
		}
		id := ask().Fault.ID
		at := time.Now().UTC().Truncate(time.Second)
		for i := range collector.MaxTriage + 3 {
			triage := collector.Triage{Status: collector.FaultIgnored, Note: fmt.Sprint(i), By: "ada", At: time.Now().Add(-time.Hour)}
			if err := r.e.SetFault(context.Background(), r.app.Num, id, triage); err != nil {
				t.Fatal(err)
			}
		}
		r.crash()
		got := ask().Triage
		if len(got) != collector.MaxTriage || got[0].Note != fmt.Sprint(collector.MaxTriage+2) || got[0].By != "ada" || !got[0].At.Equal(at) {
			t.Errorf("got %d, the latest %+v", len(got), got[0])
		}
		if err := r.e.SetFault(t.Context(), r.app.Num, id, collector.Triage{Status: "gone"}); err == nil {
			t.Error("an unknown status is taken")
		}
		if _, err := r.e.Fault(t.Context(), r.app.Num, "none", collector.Range{From: today(), To: today()}, figures.View{}); !errors.Is(err, collector.ErrFault) {
			t.Errorf("an unknown fault: got %v", err)
		}
		if _, err := r.e.Fault(t.Context(), r.app.Num, id, collector.Range{From: today(), To: today()}, figures.View{Public: true}); !errors.Is(err, collector.ErrNotPublic) {
			t.Errorf("the public: got %v", err)
		}
	})
}
