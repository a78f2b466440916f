package engine

import (
	"cmp"
	"context"
	"slices"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/bits"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/figures"
)

// Fault returns all about one fault in a range. It is not for the public. It
// returns [collector.ErrFault] if there is no such fault.
func (e *Engine) Fault(ctx context.Context, app collector.AppNum, id string, r collector.Range, v figures.View) (figures.FaultDetail, error) {
	f, err := e.fleetIn(app, r)
	switch {
	case err != nil:
		return figures.FaultDetail{}, err
	case v.Public:
		return figures.FaultDetail{}, collector.ErrNotPublic
	}
	answer := figures.FaultDetail{Range: r, Dimensions: []figures.FaultDimension{}, Triage: []collector.Triage{}}
	found := false
	var members *bits.Set
	err = e.faultSpans(ctx, f, r, v, func(spans faultSpans) {
		fault := f.faults[id]
		if found = fault != nil; !found {
			return
		}
		own := faultSpan{fault: fault, affected: &bits.Set{}, segmented: spans.members != nil}
		if i := slices.IndexFunc(spans.all, func(fs faultSpan) bool { return fs.ID == id }); i >= 0 {
			own = spans.all[i]
		}
		members = spans.members
		answer.Fault = f.shownFault(own, f.running(spans.active, own.affected))
		for _, dim := range f.dims.sorted() {
			if values := dim.affected(own.affected, spans.active); len(values) > 0 && dim.name != collector.DimVersion {
				answer.Dimensions = append(answer.Dimensions, figures.FaultDimension{Dimension: dim.name, Values: values})
			}
		}
		answer.Triage = append(answer.Triage, fault.History...)
		slices.Reverse(answer.Triage)
		answer.Meta = f.faultMeta(spans, r, v)
	})
	switch {
	case err != nil:
		return figures.FaultDetail{}, err
	case !found:
		return figures.FaultDetail{}, collector.ErrFault
	}
	answer.Days, err = e.faultDaysOf(ctx, f, id, r, members)
	return answer, err
}

// FaultDays returns the days of a range for one fault, or for all of them if id
// is empty. It leaves out days whose faults are not known. It is not for the
// public.
func (e *Engine) FaultDays(ctx context.Context, app collector.AppNum, id string, r collector.Range, v figures.View) ([]figures.FaultDay, error) {
	f, err := e.fleetIn(app, r)
	if err == nil && v.Public {
		err = collector.ErrNotPublic
	}
	var members *bits.Set
	if err == nil && !v.Segment.Empty() {
		members, err = e.members(ctx, f, v)
	}
	if err != nil {
		return nil, err
	}
	all := id == ""
	f.mu.RLock()
	recent, start := max(r.From, f.today-longestWindow), f.today+1
	if len(f.first) > 0 {
		start = f.first[0].Day
	}
	kept := f.today - f.retentionDays() // older days are purged
	f.mu.RUnlock()
	if imported, err := e.importedBefore(ctx, f, start); err != nil {
		return nil, err
	} else if !imported {
		start = r.From // nobody was there
	}
	older := r
	if all {
		older.To = min(r.To, recent-1)
	}
	if all || members != nil {
		older.From = max(r.From, start, kept) // since when single installations are known
	}
	var days []figures.FaultDay
	if older.From <= older.To {
		if days, err = e.faultDaysOf(ctx, f, id, older, members); err != nil {
			return nil, err
		}
	}
	if all {
		f.mu.RLock()
		defer f.mu.RUnlock()
		days = append(days, f.faultDays(collector.Range{From: recent, To: r.To}, members)...)
	}
	return days, nil
}

// affected returns how many of the active installations with each value are
// affected.
func (d *dimension) affected(affected, active *bits.Set) []figures.FaultValue {
	affected = bits.Intersection(affected, active)
	values := []figures.FaultValue{}
	for text, n := range d.counts(affected) {
		of := bits.CountBoth(d.byText[text].set, active)
		values = append(values, figures.FaultValue{Value: text, Affected: &n, Active: &of, PerThousand: 1000 * figures.Share(&n, &of)})
	}
	slices.SortFunc(values, func(a, b figures.FaultValue) int {
		return cmp.Or(cmp.Compare(*b.Affected, *a.Affected), cmp.Compare(a.Value, b.Value))
	})
	return values
}

// faultDaysOf returns the days of a range for one fault: closed days as their
// records have them, or their bits cut down to members if these are not nil. Without
// an ID it returns closed days for all faults.
func (e *Engine) faultDaysOf(ctx context.Context, f *fleet, id string, r collector.Range, members *bits.Set) ([]figures.FaultDay, error) {
	days, err := e.days(ctx, f, r, (*fleet).countersOnly)
	if err != nil || len(days) == 0 {
		return []figures.FaultDay{}, err
	}
	only := collector.Range{From: days[0].day, To: days[len(days)-1].day}
	f.mu.RLock()
	recent := f.today - longestWindow // the oldest day in memory, which the next midnight evicts
	f.mu.RUnlock()
	written := make(map[collector.Day]faultDay)
	sets := make(map[collector.Day]*bits.Set)
	add := func(r collector.Record) error {
		set := &bits.Set{}
		err := decodeChunk(set, r)
		daySet(sets, r.Day).Or(set)
		return err
	}
	switch {
	case id != "" && members == nil:
		written, err = closed[faultDay](ctx, e, f, kindFaultDay, id, only)
	case id != "":
		for day := only.From; day <= min(only.To, recent) && err == nil; day++ {
			err = each(e.store.RecordsOfDay(ctx, kindFaultBits, f.num, day, id+"/", id+"/"+bits.LastChunkName), add)
		}
	default:
		if err = eachRecord(ctx, e.store, kindFaultBits, f.num, only, add); err != nil || members != nil {
			break
		}
		err = eachRecord(ctx, e.store, kindFaultDay, f.num, only, func(r collector.Record) error {
			var one faultDay
			err := decodeRecord(r, &one)
			day := written[r.Day]
			day.Occurrences += one.Occurrences
			written[r.Day] = day
			return err
		})
		for day, set := range sets {
			sum := written[day]
			sum.Affected[window1] = set.Count()
			written[day] = sum
		}
	}
	if err != nil {
		return nil, err
	}
	f.mu.RLock()
	defer f.mu.RUnlock()
	shown := make([]figures.FaultDay, 0, len(days))
	fault := f.faults[id]
	for _, d := range days {
		if d.Gap {
			continue
		}
		n, occurred := written[d.day].Affected[window1], written[d.day].Occurrences
		if members != nil {
			set := sets[d.day]
			if fault != nil && d.day > recent {
				set = fault.days[d.day]
			}
			n = bits.CountBoth(set, members)
		}
		if d.open && fault != nil {
			set := bits.Union(fault.days[d.day], fault.days[heldDay])
			if n = set.Count(); members != nil {
				n = bits.CountBoth(set, members)
			}
			occurred = fault.counts[d.day].total() + fault.counts[heldDay].total()
		}
		day := figures.FaultDay{Day: d.day, Open: d.open, Affected: &n}
		if members == nil {
			day.Occurrences = &occurred
		}
		shown = append(shown, day)
	}
	return shown, nil
}
