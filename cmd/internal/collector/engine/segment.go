package engine

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/bits"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/figures"
)

// The members of a segment are the installations whose current values match it.
// Their figures are the bitmaps of days, each cut down to the members. Records of
// closed days have no bits, so a segment does not need, and cannot have, what only
// they say: the values that installations had before, moves, and occurrences.

// members returns the installations that match a segment now. The set must not be
// changed. It returns [collector.ErrUnavailable] until all rows are read, and
// [collector.ErrNotPublic] for the public.
func (e *Engine) members(ctx context.Context, f *fleet, v figures.View) (*bits.Set, error) {
	if v.Public {
		return nil, collector.ErrNotPublic
	}
	key := sharedKey{f: f, segment: v.Segment.String()}
	return together(ctx, key, func() (*bits.Set, error) {
		f.mu.RLock()
		defer f.mu.RUnlock()
		if !f.warm {
			return nil, fmt.Errorf("%w: values are still being read", collector.ErrUnavailable)
		}
		return f.matching(v.Segment)
	})
}

// membersIn returns the members active in a window that ends with a day in memory.
func (e *Engine) membersIn(ctx context.Context, f *fleet, v figures.View, day collector.Day, days int) (*bits.Set, error) {
	members, err := e.members(ctx, f, v)
	if err != nil {
		return nil, err
	}
	key := sharedKey{f: f, segment: v.Segment.String(), day: day, days: days}
	return together(ctx, key, func() (*bits.Set, error) {
		f.mu.RLock()
		defer f.mu.RUnlock()
		return bits.Intersection(members, f.window(day, days)), nil
	})
}

// matching returns the installations that match a segment. The caller holds mu.
func (f *fleet) matching(s collector.Segment) (*bits.Set, error) {
	var all *bits.Set
	living := true // all has only installations that are on record
	for i, term := range s.Terms() {
		matching, err := f.matchingTerm(term)
		if err != nil {
			return nil, err
		}
		if i == 0 {
			all = matching
		} else {
			all = bits.Intersection(all, matching)
		}
		living = (i > 0 && living) || term.Dimension != collector.DimFirstSeen
	}
	if !living {
		all = f.living(all)
	}
	return all, nil
}

func (f *fleet) matchingTerm(term collector.SegmentTerm) (*bits.Set, error) {
	if term.Dimension == collector.DimFirstSeen {
		set := &bits.Set{}
		for _, value := range term.Values {
			set.AddRange(uint32(f.numAt(value.Days.From)), uint32(f.numAt(value.Days.To+1)))
		}
		return set, nil
	}
	dim := f.dims.get(term.Dimension)
	if dim == nil && !collector.InEveryApp(term.Dimension) {
		return nil, fmt.Errorf("%w: %s", collector.ErrDimension, term.Dimension)
	}
	var sets []*bits.Set
	for _, value := range term.Values {
		if value.Kind == collector.ValueExact && value.Text == "" {
			sets = append(sets, f.silent(dim))
			continue
		}
		if dim == nil {
			continue
		}
		if term.Op == collector.OpIs && value.Kind == collector.ValueExact {
			if v := dim.byText[value.Text]; v != nil {
				sets = append(sets, v.set)
			}
			continue
		}
		for text, v := range dim.byText {
			if text != collector.Other && f.matches(term.Op, value, text) {
				sets = append(sets, v.set)
			}
		}
	}
	if len(sets) == 1 {
		return sets[0].Clone(), nil
	}
	return bits.Union(sets...), nil
}

// matches reports whether a text is what a value of a term stands for.
func (f *fleet) matches(op collector.SegmentOp, value collector.SegmentValue, text string) bool {
	switch {
	case op == collector.OpBefore:
		return f.app.VersionOrder.Compare(text, value.Text) < 0
	case op == collector.OpAtLeast:
		return f.app.VersionOrder.Compare(text, value.Text) >= 0
	case value.Kind == collector.ValuePrefix:
		return strings.HasPrefix(text, value.Text)
	case value.Kind == collector.ValueSeries:
		return collector.InSeries(text, value.Text)
	}
	return text == value.Text
}

// silent returns the installations that report no value of a dimension, which may
// be nil.
func (f *fleet) silent(dim *dimension) *bits.Set {
	set := f.living(nil)
	if dim != nil {
		for _, v := range dim.byText {
			set.AndNot(v.set)
		}
	}
	return set
}

// living returns those numbers of a set whose installations are on record; of all
// numbers if it is nil.
func (f *fleet) living(set *bits.Set) *bits.Set {
	living := &bits.Set{}
	for from := 0; from < len(f.hashes); {
		if f.hashes[from] == 0 {
			from++
			continue
		}
		to := from + 1
		for to < len(f.hashes) && f.hashes[to] != 0 {
			to++
		}
		living.AddRange(uint32(from), uint32(to))
		from = to
	}
	if set == nil {
		return living
	}
	return bits.Intersection(set, living)
}

// Together returns a context for questions that are asked together, such as those
// of a page: they see the same members of a segment, and share what is computed of
// them.
func Together(ctx context.Context) context.Context {
	return context.WithValue(ctx, sharedAnswers{}, &sharedSets{sets: make(map[sharedKey]*bits.Set)})
}

type sharedAnswers struct{}

type sharedSets struct {
	mu   sync.Mutex
	sets map[sharedKey]*bits.Set
}

// A sharedKey names the members of a segment, or those active in a window.
type sharedKey struct {
	f       *fleet
	segment string
	day     collector.Day
	days    int // 0 for all members
}

// together returns a set that was made with the same context, or makes it.
func together(ctx context.Context, key sharedKey, make func() (*bits.Set, error)) (*bits.Set, error) {
	shared, ok := ctx.Value(sharedAnswers{}).(*sharedSets)
	if !ok {
		return make()
	}
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if set := shared.sets[key]; set != nil {
		return set, nil
	}
	set, err := make()
	if err == nil {
		shared.sets[key] = set
	}
	return set, err
}
