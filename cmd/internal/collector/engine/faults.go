package engine

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/bits"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/figures"
	"github.com/rollcall-dev/rollcall/report"
	"maps"
)

// Faults returns the faults that were reported in a range; for the public, in the
// latest window that was over. Versions are those that the installations run now.
// Days that are purged are missing. How often faults occurred is not known for a
// segment.
func (e *Engine) Faults(ctx context.Context, app collector.AppNum, r collector.Range, v figures.View) (figures.Faults, error) {
	f, err := e.fleetIn(app, r)
	if err != nil {
		return figures.Faults{}, err
	}
	if v.Public && v.Segment.Empty() {
		return e.publicFaults(ctx, f, r, v)
	}
	answer := figures.Faults{Range: r, Faults: []figures.Fault{}}
	err = e.faultSpans(ctx, f, r, v, func(spans faultSpans) {
		sets := make([]*bits.Set, 0, len(spans.all))
		for _, fs := range spans.all {
			sets = append(sets, fs.affected)
		}
		anyFault := bits.Union(sets...)
		answer.Totals = f.faultTotals(spans.all, anyFault, spans.active, r, spans.members)
		running := f.running(spans.active, anyFault)
		for _, fs := range spans.all {
			answer.Faults = append(answer.Faults, f.shownFault(fs, running))
		}
		sortFaults(answer.Faults)
		answer.Meta = f.faultMeta(spans, r, v)
	})
	return answer, err
}

// A faultSpans is what a range says of all faults.
type faultSpans struct {
	today   collector.Day
	members *bits.Set // of the segment, or nil
	active  *bits.Set
	all     []faultSpan // those that were reported
}

// faultSpans calls use with what a range says of all faults. The fleet does not
// change meanwhile.
func (e *Engine) faultSpans(ctx context.Context, f *fleet, r collector.Range, v figures.View, use func(faultSpans)) (err error) {
	var members *bits.Set
	if !v.Segment.Empty() {
		if members, err = e.members(ctx, f, v); err != nil {
			return err
		}
	}
	f.mu.RLock()
	today := f.today
	f.mu.RUnlock()
	before, err := e.span(ctx, f, r)
	if err != nil {
		return err
	}
	f.mu.RLock()
	if f.today != today { // a day began, and the span lacks the one that ended
		f.mu.RUnlock()
		return e.faultSpans(ctx, f, r, v, use)
	}
	defer f.mu.RUnlock()
	spans := faultSpans{today: today, members: members, active: before.active}
	includesToday := r.From <= today && today <= r.To
	if includesToday {
		spans.active = bits.Union(spans.active, f.activeToday())
	}
	if members != nil {
		spans.active = bits.Intersection(spans.active, members)
	}
	for id, fault := range f.faults {
		fs := faultSpan{fault: fault, affected: before.faults[id], occurrences: before.occurrences[id]}
		if includesToday {
			fs.affected = bits.Union(fs.affected, fault.days[today], fault.days[heldDay])
			fs.occurrences = maps.Clone(fs.occurrences)
			fs.occurrences.addAll(fault.counts[today])
			fs.occurrences.addAll(fault.counts[heldDay])
		}
		if members != nil {
			fs.affected, fs.occurrences, fs.segmented = bits.Intersection(fs.affected, members), nil, true
		}
		if fs.count = fs.affected.Count(); fs.count > 0 || fs.occurrences.total() > 0 {
			spans.all = append(spans.all, fs)
		}
	}
	use(spans)
	return nil
}

// faultMeta is meta for an answer about the faults of a range. The caller holds mu.
func (f *fleet) faultMeta(spans faultSpans, r collector.Range, v figures.View) figures.Meta {
	m := f.meta(r.To, new(figures.Suppressor), spans.active.Count(), fmt.Sprintf("installations active from %s to %s", r.From, min(r.To, spans.today)))
	m.Segment = v.Segment.String()
	m.Complete = m.Complete && spans.members == nil && f.warm && max(r.From, f.since()) >= spans.today-f.retentionDays()
	return m
}

// sortFaults puts the faults with the most affected installations first.
func sortFaults(faults []figures.Fault) {
	slices.SortFunc(faults, func(a, b figures.Fault) int {
		return cmp.Or(cmp.Compare(*b.Affected, *a.Affected), cmp.Compare(a.ID, b.ID))
	})
}

// A faultSpan is what a range says of a fault.
type faultSpan struct {
	*fault
	affected    *bits.Set
	count       uint64 // of affected
	occurrences occurrences
	// segmented means that only the members of a segment count: nobody knows how
	// often the fault occurred with them.
	segmented bool
}

