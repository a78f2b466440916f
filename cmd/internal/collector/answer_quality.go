package collector

import (
	"context"
	"slices"
	"strings"
)

// Quality says how far the figures can be trusted. It is for the maintainer only.
func (c *Collector) Quality(ctx context.Context, app AppNum, r Range) (Quality, error) {
	f, err := c.fleet(app)
	if err != nil {
		return Quality{}, err
	}
	if err := r.check(); err != nil {
		return Quality{}, err
	}
	days, err := c.days(ctx, f, r, f.tally)
	if err != nil {
		return Quality{}, err
	}
	answer := Quality{Range: r, Points: make([]QualityPoint, 0, len(days)), Truncated: []string{}, Clients: []Value{}}
	for _, d := range days {
		n := d.Counters
		if d.open {
			n.add(&dayCounters{Refused: c.refusedNow(app)})
		}
		point := QualityPoint{
			Day: d.day, Open: d.open, Gap: d.Gap, Accepted: n.Accepted, Repeated: n.Repeated, Refused: n.Refused, Skewed: n.Skewed,
			DroppedFields: n.DroppedFields, DroppedFacts: n.DroppedFacts, DroppedContext: n.DroppedContext,
		}
		if point.Refused == nil {
			point.Refused = map[string]uint64{}
		}
		answer.Points = append(answer.Points, point)
	}
	size, err := c.store.Size(ctx)
	if err != nil {
		return Quality{}, err
	}
	f.mu.RLock()
	today := f.today
	f.mu.RUnlock()
	sp, current, err := c.split(ctx, f, DimClient, today, in28)
	if err != nil {
		return Quality{}, err
	}
	s := (View{}).seal()
	answer.Clients = s.values(sp.counts)
	f.mu.RLock()
	defer f.mu.RUnlock()
	clones := f.clones.Count()
	answer.Clones = s.count(clones)
	facts := 0
	for _, d := range f.dims.dims {
		if d == nil {
			continue
		}
		if d.truncated {
			answer.Truncated = append(answer.Truncated, d.name)
		}
		if strings.HasPrefix(d.name, FactDimension) {
			facts++
		}
	}
	if facts >= MaxFacts {
		answer.Truncated = append(answer.Truncated, "facts")
	}
	slices.Sort(answer.Truncated)
	answer.Stored = Stored{Bytes: size, Installations: f.held, Journal: int(c.entries.Load()), Since: f.began()}
	answer.Meta = f.meta(r.To, s, sp.active, active28(sp.day))
	answer.Complete = answer.Complete && current
	return answer, nil
}
