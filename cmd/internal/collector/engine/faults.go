package engine

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"unicode/utf8"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/bits"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/figures"
	"github.com/rollcall-dev/rollcall/report"
)

// Faults returns the faults that were reported in a range; for the public, in a
// window, see [figures.View.Span]. Versions are those that the installations run
// now. Days that are purged are missing.
func (e *Engine) Faults(ctx context.Context, app collector.AppNum, r collector.Range, v figures.View) (figures.Faults, error) {
	f, err := e.fleetIn(app, r)
	if err != nil {
		return figures.Faults{}, err
	}
	f.mu.RLock()
	today := f.today
	f.mu.RUnlock()
	asked := r
	r = v.Span(r, today)
	before, err := e.span(ctx, f, r)
	if err != nil {
		return figures.Faults{}, err
	}
	f.mu.RLock()
	if f.today != today { // a day began, and the span lacks the one that ended
		f.mu.RUnlock()
		return e.Faults(ctx, app, asked, v)
	}
	defer f.mu.RUnlock()
	includesToday := r.From <= today && today <= r.To
	active := before.active
	if includesToday {
		active = bits.Union(active, f.days[today])
	}
	s := v.Suppressor()
	var all []faultSpan
	var faulty []*bits.Set
	for id, fault := range f.faults {
		fs := faultSpan{fault: fault, affected: before.faults[id], occurrences: before.occurrences[id]}
		if includesToday {
			fs.affected = bits.Union(fs.affected, fault.days[today])
			fs.occurrences += fault.counts[today]
		}
		n := fs.affected.Count()
		if n == 0 && fs.occurrences == 0 {
			continue
		}
		if fs.count = s.Count(n); fs.count == nil {
			continue // a fault of few has no name
		}
		all, faulty = append(all, fs), append(faulty, fs.affected)
	}
	answer := figures.Faults{Range: r, Faults: []figures.Fault{}}
	running := f.running(active, bits.Union(faulty...))
	for _, fs := range all {
		answer.Faults = append(answer.Faults, f.shownFault(s, fs, running))
	}
	slices.SortFunc(answer.Faults, func(a, b figures.Fault) int {
		return cmp.Or(cmp.Compare(*b.Affected, *a.Affected), cmp.Compare(a.ID, b.ID))
	})
	answer.Meta = f.meta(r.To, s, active.Count(), fmt.Sprintf("installations active from %s to %s", r.From, min(r.To, today)))
	answer.Complete = answer.Complete && f.warm && max(r.From, f.since()) >= today-f.retentionDays()
	return answer, nil
}

// A faultSpan is what a range says of a fault.
type faultSpan struct {
	*fault
	affected    *bits.Set
	count       figures.Count // of affected, as it is shown
	occurrences uint64
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
	for i, text := range d.texts {
		if n := bits.CountBoth(active, d.sets[i]); text != "" && n > 0 {
			versions = append(versions, runningVersion{text, n, bits.Intersection(faulty, d.sets[i])})
		}
	}
	slices.SortFunc(versions, func(a, b runningVersion) int { return figures.CompareNewest(a.version, b.version) })
	return versions
}

// shownFault returns a fault as it is shown.
func (f *fleet) shownFault(s *figures.Suppressor, fs faultSpan, running []runningVersion) figures.Fault {
	shown := figures.Fault{
		ID: fs.ID, Source: fs.Source, Component: fs.Component, Reason: fs.Reason, Stage: fs.Stage, Severity: fs.Severity,
		FirstSeen: fs.FirstSeen, LastSeen: fs.LastSeen, Affected: fs.count, Occurrences: s.Count(fs.occurrences),
		Versions: []figures.FaultVersion{}, Status: cmp.Or(fs.Status, collector.FaultOpen), FixedIn: fs.FixedIn,
	}
	newIn := f.newIn(fs.fault)
	if !s.Public() {
		shown.Note, shown.NewIn = fs.Note, newIn
	}
	for _, v := range running {
		n := bits.CountBoth(fs.affected, v.faulty)
		if n == 0 {
			continue
		}
		version := figures.FaultVersion{Version: v.version, Affected: s.Count(n), Active: s.Repeat(v.active)}
		if version.Affected == nil {
			continue // a version of few has no name
		}
		version.PerThousand = 1000 * figures.Share(version.Affected, version.Active)
		shown.Versions = append(shown.Versions, version)
		if v.version == newIn {
			shown.NewIn = newIn
		}
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
		if other.FirstSeen < release.FirstSeen && report.CompareVersions(version, fault.OldestVersion) < 0 {
			return fault.OldestVersion
		}
	}
	return ""
}

// SetFault sets the maintainer's triage of a fault. FixedIn is for FaultFixed,
// and may be empty.
func (e *Engine) SetFault(ctx context.Context, app collector.AppNum, id string,
	status collector.FaultStatus, fixedIn, note string,
) error {
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
