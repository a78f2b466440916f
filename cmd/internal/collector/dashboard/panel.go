package dashboard

import (
	"encoding/json"
	"html/template"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector/dashboard/chart"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/figures"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/table"
)

// A panel answers one question.
type panel struct {
	ID, Title string
	// Answer sums up the figures in a few words; it may be empty. Explain says
	// what is counted. Make both with [htmlf].
	Answer, Explain template.HTML
	// Table has the figures, and Chart, which may be nil, draws them.
	Table table.Table
	Chart drawer
	Meta  figures.Meta
	// Form lets the reader choose what is shown; nil for no choice.
	Form *form
	// Wide panels take the whole width.
	Wide bool
	// Empty replaces the chart and the table of a panel without figures.
	Empty string
	// CSV and JSON are the addresses of downloads of the table. Link shows the
	// panel with the same dates on any other day.
	CSV, JSON, Link string
	// Open unfolds the table.
	Open bool
}

// A drawer draws a chart.
type drawer interface {
	Draw() template.HTML
}

// A form chooses what a panel shows.
type form struct {
	Selects []selection
	Hidden  []hidden // the rest of the state
	Anchor  string   // of the panel
}

// A selection is one choice of a form.
type selection struct {
	Name, Label string
	Options     []option
}

type option struct {
	Value, Name string
	Current     bool
}

// draw sets the chart, or the text that replaces it in a panel without figures.
func (p *panel) draw(c drawer, known bool, empty string) {
	if known {
		p.Chart = c
	} else {
		p.Empty = empty
	}
}

// drawBars sets a chart of the first bars, or the text that replaces it.
func (p *panel) drawBars(bars []chart.Bar, most int, desc, empty string) {
	p.draw(chart.Bars{Text: chart.Text{Title: p.Title, Desc: desc}, Bars: bars[:min(len(bars), most)]}, len(bars) > 0, empty)
}

// json returns the table with what is known about it.
func (p panel) json(v view) []byte {
	data, _ := json.Marshal(map[string]any{ // of texts, numbers and the table, which always marshal
		"title": p.Title, "app": v.app.Key, "from": v.span.From, "to": v.span.To, "link": p.Link,
		"as_of": p.Meta.AsOf, "complete": p.Meta.Complete, "denominator": p.Meta.Denominator,
		"denominator_of": p.Meta.DenominatorOf, "suppressed": p.Meta.Suppressed,
		"columns": p.Table.Columns, "rows": &p.Table,
	})
	return append(data, '\n')
}
