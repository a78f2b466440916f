package insight

import (
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/figures"
)

// differ reports whether two counts differ by more than chance explains.
func differ(now, before float64) bool {
	return math.Abs(now-before) >= Deviations*math.Sqrt(max(1, now+before))
}

// sharesDiffer reports whether two shares differ by more than chance explains.
func sharesDiffer(now, of, before, ofBefore float64) bool {
	if of == 0 || ofBefore == 0 {
		return false
	}
	both := (now + before) / (of + ofBefore)
	return math.Abs(now/of-before/ofBefore) >= Deviations*math.Sqrt(both*(1-both)*(1/of+1/ofBefore))
}

// less returns a-b, or 0 if b is larger.
func less(a, b uint64) uint64 { return a - min(a, b) }

// apart returns how far two counts are apart.
func apart(a, b uint64) uint64 { return max(a, b) - min(a, b) }

// silence finds that reports stopped: all of them, or those with a value. It
// reports whether all did.
func (x *comparison) silence(days []figures.SeriesPoint) (all bool, err error) {
	last := len(days) - 1
	daily := func(i int) uint64 { return orZero(days[i].Active.Day) }
	if daily(last) == 0 && daily(last-Days) >= MinDaily {
		from := last
		for daily(from-1) == 0 {
			from--
		}
		x.add(Finding{Kind: Silent, Day: days[from].Day, Before: daily(last - Days)})
		return true, nil
	}
	for _, dimension := range []string{collector.DimSystem, collector.DimMachine, collector.DimDeployment, collector.DimCountry} {
		now, _, err := x.split(dimension, 1, x.to)
		if err != nil {
			return false, err
		}
		then, _, err := x.split(dimension, 1, x.to-Days)
		if err != nil {
			return false, err
		}
		for _, value := range slices.Sorted(maps.Keys(then)) {
			if now[value] > 0 || then[value] < MinDaily || value == collector.Other {
				continue
			}
			f := Finding{Kind: Silent, Dimension: dimension, Value: value, Day: x.to, Before: then[value]}
			usual := true // on that weekday, and on each day up to the first silent one
			for day := x.to - 1; day > x.to-Days; day-- {
				counts, _, err := x.split(dimension, 1, day)
				if err != nil {
					return false, err
				}
				if counts[value] > 0 {
					usual = counts[value] >= MinDaily
					break
				}
				f.Day = day
			}
			if usual {
				x.add(f)
			}
		}
	}
	return false, nil
}

// active compares the established installations, and the new ones.
func (x *comparison) active(days []figures.SeriesPoint) {
	compare := func(rose, fell Kind, now, before uint64) {
		kind := rose
		if now < before {
			kind = fell
		}
		if max(now, before) >= MinGroup && apart(now, before) >= MinChange && float64(apart(now, before)) >= MinRatio*float64(before) &&
			differ(float64(now), float64(before)) {
			x.add(Finding{Kind: kind, Now: now, Before: before})
		}
	}
	compare(ActiveRose, ActiveFell, orZero(days[2*Days-1].Established.Week), orZero(days[Days-1].Established.Week))
	fresh := func(days []figures.SeriesPoint) (sum uint64) {
		for _, day := range days {
			sum += orZero(day.New)
		}
		return sum
	}
	if !x.young() { // at first, installations are new that were there before
		compare(NewRose, NewFell, fresh(days[Days:]), fresh(days[:Days]))
	}
}

// young reports whether the app was not there in the four weeks before.
func (x *comparison) young() bool { return x.since > x.to-Days-newAfter+1 }

