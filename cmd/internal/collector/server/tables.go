package server

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector/figures"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/table"
)

func seriesTable(a figures.Series) *table.Table {
	t := table.New("day", "open", "gap", "active_day", "active_7_days", "active_28_days", "active_30_days", "established_day",
		"established_7_days", "established_28_days", "established_30_days", "new", "returning", "lost", "forgotten", "in_memory",
		"excluded")
	for _, p := range a.Points {
		t.Add(p.Day, p.Open, p.Gap, p.Active.Day, p.Active.Week, p.Active.Days28, p.Active.Days30, p.Established.Day,
			p.Established.Week, p.Established.Days28, p.Established.Days30, p.New, p.Returning, p.Lost, p.Forgotten, p.InMemory,
			p.Excluded)
	}
	return t
}

func dimensionsTable(a Dimensions) *table.Table {
	t := table.New("dimension")
	for _, name := range a.Dimensions {
		t.Add(name)
	}
	return t
}

func breakdownTable(a figures.Breakdown) *table.Table {
	t := table.New("to", "window_days", "dimension", "value", "count", "share", "reporting", "active")
	for _, v := range a.Values {
		t.Add(a.To, a.Window, a.Dimension, v.Value, v.Count, share(v.Count, v.Share), a.Reporting, a.Active)
	}
	return t
}

// share returns nil in place of the share of a hidden count.
func share(count figures.Count, share float64) any {
	if count == nil {
		return nil
	}
	return share
}

func trendTable(a figures.Trend) *table.Table {
	t := table.New("day", "open", "gap", "window_days", "dimension", "value", "count", "active")
	for _, p := range a.Points {
		for i, count := range p.Counts {
			t.Add(p.Day, p.Open, p.Gap, a.Window, a.Dimension, a.Values[i], count, p.Active)
		}
	}
	return t
}

func retentionTable(a figures.Retention) *table.Table {
	t := table.New("grain", "cohort", "size", "age", "active", "share", "open", "gap")
	for _, c := range a.Cohorts {
		for age, cell := range c.Cells {
			t.Add(a.Grain, c.From, c.Size, age, cell.Active, share(cell.Active, cell.Share), cell.Open, cell.Gap)
		}
	}
	return t
}

func survivalTable(a figures.Survival) *table.Table {
	t := table.New("first_version", "size", "weeks", "active", "of", "share")
	for _, v := range a.Versions {
		for weeks, cell := range v.Cells {
			t.Add(v.Version, v.Size, weeks, cell.Active, cell.Of, share(cell.Active, cell.Share))
		}
	}
	return t
}

// versionsTable has rows of three kinds: releases, their adoption, and moves.
func versionsTable(a figures.Versions) *table.Table {
	t := table.New("kind", "version", "to_version", "pre", "released", "active_28_days", "half_after_days", "days", "active", "of",
		"share", "count", "up")
	for _, r := range a.Releases {
		t.Add("release", r.Version, nil, r.Pre, r.Released, r.Active, r.HalfAfter, nil, nil, nil, nil, nil, nil)
		for _, p := range r.Adoption {
			t.Add("adoption", r.Version, nil, r.Pre, r.Released, nil, nil, p.Days, p.Active, p.Of, share(p.Active, p.Share), nil, nil)
		}
	}
	for _, m := range a.Moves {
		t.Add("move", m.From, m.To, nil, nil, nil, nil, nil, nil, nil, nil, m.Count, m.Up)
	}
	return t
}

func floorTable(a figures.Floor) *table.Table {
	t := table.New("to", "version", "kept", "share")
	for _, s := range a.Steps {
		t.Add(a.To, s.Version, s.Kept, share(s.Kept, s.Share))
	}
	return t
}

func coOccurrenceTable(a figures.CoOccurrence) *table.Table {
	t := table.New("to", "window_days", "row_dimension", "row", "column_dimension", "column", "count")
	for i, row := range a.Counts {
		for j, count := range row {
			t.Add(a.To, a.Window, a.Row, a.Rows[i], a.Column, a.Columns[j], count)
		}
	}
	return t
}

// faultsTable has a row for each fault, with an empty version, and a row for each
// of its versions.
func faultsTable(a figures.Faults) *table.Table {
	t := table.New("id", "source", "component", "reason", "stage", "severity", "first_seen", "last_seen", "new_in", "status", "fixed_in",
		"note", "version", "affected", "occurrences", "active", "per_thousand")
	for _, f := range a.Faults {
		common := []any{f.ID, f.Source, f.Component, f.Reason, f.Stage, f.Severity, f.FirstSeen, f.LastSeen, f.NewIn, f.Status,
			f.FixedIn, f.Note}
		t.Add(append(slices.Clone(common), nil, f.Affected, f.Occurrences, nil, nil)...)
		for _, v := range f.Versions {
			t.Add(append(slices.Clone(common), v.Version, v.Affected, nil, v.Active, share(v.Affected, v.PerThousand))...)
		}
	}
	return t
}

// qualityTable has a row for each day. Its refusals are also a text such as
// "not_json=2 too_large=1".
func qualityTable(a figures.Quality) *table.Table {
	t := table.New("day", "open", "gap", "accepted", "repeated", "refused", "refused_by_reason", "dropped_fields", "dropped_facts",
		"dropped_context", "skewed")
	for _, p := range a.Points {
		var refused uint64
		var reasons []string
		for _, reason := range slices.Sorted(maps.Keys(p.Refused)) {
			refused += p.Refused[reason]
			reasons = append(reasons, fmt.Sprintf("%s=%d", reason, p.Refused[reason]))
		}
		t.Add(p.Day, p.Open, p.Gap, p.Accepted, p.Repeated, refused, strings.Join(reasons, " "), p.DroppedFields, p.DroppedFacts,
			p.DroppedContext, p.Skewed)
	}
	return t
}
