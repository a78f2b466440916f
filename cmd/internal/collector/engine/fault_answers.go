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

// Faults gives the faults that were reported in the range; for the public in the longest of the windows 1, 7, 28 and 30
// days that ends with it. Versions are those that the installations run now. Of days that are purged nothing is known.
func (c *Engine) Faults(ctx context.Context, app collector.AppNum, r collector.Range, v figures.View) (figures.Faults, error) {
	f, err := c.fleet(app)
	if err != nil {
		return figures.Faults{}, err
	}
	if err := r.Validate(); err != nil {
		return figures.Faults{}, err
	}
	f.mu.RLock()
	today := f.today
	asked := r
	r = v.Span(r, today)
	f.mu.RUnlock()
	older, err := c.older(ctx, f, r, nil)
	if err != nil {
		return figures.Faults{}, err
	}
	f.mu.RLock()
	if f.today != today { // what was read does not reach what is in memory now
		f.mu.RUnlock()
		return c.Faults(ctx, app, asked, v)
	}
	defer f.mu.RUnlock()
	since, held := today-longestWindow, today-f.retentionDays()
	s := v.Suppressor()
	inMemory := collector.Range{From: max(r.From, since), To: min(r.To, f.today)}
	active := bits.Union(older.active, f.recent(inMemory))
	answer := figures.Faults{Range: r, Faults: []figures.Fault{}}
	type named struct {
		*fault
		affected *bits.Set
		figure   figures.Count
		count    uint64
	}
	var all []named
	var faulty []*bits.Set
	for id, is := range f.faults.byID {
		count := older.happened[id]
		for day := inMemory.From; day <= inMemory.To; day++ {
			count += is.counts[day]
		}
		affected := bits.Union(older.faults[id], f.reported(is, inMemory))
		n := affected.Count()
		if n == 0 && count == 0 {
			continue
		}
		figure := s.Count(n)
		if figure == nil {
			continue // a fault of few is not named
		}
		all, faulty = append(all, named{is, affected, figure, count}), append(faulty, affected)
	}
	running := f.running(active, bits.Union(faulty...))
	for _, of := range all {
		answer.Faults = append(answer.Faults, shownFault(s, f, of.fault, of.affected, of.figure, of.count, running))
	}
	slices.SortFunc(answer.Faults, func(a, b figures.Fault) int {
		return cmp.Or(cmp.Compare(*b.Affected, *a.Affected), cmp.Compare(a.ID, b.ID))
	})
	answer.Meta = f.meta(r.To, s, active.Count(), fmt.Sprintf("installations active from %s to %s", r.From, min(r.To, f.today)))
	answer.Complete = answer.Complete && f.warm && max(r.From, f.began()) >= held
	return answer, nil
}

// A versionSet is the active installations that run a version: how many, and the faulty ones of them.
type versionSet struct {
	version string
	count   uint64
	faulty  *bits.Set
}

// running splits the active installations by version, the newest first. Few have faults as a rule, and are then cheap to split
// once more by fault.
func (f *fleet) running(active, faulty *bits.Set) []versionSet {
	d := f.dims.get(collector.DimVersion)
	if d == nil {
		return nil
	}
	faulty = bits.Intersection(active, faulty)
	var sets []versionSet
	for i, text := range d.values {
		if text == "" {
			continue
		}
		if n := bits.CountBoth(active, d.sets[i]); n > 0 {
			sets = append(sets, versionSet{text, n, bits.Intersection(faulty, d.sets[i])})
		}
	}
	slices.SortFunc(sets, func(a, b versionSet) int { return figures.CompareNewest(a.version, b.version) })
	return sets
}

func shownFault(s *figures.Suppressor, f *fleet, is *fault, affected *bits.Set, figure figures.Count, count uint64, running []versionSet) figures.Fault {
	shown := figures.Fault{
		ID: is.ID, Source: is.Source, Component: is.Component, Reason: is.Reason, Stage: is.Stage, Severity: is.Severity,
		FirstSeen: is.FirstSeen, LastSeen: is.LastSeen, Affected: figure, Occurrences: s.Count(count),
		Versions: []figures.FaultVersion{}, Status: cmp.Or(is.Status, collector.FaultOpen), FixedIn: is.FixedIn,
	}
	if !s.Public() {
		shown.Note = is.Note // it is for the maintainer
	}
	newIn := f.newIn(is)
	for _, v := range running {
		n := bits.CountBoth(affected, v.faulty)
		if n == 0 {
			continue
		}
		version := figures.FaultVersion{Version: v.version, Affected: s.Count(n), Active: s.Figure(v.count)}
		if version.Affected == nil {
			continue
		}
		version.PerThousand = 1000 * figures.Share(version.Affected, version.Active)
		shown.Versions = append(shown.Versions, version)
		if version.Version == newIn {
			shown.NewIn = newIn
		}
	}
	if !s.Public() {
		shown.NewIn = newIn // for the public a version of few has no name
	}
	return shown
}

// newIn gives the version that brought a fault: the oldest that reported it, if the fault came no earlier than the
// version, and there were older ones that could have had it.
func (f *fleet) newIn(is *fault) string {
	release, ok := f.releases[is.OldestVersion]
	if !ok || is.FirstSeen < release.FirstSeen {
		return ""
	}
	for version, other := range f.releases {
		if other.FirstSeen < release.FirstSeen && report.CompareVersions(version, is.OldestVersion) < 0 {
			return is.OldestVersion
		}
	}
	return ""
}

// SetFault sets what the maintainer says of a fault. FixedIn goes with FaultFixed and is empty otherwise.
func (c *Engine) SetFault(ctx context.Context, app collector.AppNum, id string, status collector.FaultStatus, fixedIn, note string) error {
	switch {
	case status != collector.FaultOpen && status != collector.FaultIgnored && status != collector.FaultFixed:
		return fmt.Errorf("status %q is not open, ignored or fixed", status)
	case len(fixedIn) > report.MaxVersionLen || report.NormalizeVersion(fixedIn) != fixedIn:
		return fmt.Errorf("%q is not a version", fixedIn)
	case fixedIn != "" && status != collector.FaultFixed:
		return fmt.Errorf("the version %s is for the status fixed", fixedIn)
	case !utf8.ValidString(note) || utf8.RuneCountInString(note) > collector.MaxNoteLen:
		return fmt.Errorf("the note has more than %d characters", collector.MaxNoteLen)
	}
	return c.exec(ctx, func(ctx context.Context) error {
		f, err := c.fleet(app)
		if err != nil {
			return err
		}
		is := f.faults.byID[id]
		if is == nil {
			return collector.ErrFault
		}
		record := is.faultRecord
		record.Status, record.FixedIn, record.Note = status, fixedIn, note
		key := collector.RecordKey{Kind: kindFault, App: app, Name: id}
		if err := c.commit(ctx, &collector.Batch{Records: []collector.Record{jsonRecord(key, record)}}); err != nil {
			return err
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		is.faultRecord = record
		f.revision++
		return nil
	})
}