// releases finds new and widely adopted releases.
func (x *comparison) releases() error {
	now, of, err := x.split(collector.DimVersion, Days, x.to)
	if err != nil {
		return err
	}
	before, ofBefore, err := x.split(collector.DimVersion, Days, x.to-Days)
	if err != nil {
		return err
	}
	days, err := x.c.ReleaseDays(x.app.Num, figures.View{})
	if err != nil {
		return err
	}
	known := make(map[string]bool)
	for _, r := range days {
		known[r.Version] = true
		if r.Day > x.to-Days && r.Day <= x.to && now[r.Version] >= MinChange && (r.Dated || !x.young() || x.newest(r.Version, before)) {
			known[r.Version] = false // it needs no second finding
			x.add(Finding{Kind: ReleaseNew, Version: r.Version, Day: r.Day, Dated: r.Dated, Now: now[r.Version], Of: of, OfBefore: ofBefore, Before: before[r.Version]})
		}
	}
	for _, version := range slices.Sorted(maps.Keys(now)) {
		n, then := now[version], before[version]
		if known[version] && of >= MinGroup && ofBefore >= MinGroup && n >= then+MinChange &&
			float64(n)/float64(of) >= float64(then)/float64(ofBefore)+MinAdopted &&
			sharesDiffer(float64(n), float64(of), float64(then), float64(ofBefore)) {
			x.add(Finding{Kind: Adopted, Version: version, Now: n, Of: of, Before: then, OfBefore: ofBefore})
		}
	}
	return nil
}

// newest reports whether a version is newer than all others. In a young app, older
// ones are first seen too.
func (x *comparison) newest(version string, others map[string]uint64) bool {
	for other := range others {
		if other != collector.Other && x.app.VersionOrder.Compare(other, version) > 0 {
			return false
		}
	}
	return true
}

// values finds values that are new, and those whose share changed. A dimension
// with a value that is new or silent has no other finding.
func (x *comparison) values() error {
	names, err := x.c.Dimensions(x.ctx, x.app.Num, figures.View{})
	if err != nil {
		return err
	}
	for _, dimension := range names {
		fact := strings.HasPrefix(dimension, collector.FactDimension)
		silent := slices.ContainsFunc(x.found, func(f Finding) bool { return f.Kind == Silent && f.Dimension == dimension })
		switch dimension {
		case collector.DimSystem, collector.DimMachine, collector.DimDeployment, collector.DimCountry:
		default:
			if !fact {
				continue
			}
		}
		now, of, err := x.split(dimension, Days, x.to)
		if err != nil {
			return err
		}
		before, ofBefore, err := x.split(dimension, Days, x.to-Days)
		if err != nil {
			return err
		}
		fresh, err := x.newValues(dimension, fact, now, of)
		if err != nil {
			return err
		}
		if fresh || silent {
			continue
		}
		x.shares(dimension, now, of, before, ofBefore)
	}
	return nil
}

// newValues finds values of a dimension that are new. It needs an app that was
// there in the four weeks before. Values of a fact, such as ranges of a number,
// are new too often.
func (x *comparison) newValues(dimension string, fact bool, now map[string]uint64, of uint64) (found bool, err error) {
	if fact || x.young() {
		return false, nil
	}
	before, sum, err := x.split(dimension, newAfter, x.to-Days)
	if err != nil || sum == 0 { // nobody reported the dimension yet
		return false, err
	}
	for _, value := range slices.Sorted(maps.Keys(now)) {
		if now[value] >= MinChange && before[value] == 0 && value != collector.Other {
			x.add(Finding{Kind: ValueNew, Dimension: dimension, Value: value, Now: now[value], Of: of})
			found = true
		}
	}
	return found, nil
}

// shares finds the value of a dimension whose share changed most.
func (x *comparison) shares(dimension string, now map[string]uint64, of uint64, before map[string]uint64, ofBefore uint64) {
	if of < MinGroup || ofBefore < MinGroup {
		return
	}
	var best Finding
	points := 0.0
	both := maps.Clone(before)
	maps.Copy(both, now)
	for _, value := range slices.Sorted(maps.Keys(both)) {
		n, then := now[value], before[value]
		change := float64(n)/float64(of) - float64(then)/float64(ofBefore)
		if value == collector.Other || apart(n, then) < MinChange || math.Abs(change) < max(MinPoints, math.Nextafter(points, 1)) ||
			!sharesDiffer(float64(n), float64(of), float64(then), float64(ofBefore)) {
			continue
		}
		points = math.Abs(change)
		best = Finding{Kind: ShareRose, Dimension: dimension, Value: value, Now: n, Of: of, Before: then, OfBefore: ofBefore}
		if change < 0 {
			best.Kind = ShareFell
		}
	}
	if best.Kind != "" {
		x.add(best)
	}
}

