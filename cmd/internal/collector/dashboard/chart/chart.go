// Package chart draws small charts, as SVG and as lists and tables of HTML. A
// drawing holds text and shapes only: no script, no style of its own, and no
// address but the links that its caller sets.
//
// Colours come from classes that the page's style sheet defines, for light
// and dark: s0 to s7 for series, h0 to h9 for shares, and axis, grid, label,
// name and value. Textures also tell series apart; the style sheet shows them
// in print and to readers who ask for more contrast.
//
// A drawing has no size. The style sheet sets a chart's width and height, and
// everything inside is placed in percent, so letters keep their size. It reserves room at the sides by padding, with the classes room-1 to
// room-4. Textures refer to [Patterns], which a page contains once.
package chart

import (
	"fmt"
	"html/template"
	"math"
	"slices"
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
	// Marks stand at their days if the labels are days.
	Marks []Mark
	// Before names the earlier days whose values the series have too, such as
	// "year before"; empty for none.
	Before string
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
	// Tone is the class of its colour, such as "lost"; empty means that of its
	// place among the series.
	Tone string
	// Beside says that the series belongs to the one before: it has the same
	// colour, is thinner and dotted, and has no label.
	Beside bool
	// URL is the link of its name in the legend and of its band; empty for none.
	URL string
	// URLs are the links of its columns, by place. It may be shorter than
	// Values.
	URLs []string
	// Before has the values of earlier days, in a chart whose axis names them. Bands
	// and columns show where they end.
	Before []float64
}

// toned returns the class of the colour of the n-th series.
func (s Series) toned(n int) string {
	if s.Tone != "" {
		return s.Tone
	}
	return fmt.Sprintf("s%d", n%MaxSeries)
}

// unknown reports whether no series has a value at a place: the collector did not
// run, or the figure is hidden.
func unknown(axis Axis, series []Series, i int) bool {
	if i < len(axis.Gaps) && axis.Gaps[i] {
		return true
	}
	for _, s := range series {
		if i < len(s.Values) && !math.IsNaN(s.Values[i]) {
			return false
		}
	}
	return true
}

// textures are put on the areas of the series, so that neighbours differ without
// colour too.
var textures = [MaxSeries]string{1: "hatch", 3: "dots", 5: "hatch-back", 6: "dots", 7: "hatch"}

// linked reports whether shapes of the series are links.
func linked(series []Series) bool {
	return slices.ContainsFunc(series, func(s Series) bool { return s.URL != "" || len(s.URLs) > 0 })
}

// before names the line of earlier days.
func (a Axis) before() template.HTML {
	if a.Before == "" {
		return ""
	}
	return template.HTML(`<ul class="legend" aria-hidden="true"><li><svg width="22" height="10"><path d="M0 5h22" class="line before rest"/></svg> ` + esc(a.Before) + `</li></ul>`)
}

func marker(b *strings.Builder, x float64, series int, tone string) {
	shape := [...]string{
		`<circle cx="%s" r="4"`, `<rect x="%s" y="-3.5" width="7" height="7"`, `<path d="M%s -4.5l4.5 8h-9z"`,
		`<path d="M%s -5l5 5l-5 5l-5 -5z"`,
	}[series%4]
	if series%4 == 1 {
		x -= 3.5 // a box begins at its left
	}
	fmt.Fprintf(b, shape+` class="m %s"/>`, num(x), tone)
}

// legend lists the names of the series, each with a swatch of its colour.
func legend(series []Series, class string) template.HTML {
	var b strings.Builder
	hidden := ` aria-hidden="true"`
	for _, s := range series {
		if s.URL != "" {
			class, hidden = "links", ""
		}
	}
	fmt.Fprintf(&b, `<ul class="legend %s"%s>`, class, hidden)
	n := 0
	for _, s := range series {
		if s.Beside {
			fmt.Fprintf(&b, `<li><svg width="16" height="10" aria-hidden="true"><path d="M0 5h16" class="line beside %s"/></svg> %s</li>`, s.toned(max(n-1, 0)), esc(s.Name))
		} else {
			fmt.Fprintf(&b, `<li><svg width="10" height="10" aria-hidden="true"><rect width="10" height="10" rx="3" class="bar %s"/>`, s.toned(n))
			if fill := textures[n%MaxSeries]; fill != "" {
				fmt.Fprintf(&b, `<rect width="10" height="10" class="texture" fill="url(#%s)"/>`, fill)
			}
			name := esc(s.Name)
			if s.URL != "" {
				name = `<a href="` + esc(s.URL) + `">` + name + `</a>`
			}
			fmt.Fprintf(&b, `</svg> %s</li>`, name)
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
	Tones   []string     `json:"tones"`
	Values  [][]*float64 `json:"values"` // by series
	Percent bool         `json:"percent,omitempty"`
	Open    int          `json:"open,omitempty"`
	// Bands says that places have a width, as columns do.
	Bands bool `json:"bands,omitempty"`
	// Marks are the texts of the marks by place.
	Marks map[int]string `json:"marks,omitempty"`
}

func newHover(axis Axis, series []Series) *hover {
	h := &hover{Labels: axis.Labels, Open: axis.Open}
	for _, m := range axis.marked() {
		if h.Marks == nil {
			h.Marks = make(map[int]string)
		}
		h.Marks[m.place] = m.text()
	}
	n := -1
	for _, s := range series {
		if !s.Beside {
			n++
		}
		h.add(s.Name, s.toned(max(n, 0)), s.Values)
		if axis.Before != "" && s.Before != nil {
			h.add(s.Name+", "+axis.Before, "rest", s.Before)
		}
	}
	return h
}

func (h *hover) add(name, tone string, values []float64) {
	known := make([]*float64, len(values))
	for i, v := range values {
		if !math.IsNaN(v) && !math.IsInf(v, 0) {
			v = math.Round(v*1e4) / 1e4
			known[i] = &v
		}
	}
	h.Names, h.Tones, h.Values = append(h.Names, name), append(h.Tones, tone), append(h.Values, known)
}
