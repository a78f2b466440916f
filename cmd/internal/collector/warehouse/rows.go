package warehouse

import (
	"bytes"
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/parquet-go/parquet-go"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/figures"
)

// A Row is one figure of one day. App and day are also in the file's name.
type Row struct {
	// Figure is active, established, new, returning, lost, forgotten, in_memory,
	// or excluded, as in the JSON API; or affected and occurrences, of faults.
	Figure string `parquet:"figure,dict"`
	// WindowDays is 1, 7, 28, or 30: the window that ends with the day.
	WindowDays int32 `parquet:"window_days"`
	// Dimension and Value split active installations, such as version and 1.2.3.
	// The dimension fault splits what is reported of faults. Both are null for the
	// whole app.
	Dimension *string `parquet:"dimension,dict,optional"`
	Value     *string `parquet:"value,dict,optional"`
	Count     int64   `parquet:"count"`
}

// dimFault is the dimension of faults.
const dimFault = "fault"

var windows = []int{1, 7, 28, 30}

// encode returns a file with rows.
func encode(rows []Row) ([]byte, error) {
	var file bytes.Buffer
	w := parquet.NewGenericWriter[Row](&file, parquet.Compression(&parquet.Snappy))
	if _, err := w.Write(rows); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return file.Bytes(), nil
}

// dayRows returns the figures of a closed day; none if the collector did not run
// on it.
func dayRows(ctx context.Context, source Source, app collector.App, day collector.Day) ([]Row, error) {
	only := collector.Range{From: day, To: day}
	series, err := source.Series(ctx, app.Num, only, figures.View{})
	if err != nil {
		return nil, err
	}
	if len(series.Points) == 0 || series.Points[0].Gap || series.Points[0].Open {
		return nil, nil
	}
	rows := wholeRows(series.Points[0])
	k := uint64(max(2, cmp.Or(app.K, collector.DefaultK)))
	dimensions, err := source.Dimensions(ctx, app.Num, figures.View{})
	if err != nil {
		return nil, err
	}
	for _, dimension := range dimensions {
		for _, window := range windows {
			b, err := source.Breakdown(ctx, app.Num, dimension, window, day, figures.View{})
			if err != nil {
				return nil, err
			}
			rows = append(rows, splitRows(dimension, window, b.Values, k)...)
		}
	}
	faults, err := source.Faults(ctx, app.Num, only, figures.View{})
	if err != nil {
		return nil, err
	}
	return append(rows, faultRows(faults.Faults, k)...), nil
}

func wholeRows(p figures.SeriesPoint) (rows []Row) {
	add := func(figure string, window int, n figures.Count) {
		if n != nil {
			rows = append(rows, Row{Figure: figure, WindowDays: int32(window), Count: int64(*n)})
		}
	}
	for _, active := range []struct {
		figure string
		figures.Active
	}{{"active", p.Active}, {"established", p.Established}} {
		for i, n := range []figures.Count{active.Day, active.Week, active.Days28, active.Days30} {
			add(active.figure, windows[i], n)
		}
	}
	add("new", 1, p.New)
	add("returning", 1, p.Returning)
	add("lost", 1, p.Lost)
	add("forgotten", 1, p.Forgotten)
	add("in_memory", 1, p.InMemory)
	add("excluded", 1, p.Excluded)
	return rows
}

// splitRows returns the values that at least k installations have. The rest is
// one row, if it is as large.
func splitRows(dimension string, window int, values []figures.Value, k uint64) (rows []Row) {
	add := func(value string, n uint64) {
		rows = append(rows, Row{Figure: "active", WindowDays: int32(window), Dimension: &dimension, Value: &value, Count: int64(n)})
	}
	var other uint64
	for _, v := range values {
		switch {
		case v.Count == nil:
		case v.Value == collector.Other, *v.Count < k:
			other += *v.Count
		default:
			add(v.Value, *v.Count)
		}
	}
	if other >= k {
		add(collector.Other, other)
	}
	return rows
}

// faultRows returns the faults that at least k installations reported.
func faultRows(faults []figures.Fault, k uint64) (rows []Row) {
	dimension := dimFault
	for _, f := range faults {
		if f.Affected == nil || *f.Affected < k {
			continue
		}
		parts := slices.DeleteFunc([]string{f.Source, f.Component, f.Reason, f.Stage}, func(s string) bool { return s == "" })
		value := strings.Join(parts, "/")
		rows = append(rows, Row{Figure: "affected", WindowDays: 1, Dimension: &dimension, Value: &value, Count: int64(*f.Affected)})
		if f.Occurrences != nil {
			rows = append(rows, Row{Figure: "occurrences", WindowDays: 1, Dimension: &dimension, Value: &value, Count: int64(*f.Occurrences)})
		}
	}
	return rows
}
