package server

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector/figures"
)

// A table is an answer in rows. Cells are texts, numbers, booleans, days, figures, or nil.
type table struct {
	columns []string
	rows    [][]any
}

func newTable(columns ...string) *table { return &table{columns: columns} }

func (t *table) add(cells ...any) { t.rows = append(t.rows, cells) }

// tableOf gives the table of any answer of questions.
func tableOf(answer any) *table {
	switch a := answer.(type) {
	case figures.Series:
		return seriesTable(a)
	case Dimensions:
		return dimensionsTable(a)
	case figures.Breakdown:
		return breakdownTable(a)
	case figures.Trend:
		return trendTable(a)
	case figures.Retention:
		return retentionTable(a)
	case figures.Survival:
		return survivalTable(a)
	case figures.Versions:
		return versionsTable(a)
	case figures.Floor:
		return floorTable(a)
	case figures.CoOccurrence:
		return coOccurrenceTable(a)
	case figures.Faults:
		return faultsTable(a)
	case figures.Quality:
		return qualityTable(a)
	}
	panic(fmt.Sprintf("no table for %T", answer))
}

func seriesTable(a figures.Series) *table {
	t := newTable("day", "open", "gap", "active_day", "active_7_days", "active_28_days", "active_30_days", "established_day",
		"established_7_days", "established_28_days", "established_30_days", "new", "returning", "lost", "forgotten", "in_memory",
		"excluded")
	for _, p := range a.Points {
		t.add(p.Day, p.Open, p.Gap, p.Active.Day, p.Active.Week, p.Active.Days28, p.Active.Days30, p.Established.Day,
			p.Established.Week, p.Established.Days28, p.Established.Days30, p.New, p.Returning, p.Lost, p.Forgotten, p.InMemory,
			p.Excluded)
	}
	return t
}

func dimensionsTable(a Dimensions) *table {
	t := newTable("dimension")
	for _, name := range a.Dimensions {
		t.add(name)
	}
	return t
}

func breakdownTable(a figures.Breakdown) *table {
	t := newTable("to", "window_days", "dimension", "value", "count", "share", "reporting", "active")
	for _, v := range a.Values {
		t.add(a.To, a.Window, a.Dimension, v.Value, v.Count, share(v.Count, v.Share), a.Reporting, a.Active)
	}
	return t
}

// share leaves out the share of a count that is hidden.
func share(count figures.Count, share float64) any {
	if count == nil {
		return nil
	}
	return share
}

func trendTable(a figures.Trend) *table {
	t := newTable("day", "open", "gap", "window_days", "dimension", "value", "count", "active")
	for _, p := range a.Points {
		for i, count := range p.Counts {
			t.add(p.Day, p.Open, p.Gap, a.Window, a.Dimension, a.Values[i], count, p.Active)
		}
	}
	return t
}

func retentionTable(a figures.Retention) *table {
	t := newTable("grain", "cohort", "size", "age", "active", "share", "open", "gap")
	for _, c := range a.Cohorts {
		for age, cell := range c.Cells {
			t.add(string(a.Grain), c.From, c.Size, age, cell.Active, share(cell.Active, cell.Share), cell.Open, cell.Gap)
		}
	}
	return t
}

func survivalTable(a figures.Survival) *table {
	t := newTable("first_version", "size", "weeks", "active", "of", "share")
	for _, v := range a.Versions {
		for weeks, cell := range v.Cells {
			t.add(v.Version, v.Size, weeks, cell.Active, cell.Of, share(cell.Active, cell.Share))
		}
	}
	return t
}

// versionsTable has two kinds of rows: releases with their adoption, and moves.
func versionsTable(a figures.Versions) *table {
	t := newTable("kind", "version", "to_version", "pre", "released", "active_28_days", "half_after_days", "days", "active", "of",
		"share", "count", "up")
	for _, r := range a.Releases {
		var half any
		if r.HalfAfter != nil {
			half = *r.HalfAfter
		}
		t.add("release", r.Version, nil, r.Pre, r.Released, r.Active, half, nil, nil, nil, nil, nil, nil)
		for _, p := range r.Adoption {
			t.add("adoption", r.Version, nil, r.Pre, r.Released, nil, nil, p.Days, p.Active, p.Of, share(p.Active, p.Share), nil, nil)
		}
	}
	for _, m := range a.Moves {
		t.add("move", m.From, m.To, nil, nil, nil, nil, nil, nil, nil, nil, m.Count, m.Up)
	}
	return t
}

func floorTable(a figures.Floor) *table {
	t := newTable("to", "version", "kept", "share")
	for _, s := range a.Steps {
		t.add(a.To, s.Version, s.Kept, share(s.Kept, s.Share))
	}
	return t
}

func coOccurrenceTable(a figures.CoOccurrence) *table {
	t := newTable("to", "window_days", "row_dimension", "row", "column_dimension", "column", "count")
	for i, row := range a.Counts {
		for j, count := range row {
			t.add(a.To, a.Window, a.Row, a.Rows[i], a.Column, a.Columns[j], count)
		}
	}
	return t
}

// faultsTable has one row for each fault, with an empty version, and one for each version of it.
func faultsTable(a figures.Faults) *table {
	t := newTable("id", "source", "component", "reason", "stage", "severity", "first_seen", "last_seen", "new_in", "status", "fixed_in",
		"note", "version", "affected", "occurrences", "active", "per_thousand")
	for _, i := range a.Faults {
		common := []any{i.ID, i.Source, i.Component, i.Reason, i.Stage, i.Severity, i.FirstSeen, i.LastSeen, i.NewIn, string(i.Status),
			i.FixedIn, i.Note}
		t.add(append(slices.Clone(common), nil, i.Affected, i.Occurrences, nil, nil)...)
		for _, v := range i.Versions {
			t.add(append(slices.Clone(common), v.Version, v.Affected, nil, v.Active, share(v.Affected, v.PerThousand))...)
		}
	}
	return t
}

// qualityTable has one row for each day. Refusals are one text, such as "not_json=2 too_large=1".
func qualityTable(a figures.Quality) *table {
	t := newTable("day", "open", "gap", "accepted", "repeated", "refused", "refused_by_reason", "dropped_fields", "dropped_facts",
		"dropped_context", "skewed")
	for _, p := range a.Points {
		var all uint64
		var reasons []string
		for _, reason := range slices.Sorted(maps.Keys(p.Refused)) {
			all += p.Refused[reason]
			reasons = append(reasons, fmt.Sprintf("%s=%d", reason, p.Refused[reason]))
		}
		t.add(p.Day, p.Open, p.Gap, p.Accepted, p.Repeated, all, strings.Join(reasons, " "), p.DroppedFields, p.DroppedFacts,
			p.DroppedContext, p.Skewed)
	}
	return t
}
