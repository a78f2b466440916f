// Package simulate makes fleets of installations whose every figure is
// known, and sends their reports to a collector: directly ([Fleet.Load])
// or over HTTP ([Fleet.Send]). It serves tests, measurements and
// demonstrations.
//
// A fleet is made from a seed and is the same each time. Each
// installation has a random stream of its own, so a larger fleet contains
// the smaller one. Births follow a curve with spikes at releases.
// Installations keep a weekly rhythm, take vacations, adopt releases
// sooner or later, roll back, and stop. Some share an ID, lose theirs at
// each restart, exist for one run of a build server, run development
// versions, or are forged.
//
// The [Truth] of a fleet is computed from its reports by brute force,
// with maps and sorted lists. It shares no code with package collector,
// which counts.
package simulate

import (
	"cmp"
	"context"
	"fmt"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/engine"
)

// Load loads all reports up to and including the day to, or all of them
// if to is 0. It does not close the loader. Progress, which may be nil, is
// called often with the number of days that are loaded.
func (f *Fleet) Load(ctx context.Context, l *engine.Loader, to collector.Day, progress func(days int)) error {
	to = cmp.Or(to, f.config.Last)
	began := collector.Day(0)
	next := f.first
	begin := func(day collector.Day) error {
		for ; next <= day; next++ {
			if err := l.Day(ctx, next); err != nil {
				return fmt.Errorf("load %s: %w", next, err)
			}
			if progress != nil {
				progress(int(next - f.first))
			}
		}
		began = day
		return ctx.Err()
	}
	for day, visit := range f.Visits() {
		if day > to {
			break
		}
		if day != began {
			if err := begin(day); err != nil {
				return err
			}
		}
		for _, sent := range visit {
			if err := load(ctx, l, sent); err != nil {
				return fmt.Errorf("load %s: %w", day, err)
			}
		}
	}
	return begin(to)
}

func load(ctx context.Context, l *engine.Loader, sent Sent) error {
	if sent.Health != nil {
		return l.Health(ctx, collector.ReceivedHealth{Report: *sent.Health})
	}
	return l.Heartbeat(ctx, collector.Received{Heartbeat: *sent.Heartbeat})
}
