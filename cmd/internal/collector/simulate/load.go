package simulate

import (
	"context"
	"fmt"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/engine"
)

// Progress is called often with how many of how many steps are done, so
// it has to be quick.
type Progress func(done, of int)

// Load loads all reports up to and including the day to, or all of them
// if to is 0. It does not close the loader. Progress may be nil.
func (f *Fleet) Load(ctx context.Context, l *engine.Loader, to collector.Day, progress Progress) error {
	if to == 0 {
		to = f.config.Last
	}
	began := collector.Day(0)
	next := f.first
	begin := func(day collector.Day) error {
		for ; next <= day; next++ {
			if err := l.Day(ctx, next); err != nil {
				return fmt.Errorf("load %s: %w", next, err)
			}
			if progress != nil {
				progress(int(next-f.first), int(to-f.first)+1)
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