// faults compares how many installations each fault affects.
func (x *comparison) faults() error {
	now, err := x.c.Faults(x.ctx, x.app.Num, collector.Range{From: x.to - Days + 1, To: x.to}, figures.View{})
	if err != nil {
		return err
	}
	then, err := x.c.Faults(x.ctx, x.app.Num, collector.Range{From: x.to - 2*Days + 1, To: x.to - Days}, figures.View{})
	if err != nil {
		return err
	}
	before := make(map[string]figures.Fault)
	for _, fault := range then.Faults {
		before[fault.ID] = fault
	}
	for _, fault := range now.Faults {
		x.fault(fault, before[fault.ID], now.Denominator, then.Denominator)
		delete(before, fault.ID)
	}
	for _, id := range slices.Sorted(maps.Keys(before)) { // no longer reported
		old := before[id]
		x.fault(figures.Fault{ID: id, Component: old.Component, Reason: old.Reason, Status: old.Status, FirstSeen: old.FirstSeen},
			old, now.Denominator, then.Denominator)
	}
	return nil
}

func (x *comparison) fault(now, before figures.Fault, of, ofBefore uint64) {
	if now.Status == collector.FaultIgnored {
		return
	}
	f := Finding{
		Fault: now.ID, Component: now.Component, Reason: now.Reason,
		Now: orZero(now.Affected), Of: of, Before: orZero(before.Affected), OfBefore: ofBefore,
	}
	if now.FirstSeen > x.to-Days {
		if f.Kind, f.Version = FaultNew, now.NewIn; f.Now >= MinChange {
			x.add(f)
		}
		return
	}
	rose, fell := f.rate()
	if !rose && !fell {
		return
	}
	f.Kind = FaultFell
	if rose {
		f.Kind = FaultRose
		if in, ok := x.inVersion(f, now, before); ok {
			f = in
		}
	}
	x.add(f)
}

// rate compares the rates of a fault.
func (f Finding) rate() (rose, fell bool) {
	now, of, before, ofBefore := float64(f.Now), float64(f.Of), float64(f.Before), float64(f.OfBefore)
	if f.Of < MinGroup || f.OfBefore < MinGroup || apart(f.Now, f.Before) < MinChange || !sharesDiffer(now, of, before, ofBefore) {
		return false, false
	}
	rate, old := now/of, before/ofBefore
	return rate >= old*(1+MinFaultRatio), rate <= old*(1-MinFaultRatio)
}

// inVersion returns the finding of a fault that rose in one version: it has more
// than half of the further affected installations, and the fault did not rise in
// the others.
func (x *comparison) inVersion(f Finding, now, before figures.Fault) (Finding, bool) {
	old := make(map[string]figures.FaultVersion)
	for _, v := range before.Versions {
		old[v.Version] = v
	}
	for _, v := range now.Versions {
		in, then := f, old[v.Version]
		in.Version, in.Now, in.Of = v.Version, orZero(v.Affected), orZero(v.Active)
		in.Before, in.OfBefore = orZero(then.Affected), orZero(then.Active)
		if then.Active == nil { // no installation of the version had the fault
			in.OfBefore = in.Of
		}
		if v.Version == "" || v.Version == collector.Other || in.Now <= in.Before || 2*(in.Now-in.Before) <= f.Now-f.Before {
			continue
		}
		rest := f
		rest.Now, rest.Of = less(f.Now, in.Now), less(f.Of, in.Of)
		rest.Before, rest.OfBefore = less(f.Before, in.Before), less(f.OfBefore, in.OfBefore)
		rose, _ := in.rate()
		elsewhere, _ := rest.rate()
		return in, rose && !elsewhere
	}
	return f, false
}
