package dashboard

import (
	"encoding/json"
	"fmt"
	"html/template"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
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
	// Selects let the reader choose what is shown. Rest is the rest of the state.
	Selects []selection
	Rest    url.Values
	// Wide panels take the whole width.
	Wide bool
	// Empty replaces the chart and the table of a panel without figures.
	Empty string
	// CSV, Spreadsheet and JSON are the addresses of downloads of the table.
	// Link shows the panel with the same dates on any other day.
	CSV, Spreadsheet, JSON, Link string
	// Open shows the table at once.
	Open bool
	// OldestFirst says that the rows begin with the oldest. A page turns them.
	OldestFirst bool
	k           int // groups below are hidden from the reader
}

// Body returns the rows of the table as a page shows them.
func (p panel) Body() template.HTML {
	if !p.OldestFirst {
		return p.rows(p.Table.Rows)
	}
	turned := slices.Clone(p.Table.Rows)
	slices.Reverse(turned)
	return p.rows(turned)
}

// IsText reports whether a column has words instead of figures, so that it is
// aligned at the left.
func (p panel) IsText(column int) bool {
	return slices.ContainsFunc(p.Table.Rows, func(row []any) bool {
		switch c := row[column].(type) {
		case linked, collector.Day:
			return true
		case string:
			return strings.IndexFunc(c, unicode.IsLetter) == 0
		}
		return false
	})
}

type drawer interface{ Draw() template.HTML }

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
		"title": p.Title, "app": v.app.Key, "from": v.drawn().From, "to": v.drawn().To, "link": p.Link,
		"as_of": p.Meta.AsOf, "complete": p.Meta.Complete, "denominator": p.Meta.Denominator,
		"denominator_of": p.Meta.DenominatorOf, "suppressed": p.Meta.Suppressed,
		"columns": p.Table.Columns, "rows": &p.Table,
	})
	return append(data, '\n')
}

// The cells of tables are texts, days, figures.Count, uint64, float64 for
// shares, and the types below.

// unknown is a cell of a day on which the collector did not run.
type unknown struct{}

// MarshalJSON implements [json.Marshaler].
func (unknown) MarshalJSON() ([]byte, error) { return []byte("null"), nil }

// atLeast is a sum that leaves out hidden figures.
type atLeast uint64

// MarshalText implements [encoding.TextMarshaler].
func (n atLeast) MarshalText() ([]byte, error) {
	return []byte("≥ " + strconv.FormatUint(uint64(n), 10)), nil
}

// linked is a text that leads to another page.
type linked struct{ text, url string }

// MarshalText implements [encoding.TextMarshaler].
func (l linked) MarshalText() ([]byte, error) { return []byte(l.text), nil }

// difference is a number that has a sign on pages.
type difference int64

func (n difference) String() string {
	if n < 0 {
		return "−" + grouped(uint64(-n))
	}
	return "+" + grouped(uint64(n))
}

func cellOf(gap bool, f figures.Count) any {
	if gap {
		return unknown{}
	}
	return f
}

// shareOf returns a share as a cell. The share of a hidden figure is hidden.
func shareOf(f figures.Count, share float64) float64 {
	if f == nil {
		return math.NaN()
	}
	return share
}

const missing template.HTML = `<span class="none">–</span>`

// figure returns a cell as it stands on a page: digits in groups of three,
// shares in percent. A figure that is hidden from the public, because its group
// is smaller than k, says so; k is 0 for readers from whom nothing is hidden.
func figure(cell any, k int) template.HTML {
	switch c := cell.(type) {
	case figures.Count:
		switch {
		case c != nil:
			return number(*c)
		case k > 0:
			return template.HTML(fmt.Sprintf(`<span class="none">&lt;&nbsp;%d</span>`, k)) // a number
		}
		return missing
	case unknown:
		return missing
	case linked:
		if c.url != "" {
			return template.HTML(`<a href="` + template.HTMLEscapeString(c.url) + `">` + template.HTMLEscapeString(visible(c.text)) + `</a>`) // escaped
		}
		return template.HTML(template.HTMLEscapeString(visible(c.text))) // escaped
	case atLeast:
		return "≥&nbsp;" + number(uint64(c))
	case uint64:
		return number(c)
	case int:
		return number(uint64(max(0, c)))
	case float64:
		if math.IsNaN(c) {
			return missing
		}
		return template.HTML(fmt.Sprintf("%.1f%%", c*100)) // a number
	case template.HTML:
		return c
	}
	return template.HTML(template.HTMLEscapeString(visible(fmt.Sprint(cell)))) // escaped
}

// some writes how many of something there are, such as "1 week" or "2 weeks".
func some(cell any, unit string) template.HTML {
	n := figure(cell, 0)
	if n != number(1) {
		unit += "s"
	}
	return n + " " + template.HTML(unit) // a constant
}

// rows returns the body of a table. A year has thousands of cells, and a template
// would take long for them.
func (p panel) rows(rows [][]any) template.HTML {
	begin := make([]string, len(p.Table.Columns))
	for i := range begin {
		begin[i] = "<td>"
		if p.IsText(i) {
			begin[i] = `<td class="text">`
		}
	}
	var b strings.Builder
	for _, row := range rows {
		b.WriteString("<tr>")
		for i, cell := range row {
			if i == 0 {
				b.WriteString(`<th scope="row">` + string(figure(cell, p.k)) + "</th>")
			} else {
				b.WriteString(begin[i] + string(figure(cell, p.k)) + "</td>")
			}
		}
		b.WriteString("</tr>\n")
	}
	return template.HTML(b.String()) // figure escapes
}

// htmlf formats a sentence. Its verbs are %s, for cells as [figure] shows them.
func htmlf(format string, cells ...any) template.HTML {
	args := make([]any, len(cells))
	for i, cell := range cells {
		args[i] = figure(cell, 0)
	}
	return template.HTML(fmt.Sprintf(format, args...)) // format is a constant, and figure escapes
}

func number(n uint64) template.HTML {
	return template.HTML(`<data value="` + strconv.FormatUint(n, 10) + `">` + grouped(n) + `</data>`) // a number
}

// grouped writes a number with its digits in groups of three.
func grouped(n uint64) string {
	digits := strconv.FormatUint(n, 10)
	var b strings.Builder
	for i, r := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(r)
	}
	return b.String()
}

// orZero returns a figure, or 0 if it is hidden.
func orZero(f figures.Count) uint64 {
	if f == nil {
		return 0
	}
	return *f
}

func groupedOr(f figures.Count) string {
	if f == nil {
		return "–"
	}
	return grouped(*f)
}

func value(f figures.Count) float64 {
	if f == nil {
		return math.NaN()
	}
	return float64(*f)
}

// visible replaces control characters, which a page cannot show.
func visible(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return unicode.ReplacementChar
		}
		return r
	}, text)
}

// sentence makes a sentence of an error's text.
func sentence(err error) string {
	text := err.Error()
	return strings.ToUpper(text[:1]) + text[1:] + "."
}

// state says how far the figures of a day are settled.
func state(open, gap bool) string {
	switch {
	case gap:
		return "gap"
	case open:
		return "in progress"
	}
	return "complete"
}