// occurred returns a number of occurrences as it is shown.
func (fs *faultSpan) occurred(n uint64) figures.Count {
	if fs.segmented {
		return nil
	}
	return &n
}

// A runningVersion is the active installations that run a version: how many, and
// those of them that have any fault.
type runningVersion struct {
	version string
	active  uint64
	faulty  *bits.Set
}

// running splits the active installations by version, newest first. As a rule
// few have faults, and these are then cheap to split once more by fault.
func (f *fleet) running(active, faulty *bits.Set) []runningVersion {
	d := f.dims.get(collector.DimVersion)
	if d == nil {
		return nil
	}
	faulty = bits.Intersection(active, faulty)
	var versions []runningVersion
	for text, v := range d.byText {
		if n := bits.CountBoth(active, v.set); n > 0 {
			versions = append(versions, runningVersion{text, n, bits.Intersection(faulty, v.set)})
		}
	}
	newest := figures.NewestFirst(f.app.VersionOrder)
	slices.SortFunc(versions, func(a, b runningVersion) int { return newest(a.version, b.version) })
	return versions
}

// shownFault returns a fault as it is shown.
func (f *fleet) shownFault(fs faultSpan, running []runningVersion) figures.Fault {
	shown := figures.Fault{
		ID: fs.ID, Source: fs.Source, Component: fs.Component, Reason: fs.Reason, Stage: fs.Stage, Severity: fs.Severity,
		FirstSeen: fs.FirstSeen, LastSeen: fs.LastSeen, Affected: &fs.count, Occurrences: fs.occurred(fs.occurrences.total()),
		Versions: []figures.FaultVersion{}, Status: cmp.Or(fs.Status, collector.FaultOpen), FixedIn: fs.FixedIn,
		Note: fs.Note, NewIn: f.newIn(fs.fault), Sample: maps.Clone(fs.Sample),
	}
	for _, v := range running {
		n := bits.CountBoth(fs.affected, v.faulty)
		if n == 0 {
			continue
		}
		version := figures.FaultVersion{Version: v.version, Affected: &n, Active: &v.active, Occurrences: fs.occurred(fs.occurrences[v.version])}
		version.PerThousand = 1000 * figures.Share(version.Affected, version.Active)
		shown.Versions = append(shown.Versions, version)
	}
	return shown
}

// newIn returns the version that introduced a fault: the oldest one that
// reported it, if the fault is not older than the version, and if there were
// older versions that could have reported it.
func (f *fleet) newIn(fault *fault) string {
	release, ok := f.releases[fault.OldestVersion]
	if !ok || fault.FirstSeen < release.FirstSeen {
		return ""
	}
	for version, other := range f.releases {
		if other.FirstSeen < release.FirstSeen && f.app.VersionOrder.Compare(version, fault.OldestVersion) < 0 {
			return fault.OldestVersion
		}
	}
	return ""
}

// SetFault sets the maintainer's triage of a fault. It sets At.
func (e *Engine) SetFault(ctx context.Context, app collector.AppNum, id string, triage collector.Triage) error {
	status, fixedIn, note := triage.Status, triage.FixedIn, triage.Note
	switch {
	case status != collector.FaultOpen && status != collector.FaultIgnored && status != collector.FaultFixed:
		return fmt.Errorf("status %q is not open, ignored or fixed", status)
	case len(fixedIn) > report.MaxVersionLen || report.NormalizeVersion(fixedIn) != fixedIn:
		return fmt.Errorf("%q is not a version", fixedIn)
	case fixedIn != "" && status != collector.FaultFixed:
		return fmt.Errorf("version %s needs the status fixed", fixedIn)
	case !utf8.ValidString(note) || utf8.RuneCountInString(note) > collector.MaxNoteLen:
		return fmt.Errorf("note exceeds %d characters", collector.MaxNoteLen)
	}
	return e.exec(ctx, func(ctx context.Context) error {
		f, err := e.fleet(app)
		if err != nil {
			return err
		}
		fault := f.faults[id]
		if fault == nil {
			return collector.ErrFault
		}
		record := fault.faultRecord
		record.Status, record.FixedIn, record.Note = status, fixedIn, note
		triage.At = e.clock.read().UTC().Truncate(time.Second)
		record.History = append(slices.Clone(record.History), triage)
		record.History = record.History[max(0, len(record.History)-collector.MaxTriage):]
		if err := e.putRecords(ctx, f.record(kindFault, 0, id, record)); err != nil {
			return err
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		fault.faultRecord = record
		f.revision++
		return nil
	})
}
