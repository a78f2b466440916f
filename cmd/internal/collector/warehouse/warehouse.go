// Package warehouse writes the figures of closed days as Parquet, for those who
// analyze them elsewhere: one file for each app and day, in a directory or an S3
// bucket. Nothing in a file is about one installation: values that fewer than k
// installations have count as "other".
package warehouse

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/figures"
)

// A Source has the figures. An engine is one.
type Source interface {
	Apps() []collector.App
	Today(app collector.AppNum) (today, since collector.Day, err error)
	Series(context.Context, collector.AppNum, collector.Range, figures.View) (figures.Series, error)
	Dimensions(context.Context, collector.AppNum, figures.View) ([]string, error)
	Breakdown(ctx context.Context, app collector.AppNum, dimension string, window int, to collector.Day, v figures.View) (figures.Breakdown, error)
	Faults(context.Context, collector.AppNum, collector.Range, figures.View) (figures.Faults, error)
	Warm() <-chan struct{}
}

const (
	// lookEvery is the time between two looks for days that closed.
	lookEvery = time.Minute
	// retryAfter is the pause after a failure.
	retryAfter = 10 * time.Minute
	// fileTimeout bounds the work on one file.
	fileTimeout = 2 * time.Minute
)

// A Writer writes the files of all apps. Create it with [New].
type Writer struct {
	source Source
	target Target
	log    *slog.Logger
	done   map[collector.AppNum]collector.Day // the last day whose file is there
	failed bool
}

// New returns a writer to a target.
func New(source Source, target Target, log *slog.Logger) *Writer {
	return &Writer{source: source, target: target, log: log, done: make(map[collector.AppNum]collector.Day)}
}

// Run writes the files that the target lacks, from each app's first day on, and
// then those of days that close, until ctx ends. A file that exists is never
// written again. After a failure it tries again ten minutes later.
func (w *Writer) Run(ctx context.Context) {
	select {
	case <-w.source.Warm(): // the figures are complete
	case <-ctx.Done():
		return
	}
	for {
		wait := lookEvery
		if err := w.catchUp(ctx); err != nil && ctx.Err() == nil {
			wait = retryAfter
			if !w.failed {
				w.log.Warn("Files for the warehouse cannot be written; trying again", "target", w.target.String(), "error", err.Error())
			}
			w.failed = true
		} else if err == nil && w.failed {
			w.failed = false
			w.log.Info("Files for the warehouse are written again", "target", w.target.String())
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return
		}
	}
}

// catchUp writes what is missing. One app's failure does not hold up the others.
func (w *Writer) catchUp(ctx context.Context) error {
	var all []error
	for _, app := range w.source.Apps() {
		if err := w.app(ctx, app); err != nil {
			all = append(all, fmt.Errorf("app %s: %w", app.Key, err))
		}
	}
	return errors.Join(all...)
}

func (w *Writer) app(ctx context.Context, app collector.App) error {
	today, since, err := w.source.Today(app.Num)
	if err != nil {
		return err
	}
	day, ok := w.done[app.Num]
	if day++; !ok {
		day = since
	}
	for ; day < today; day++ {
		if err := w.day(ctx, app, day); err != nil {
			return fmt.Errorf("day %s: %w", day, err)
		}
		w.done[app.Num] = day
	}
	return nil
}

// day writes one file, unless it exists, or the collector did not run that day.
func (w *Writer) day(ctx context.Context, app collector.App, day collector.Day) error {
	ctx, cancel := context.WithTimeout(ctx, fileTimeout)
	defer cancel()
	name := fileName(app.Key, day)
	if exists, err := w.target.Exists(ctx, name); err != nil || exists {
		return err
	}
	rows, err := dayRows(ctx, w.source, app, day)
	if err != nil || len(rows) == 0 {
		return err
	}
	data, err := encode(rows)
	if err != nil {
		return err
	}
	return w.target.Put(ctx, name, data)
}

// fileName partitions files as Hive does, which readers of Parquet understand.
func fileName(app string, day collector.Day) string {
	return fmt.Sprintf("app=%s/day=%s/figures.parquet", app, day)
}
