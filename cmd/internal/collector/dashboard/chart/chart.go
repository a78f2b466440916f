// Package chart draws small charts as SVG. A drawing holds text and shapes
// only: no script, no style of its own, no address.
//
// Colours come from classes that the page's style sheet defines, for light
// and dark: s0 to s7 for series, h0 to h9 for shares, and axis, grid, label,
// name and value. Besides colour, series differ in their marker, their dash or
// hatching, and a label at the end.
//
// A chart is as wide as the page lets it be. Heights are in pixels and widths
// in percent, so letters keep their size. The style sheet reserves room at the
// sides by padding, with the classes room-1 to room-4. Hatching refers to
// [Patterns], which a page contains once.
package chart

import (
	"fmt"
	"html/template"
	"math"
	"strings"
)

// MaxSeries is how many series of a chart look different.
const MaxSeries = 8

// A Text is what assistive technology reads of a chart.
type Text struct {
	Title string
	Desc  string
}

// An Axis is the horizontal axis of a chart over time. Its places are days,
// weeks, or anything else that has a label.
type Axis struct {
	Labels []string
	// Gaps marks the places for which nothing is known. It may be shorter than
	// Labels.
	Gaps []bool
	// Open is how many places at the end are unfinished.
	Open int
}

// Add appends a place. A place is open if it is unfinished, and a gap if
// nothing is known for it.
func (a *Axis) Add(label string, open, gap bool) {
	a.Labels, a.Gaps = append(a.Labels, label), append(a.Gaps, gap)
	if open {
		a.Open++
	}
}

// A Series has a value for each place of an [Axis]. NaN stands for no value.
type Series struct {
	Name   string
	Values []float64
	// Beside says that the series belongs to the one before: it has the same
	// colour, is thinner and dotted, and has no label.
	Beside bool
}

// overlays hatch the areas of the series, so that neighbours differ without
// colour too.
var overlays = [MaxSeries]string{1: "hatch", 3: "dots", 5: "hatch-back", 6: "dots", 7: "hatch"}

func marker(b *strings.Builder, x float64, series int) {
	shape := [...]string{
		`<circle cx="%s" r="4"`, `<rect x="%s" y="-3.5" width="7" height="7"`, `<path d="M%s -4.5l4.5 8h-9z"`,
		`<path d="M%s -5l5 5l-5 5l-5 -5z"`,
	}[series%4]
	if series%4 == 1 {
		x -= 3.5 // a box begins at its left
	}
	fmt.Fprintf(b, shape+` class="m s%d"/>`, num(x), series)
}

func boxSwatch(b *strings.Builder, n int) {
	fmt.Fprintf(b, `<rect x="4" width="14" height="12" class="bar s%d"/>`, n)
	if fill := overlays[n%MaxSeries]; fill != "" {
		fmt.Fprintf(b, `<rect x="4" width="14" height="12" fill="url(#%s)"/>`, fill)
	}
}

// legend lists the names of the series, each with its swatch.
func legend(series []Series, class string, swatch func(b *strings.Builder, n int)) template.HTML {
	var b strings.Builder
	fmt.Fprintf(&b, `<ul class="legend %s" aria-hidden="true">`, class)
	n := 0
	for _, s := range series {
		if !s.Beside {
			b.WriteString(`<li><svg width="22" height="12">`)
			swatch(&b, n)
			fmt.Fprintf(&b, `</svg> %s</li>`, esc(s.Name))
			n++
		}
	}
	b.WriteString("</ul>")
	return template.HTML(b.String())
}

// A hover is the data of a chart that the page's script shows at the pointer.
type hover struct {
	Labels  []string     `json:"labels"`
	Names   []string     `json:"names"`
	Values  [][]*float64 `json:"values"` // by series
	Percent bool         `json:"percent,omitempty"`
	Open    int          `json:"open,omitempty"`
	// Bands says that places have a width, as columns do.
	Bands bool `json:"bands,omitempty"`
}

func newHover(axis Axis, series []Series) *hover {
	h := &hover{Labels: axis.Labels, Open: axis.Open}
	for _, s := range series {
		values := make([]*float64, len(s.Values))
		for i, v := range s.Values {
			if !math.IsNaN(v) && !math.IsInf(v, 0) {
				v = math.Round(v*1e4) / 1e4
				values[i] = &v
			}
		}
		h.Names, h.Values = append(h.Names, s.Name), append(h.Values, values)
	}
	return h
}
