package engine

import (
	"context"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/figures"
)

// Quality returns how reliable the figures are. It is for the maintainer only.
func (e *Engine) Quality(ctx context.Context, app collector.AppNum, r collector.Range) (figures.Quality, error) {
	f, err := e.fleetIn(app, r)
	if err != nil {
		return figures.Quality{}, err
	}
	days, err := e.days(ctx, f, r, (*fleet).countersOnly)
	if err != nil {
		return figures.Quality{}, err
	}
	answer := figures.Quality{Range: r, Points: make([]figures.QualityPoint, 0, len(days))}
	for _, d := range days {
		n := d.Counters
		if d.open {
			n.add(&dayCounters{Refused: e.refusedNow(app)})
		}
		if n.Refused == nil {
			n.Refused = map[string]uint64{}
		}
		answer.Points = append(answer.Points, figures.QualityPoint{
			Day: d.day, Open: d.open, Gap: d.Gap, Accepted: n.Accepted, Repeated: n.Repeated, Refused: n.Refused, Skewed: n.Skewed,
			DroppedFields: n.DroppedFields, DroppedFacts: n.DroppedFacts, DroppedContext: n.DroppedContext,
		})
	}
	size, err := e.store.Size(ctx)
	if err != nil {
		return figures.Quality{}, err
	}
	today, _, err := e.Today(app)
	if err != nil {
		return figures.Quality{}, err
	}
	clients, err := e.split(ctx, f, collector.DimClient, today, window28)
	if err != nil {
		return figures.Quality{}, err
	}
	answer.Clock = e.Clock()
	s := new(figures.Suppressor)
	answer.Clients = figures.Values(clients.counts, clients.reporting)
	f.mu.RLock()
	defer f.mu.RUnlock()
	answer.Clones, answer.Shared = s.Count(f.clones.Count()), s.Count(f.shared.Count())
	answer.TwoSenders = s.Count(f.withTwoSenders())
	answer.TurnedAway = f.turned.shown()
	answer.RefusedIDs = len(f.refusedIDs)
	answer.Stored = figures.Stored{Bytes: size, Installations: f.held, Journal: int(e.entries.Load()), Since: f.since()}
	answer.Meta = f.meta(r.To, s, clients.active, activeText(28, clients.day))
	answer.Complete = answer.Complete && clients.current
	return answer, nil
}
