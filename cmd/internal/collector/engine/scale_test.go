package engine_test

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/engine"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/figures"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/sqlite"
	"github.com/rollcall-dev/rollcall/cmd/internal/test/lab"
)

// BenchmarkAnswers asks an engine with 10,000 installations over 400 days, or
// 10 million if ROLLCALL_BENCH is 1, or as many as it says. Overview is what that page needs. Cold
// answers come first after a start. Figures of the open day are never cached.
func BenchmarkAnswers(b *testing.B) {
	n := 10_000
	if text := os.Getenv("ROLLCALL_BENCH"); text != "" {
		n = 10_000_000
		if million, err := strconv.Atoi(text); err == nil && million > 1 {
			n = million
		}
	}
	store, err := sqlite.Open(b.Context(), filepath.Join(b.TempDir(), "rollcall.db"), sqlite.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer store.Close()
	e, err := engine.Open(b.Context(), store, engine.Options{Secret: testSecret})
	if err != nil {
		b.Fatal(err)
	}
	defer e.Close(context.Background())
	app, err := e.AddApp(b.Context(), collector.App{Key: "app"})
	if err != nil {
		b.Fatal(err)
	}
	if err := e.Fill(b.Context(), app.Num, n); err != nil {
		b.Fatal(err)
	}
	to := collector.DayOf(time.Now())
	year := collector.Range{From: to - engine.FillDays + 1, To: to}
	series := func(ctx context.Context) error {
		_, err := e.Series(ctx, app.Num, year, figures.View{})
		return err
	}
	breakdown := func(ctx context.Context) error {
		_, err := e.Breakdown(ctx, app.Num, collector.DimVersion, 28, to, figures.View{})
		return err
	}
	overview := func(ctx context.Context) error {
		if err := series(ctx); err != nil {
			return err
		}
		return breakdown(ctx)
	}
	retention := func(ctx context.Context) error {
		_, err := e.Retention(ctx, app.Num, collector.GrainDay, year, figures.View{})
		return err
	}
	cold := func(ask func(ctx context.Context) error) func(ctx context.Context) error {
		return func(ctx context.Context) error {
			e.Cold(app.Num)
			return ask(ctx)
		}
	}
	segment, err := collector.ParseSegment("system=1.1,1.2,1.3 fact.5=1.1,1.2,1.3,1.4,1.5,1.6,1.7")
	if err != nil {
		b.Fatal(err)
	}
	inSegment := func(ask func(context.Context, figures.View) error) func(context.Context) error {
		return func(ctx context.Context) error {
			return ask(engine.Together(ctx), figures.View{Segment: segment})
		}
	}
	for _, bb := range []struct {
		name string
		ask  func(ctx context.Context) error
	}{
		{"SegmentOverview", inSegment(func(ctx context.Context, v figures.View) error {
			_, err := e.Series(ctx, app.Num, collector.Range{From: to - 181, To: to}, v)
			for _, day := range []collector.Day{to - 1, to - 92} {
				if err == nil {
					_, err = e.MedianAge(ctx, app.Num, day, v)
				}
			}
			for _, dimension := range []string{collector.DimVersion, collector.DimSystem} {
				if err == nil {
					_, err = e.Breakdown(ctx, app.Num, dimension, 28, to-1, v)
				}
			}
			return err
		})},
		{"SegmentTrend", inSegment(func(ctx context.Context, v figures.View) error {
			_, err := e.Trend(ctx, app.Num, collector.DimMachine, 28, collector.Range{From: to - 90, To: to}, 8, v)
			return err
		})},
		{"SegmentRetention", inSegment(func(ctx context.Context, v figures.View) error {
			_, err := e.Retention(ctx, app.Num, collector.GrainWeek, collector.Range{From: to - 90, To: to}, v)
			return err
		})},
		{"SegmentSurvival", inSegment(func(ctx context.Context, v figures.View) error {
			_, err := e.Survival(ctx, app.Num, 6, v)
			return err
		})},
		{"SegmentFaults", inSegment(func(ctx context.Context, v figures.View) error {
			_, err := e.Faults(ctx, app.Num, collector.Range{From: to - 27, To: to}, v)
			return err
		})},
		{"SegmentVersions", inSegment(func(ctx context.Context, v figures.View) error {
			_, err := e.Versions(ctx, app.Num, year, v)
			return err
		})},
		{"Series", series},
		{"Breakdown", breakdown},
		{"Overview", overview},
		{"OverviewCold", cold(overview)},
		{"Trend", func(ctx context.Context) error {
			_, err := e.Trend(ctx, app.Num, collector.DimVersion, 28, year, 8, figures.View{})
			return err
		}},
		{"RetentionDay", retention},
		{"RetentionDayCold", cold(retention)},
		{"RetentionWeek", func(ctx context.Context) error {
			_, err := e.Retention(ctx, app.Num, collector.GrainWeek, year, figures.View{})
			return err
		}},
		{"Survival", func(ctx context.Context) error {
			_, err := e.Survival(ctx, app.Num, 8, figures.View{})
			return err
		}},
		{"Versions", func(ctx context.Context) error {
			_, err := e.Versions(ctx, app.Num, year, figures.View{})
			return err
		}},
		{"Floor", func(ctx context.Context) error {
			_, err := e.Floor(ctx, app.Num, to, figures.View{})
			return err
		}},
		{"CoOccurrence", func(ctx context.Context) error {
			_, err := e.CoOccurrence(ctx, app.Num, collector.DimSystem, collector.DimVersion, 28, to, figures.View{})
			return err
		}},
		{"Faults28", func(ctx context.Context) error {
			_, err := e.Faults(ctx, app.Num, collector.Range{From: to - 27, To: to}, figures.View{})
			return err
		}},
		{"CloseDay", func(context.Context) error { return e.Closing(app.Num) }},
	} {
		b.Run(bb.name, func(b *testing.B) {
			var from time.Duration
			if runtime.GOOS == "linux" {
				from = lab.ProcessorTime(b, os.Getpid())
			}
			for b.Loop() {
				if err := bb.ask(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
			if runtime.GOOS == "linux" { // says more than the time on a busy machine
				b.ReportMetric(float64((lab.ProcessorTime(b, os.Getpid())-from).Milliseconds())/float64(b.N), "cpu-ms/op")
			}
		})
	}
}
