package engine

import (
	"context"
	"errors"
	stdbits "math/bits"
	"slices"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/bits"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/figures"
)

// A memberDay is what is counted of the members of a segment on a day.
type memberDay struct {
	active, established   [4]uint64
	fresh, returned, lost uint64
}

// A memberSeries sums up strips.
type memberSeries struct {
	days          []memberDay
	weeks, months *slider
}

// segmentSeries is Series for the members of a segment.
func (e *Engine) segmentSeries(ctx context.Context, f *fleet, r collector.Range, v figures.View) (figures.Series, error) {
	return askAgain(func() (figures.Series, error) {
		members, err := e.members(ctx, f, v)
		if err != nil {
			return figures.Series{}, err
		}
		p, days, err := e.knownDays(ctx, f, r, longestWindow)
		if err != nil {
			return figures.Series{}, err
		}
		answer := figures.Series{Range: r, Points: []figures.SeriesPoint{}}
		var last memberDay
		if len(days) > 0 {
			from, to := days[0].day, days[len(days)-1].day
			sum, err := f.memberSeries(ctx, stripPlan{
				members: members, past: p, days: collector.Range{From: from - longestWindow, To: to},
			}, collector.Range{From: from, To: to})
			if err != nil {
				return figures.Series{}, err
			}
			for _, d := range days {
				n := sum.days[d.day-from]
				answer.Points = append(answer.Points, memberPoint(d, n))
				last = n
			}
			if answer.MedianAge, err = e.memberAge(ctx, f, to, v); err != nil {
				return figures.Series{}, err
			}
		}
		answer.Meta = f.segmentMeta(p, r.To, v, last.active[window28], activeText(28, min(r.To, p.today)))
		return answer, nil
	})
}

// knownDays returns the days of a range whose whole window is known, and the
// activity they are computed from.
func (e *Engine) knownDays(ctx context.Context, f *fleet, r collector.Range, window collector.Day) (*past, []dayFigures, error) {
	p, err := e.past(ctx, f, r.From-window)
	if err != nil {
		return nil, nil, err
	}
	days, err := e.days(ctx, f, r, (*fleet).countersOnly)
	if err != nil {
		return nil, nil, err
	}
	return p, slices.DeleteFunc(days, func(d dayFigures) bool {
		return !p.knows(collector.Range{From: d.day - window, To: d.day}) || d.day > p.today
	}), nil
}

// segmentMeta is meta for the members of a segment.
func (f *fleet) segmentMeta(p *past, to collector.Day, v figures.View, denominator uint64, of string) figures.Meta {
	m := f.lockedMeta(to, new(figures.Suppressor), denominator, "of the segment, "+of)
	m.Segment = v.Segment.String()
	m.Complete = false // values change
	if p != nil && p.reach != firstEver {
		m.Reaches = p.reach
	}
	return m
}

func memberPoint(d dayFigures, n memberDay) figures.SeriesPoint {
	if d.Gap {
		return figures.SeriesPoint{Day: d.day, Gap: true}
	}
	active := func(n [4]uint64) figures.Active {
		return figures.Active{Day: &n[0], Week: &n[1], Days28: &n[2], Days30: &n[3]}
	}
	return figures.SeriesPoint{
		Day: d.day, Open: d.open, Active: active(n.active), Established: active(n.established),
		New: &n.fresh, Returning: &n.returned, Lost: &n.lost, Forgotten: new(uint64), // who was deleted is no member
	}
}

// memberSeries counts the members on each day of a range. The plan's days begin
// longestWindow before.
func (f *fleet) memberSeries(ctx context.Context, plan stripPlan, r collector.Range) (*memberSeries, error) {
	fresh := func() *memberSeries {
		return &memberSeries{make([]memberDay, r.To-r.From+1), newSlider(windowDays[1]), newSlider(windowDays[window28])}
	}
	sums, err := strips(ctx, f, plan, fresh, func(sum *memberSeries, s *strip) { sum.add(s, r) })
	if err != nil {
		return nil, err
	}
	all := sums[0]
	for _, sum := range sums[1:] {
		for i := range sum.days {
			all.days[i].add(&sum.days[i])
		}
	}
	return all, nil
}

func (d *memberDay) add(n *memberDay) {
	for w := range n.active {
		d.active[w] += n.active[w]
		d.established[w] += n.established[w]
	}
	d.fresh, d.returned, d.lost = d.fresh+n.fresh, d.returned+n.returned, d.lost+n.lost
}

func (sum *memberSeries) add(s *strip, r collector.Range) {
	var month, seen bits.Words
	var active28 uint64
	for i := range s.days {
		day := s.from + collector.Day(i)
		s.see(&seen, i)
		switch {
		case day < r.From-1:
			sum.weeks.skip(s.days, i)
			sum.months.skip(s.days, i)
			continue
		case day < r.From:
			sum.weeks.skip(s.days, i)
			sum.months.slide(s.days, i, &month)
			active28 = month.Count()
			continue
		}
		n := sum.count(s, i, active28, &month, &seen)
		active28 = n.active[window28]
		sum.days[day-r.From].add(&n)
	}
}

