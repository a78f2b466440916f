package engine

import (
	"context"
	"slices"
	"strings"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/figures"
)

// Quality says how far the figures can be trusted. It is for the maintainer only.
func (c *Engine) Quality(ctx context.Context, app collector.AppNum, r collector.Range) (figures.Quality, error) {
	f, err := c.fleet(app)
	if err != nil {
		return figures.Quality{}, err
	}
	if err := r.Validate(); err != nil {
		return figures.Quality{}, err
	}
	days, err := c.days(ctx, f, r, f.tally)
	if err != nil {
		return figures.Quality{}, err
	}
	answer := figures.Quality{Range: r, Points: make([]figures.QualityPoint, 0, len(days)), Truncated: []string{}, Clients: []figures.Value{}}
	for _, d := range days {
		n := d.Counters
		if d.open {
			n.add(&dayCounters{Refused: c.refusedNow(app)})
		}
		point := figures.QualityPoint{
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
		return figures.Quality{}, err
	}
	f.mu.RLock()
	today := f.today
	f.mu.RUnlock()
	sp, current, err := c.split(ctx, f, collector.DimClient, today, in28)
	if err != nil {
		return figures.Quality{}, err
	}
	s := (figures.View{}).Suppressor()
	answer.Clients = s.Values(sp.counts)
	f.mu.RLock()
	defer f.mu.RUnlock()
	clones := f.clones.Count()
	answer.Clones = s.Count(clones)
	facts := 0
	for _, d := range f.dims.dims {
		if d == nil {
			continue
		}
		if d.truncated {
			answer.Truncated = append(answer.Truncated, d.name)
		}
		if strings.HasPrefix(d.name, collector.FactDimension) {
			facts++
		}
	}
	if facts >= collector.MaxFacts {
		answer.Truncated = append(answer.Truncated, "facts")
	}
	slices.Sort(answer.Truncated)
	answer.Stored = figures.Stored{Bytes: size, Installations: f.held, Journal: int(c.entries.Load()), Since: f.began()}
	answer.Meta = f.meta(r.To, s, sp.active, active28(sp.day))
	answer.Complete = answer.Complete && current
	return answer, nil
}
