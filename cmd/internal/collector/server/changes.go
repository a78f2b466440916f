package server

import (
	"context"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/figures"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/insight"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/table"
)

// Changes says what changed in the 7 days to a complete day, compared with the 7
// days before.
type Changes struct {
	figures.Meta
	To collector.Day `json:"to"`
	// Early is the first day that will have changes, if it is still to come.
	Early collector.Day `json:"early,omitzero"`
	// Gap means that the collector did not run on all days of the two weeks.
	Gap bool `json:"gap"`
	// Changes are the most important first, without alerts.
	Changes []Change `json:"changes"`
}

// A Change is a finding with its sentence, which is for people.
type Change struct {
	insight.Finding
	Sentence string `json:"sentence"`
}

// changes answers the question of that name. Without "to" it is about the week to
// yesterday; later days are too.
func changes(ctx context.Context, q *query) (Changes, error) {
	r, err := insight.Compute(ctx, q.engine, q.app, q.to(), nil)
	if err != nil {
		return Changes{}, err
	}
	series, err := q.engine.Series(ctx, q.app.Num, collector.Range{From: r.To - insight.Days + 1, To: r.To}, q.view)
	if err != nil {
		return Changes{}, err
	}
	answer := Changes{Meta: series.Meta, To: r.To, Early: r.Early, Gap: r.Gap, Changes: []Change{}} // never null
	for _, f := range r.Findings {
		answer.Changes = append(answer.Changes, Change{f, f.Sentence()})
	}
	return answer, nil
}

func changesTable(a Changes) *table.Table {
	t := table.New("to", "kind", "dimension", "value", "version", "component", "reason", "day", "now", "of", "before", "of_before", "sentence")
	for _, c := range a.Changes {
		t.Add(a.To, string(c.Kind), c.Dimension, c.Value, c.Version, c.Component, c.Reason, known(c.Day), c.Now, c.Of, c.Before, c.OfBefore, c.Sentence)
	}
	return t
}