// count counts the i-th day of a strip. Month has the 28 days to the day before,
// which are active28 installations, and then those to the day. Seen has the
// installations that were seen on a second day, of those that are new in the strip.
//
// Nearly all of the time goes into the first loop, so that counts as little as
// it can: the rest follows from arrivals and departures, and from the few that
// were seen on one day only.
func (sum *memberSeries) count(s *strip, i int, active28 uint64, month, seen *bits.Words) (n memberDay) {
	weekBegin, monthBegin := sum.weeks.next(s.days, i), sum.months.next(s.days, i)
	weekEnd, monthEnd := &sum.weeks.prefix, &sum.months.prefix
	day, earlier, earliest := &s.days[i], &s.days[i-lostAfter], &s.days[i-lostAfter-1]
	var active, week, entered, lost, only30 int
	for w := range day {
		today := day[w]
		weekEnd[w] |= today
		monthEnd[w] |= today
		now := monthEnd[w] | monthBegin[w]
		active += stdbits.OnesCount64(today)
		week += stdbits.OnesCount64(weekEnd[w] | weekBegin[w])
		entered += stdbits.OnesCount64(today &^ month[w])
		lost += stdbits.OnesCount64(earlier[w] &^ now)
		only30 += stdbits.OnesCount64((earlier[w] | earliest[w]) &^ now)
		month[w] = now
	}
	at := s.from + collector.Day(i)
	n.fresh = day.CountRange(s.newIn(collector.Range{From: at, To: at}))
	n.returned, n.lost = uint64(entered)-n.fresh, uint64(lost)
	active28 += uint64(entered) - n.lost
	n.active = [4]uint64{uint64(active), uint64(week), active28, active28 + uint64(only30)}
	n.established = n.active
	lo, hi := s.newIn(collector.Range{From: at - longestWindow + 1, To: at})
	for w := lo / 64; w < (hi+63)/64; w++ {
		windows := [4]uint64{day[w], weekEnd[w] | weekBegin[w], month[w], month[w] | earlier[w] | earliest[w]}
		for k, window := range windows {
			n.established[k] -= uint64(stdbits.OnesCount64(window &^ seen[w]))
		}
	}
	return n
}

// newIn returns the numbers n of the strip, with lo <= n < hi, that were first seen
// in a range of days.
func (s *strip) newIn(r collector.Range) (lo, hi uint32) {
	i, _ := slices.BinarySearch(s.firsts, r.From)
	j, _ := slices.BinarySearch(s.firsts, r.To+1)
	return s.bounds[i], s.bounds[j]
}

// see adds to seen the installations that the i-th day is a second day of: all
// active ones but the new. Seen need not have those first seen before the strip,
// because one day in it is their second.
func (s *strip) see(seen *bits.Words, i int) {
	day := s.from + collector.Day(i)
	since, _ := s.newIn(collector.Range{From: s.from, To: s.from})
	lo, hi := s.newIn(collector.Range{From: day, To: day})
	for w := since / 64; w < uint32(len(seen)); w++ {
		word, at := s.days[i][w], w*64
		if lo < hi && at < hi && at+64 > lo {
			word &^= ^uint64(0) << (max(lo, at) - at) & (^uint64(0) >> (at + 64 - min(hi, at+64)))
		}
		seen[w] |= word
	}
}

// MedianAge returns the median number of days since first sight, as of a day, of
// the installations active in the 28 days to it; nil if there are none, or if
// the day has no figures. It is not for the public.
func (e *Engine) MedianAge(ctx context.Context, app collector.AppNum, day collector.Day, v figures.View) (figures.Count, error) {
	if v.Public {
		return nil, collector.ErrNotPublic
	}
	if v.Segment.Empty() {
		only, err := e.Series(ctx, app, collector.Range{From: day, To: day}, v)
		return only.MedianAge, err
	}
	f, err := e.fleet(app)
	if err != nil {
		return nil, err
	}
	return e.memberAge(ctx, f, day, v)
}

// memberAge is MedianAge for the members of a segment.
func (e *Engine) memberAge(ctx context.Context, f *fleet, day collector.Day, v figures.View) (figures.Count, error) {
	active, _, err := e.membersTo(ctx, f, day, windowDays[window28], v)
	if errors.Is(err, collector.ErrNoDay) {
		return nil, nil
	}
	if err != nil || active.IsEmpty() {
		return nil, err
	}
	f.mu.RLock()
	defer f.mu.RUnlock()
	age := f.medianAge(active, day)
	return &age, nil
}
