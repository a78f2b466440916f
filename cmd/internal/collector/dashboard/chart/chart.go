// Package chart draws small charts as SVG, with nothing but text and shapes in it: no script, no style of its own, no
// address. Colours, light and dark come from classes that the page's style sheet knows: s0 to s7 for series, h0 to h9 for
// shares, and axis, grid, label, name and value. What tells series apart besides colour is their marker, their dash or
// hatching, and a label at the end.
//
// A chart is as wide as the page lets it be. Heights are pixels and widths are percentages, so letters keep their size; the
// style sheet keeps room at the sides by padding, with the classes room-1 to room-4. Hatching refers to the patterns that
// the page has once; see [Patterns].
package chart

import (
	"encoding/json"
	"fmt"
	"html"
	"html/template"
	"math"
	"strconv"
	"strings"
)

// MaxSeries is how many series have a look of their own.
const MaxSeries = 8

// Patterns are what charts hatch areas with. They stand once in a page.
const Patterns template.HTML = `<svg class="defs" width="0" height="0" aria-hidden="true" focusable="false"><defs>` +
	`<pattern id="hatch" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><path d="M0 0v6" class="hatching"/></pattern>` +
	`<pattern id="hatch-back" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(-45)"><path d="M0 0v6" class="hatching"/></pattern>` +
	`<pattern id="dots" width="6" height="6" patternUnits="userSpaceOnUse"><circle cx="3" cy="3" r="1.2" class="dotting"/></pattern>` +
	`<pattern id="gap" width="5" height="5" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><path d="M0 0v5" class="gapping"/></pattern>` +
	`</defs></svg>`

// overlays are laid over the areas of the series, so that neighbours differ without colour too.
var overlays = [MaxSeries]string{1: "hatch", 3: "dots", 5: "hatch-back", 6: "dots", 7: "hatch"}

// A Text is what assistive technology reads of a chart.
type Text struct {
	Title string
	Desc  string
}

// A Series is a value for each place on the x axis. NaN is a gap.
type Series struct {
	Name   string
	Values []float64
	// Beside says that it belongs to the series before: it has its colour, thinner and dotted, and no label.
	Beside bool
}

// A drawing collects shapes.
type drawing struct {
	strings.Builder
	height float64
}

// newDrawing begins a drawing that is height pixels high inside its padding.
func newDrawing(class string, height float64, text Text, hover *hover) *drawing {
	d := &drawing{height: height}
	d.f(`<svg role="img" class="chart %s" height="%s" aria-label="%s"`, class, num(height), esc(strings.TrimSpace(text.Title+". "+text.Desc)))
	if hover != nil {
		data, err := json.Marshal(hover)
		if err == nil {
			d.f(` data-hover="%s"`, esc(string(data)))
		}
	}
	d.WriteString(">")
	return d
}

// end gives the drawing. All texts in it went through esc.
func (d *drawing) end() template.HTML {
	d.WriteString("</svg>")
	return template.HTML(d.String())
}

func (d *drawing) f(format string, args ...any) { fmt.Fprintf(d, format, args...) }

// text writes a text; x is in percent and dx and y in pixels.
func (d *drawing) text(x, dx, y float64, class, text string) {
	shift := ""
	if dx != 0 {
		shift = ` dx="` + num(dx) + `"`
	}
	d.f(`<text x="%s%%"%s y="%s" class="%s">%s</text>`, num(x), shift, num(y), class, esc(text))
}

// across draws a line over the whole width.
func (d *drawing) across(y float64, class string) {
	d.f(`<line x1="0" x2="100%%" y1="%s" y2="%s" class="%s"/>`, num(y), num(y), class)
}

// rect draws a box; x and w are in percent. An empty title is none.
func (d *drawing) rect(x, y, w, h float64, class, fill, title string) {
	d.f(`<rect x="%s%%" y="%s" width="%s%%" height="%s"`, num(x), num(y), num(max(w, 0)), num(max(h, 0)))
	if class != "" {
		d.f(` class="%s"`, class)
	}
	if fill != "" {
		d.f(` fill="url(#%s)"`, fill)
	}
	if title == "" {
		d.WriteString("/>")
		return
	}
	d.f(`><title>%s</title></rect>`, esc(title))
}

// stretched begins a part whose x goes from 0 to 1000 over the whole width, for paths.
func (d *drawing) stretched() {
	d.f(`<svg viewBox="0 0 1000 %s" preserveAspectRatio="none" width="100%%" height="%s" class="stretched">`, num(d.height), num(d.height))
}

// marker draws the shape that belongs to a series; x is in percent.
func (d *drawing) marker(x, y float64, series int) {
	d.f(`<svg x="%s%%" y="%s">`, num(x), num(y))
	marker(&d.Builder, 0, series)
	d.WriteString("</svg>")
}

func marker(b *strings.Builder, x float64, series int) {
	switch series % 4 {
	case 0:
		fmt.Fprintf(b, `<circle cx="%s" r="4" class="m s%d"/>`, num(x), series)
	case 1:
		fmt.Fprintf(b, `<rect x="%s" y="-3.5" width="7" height="7" class="m s%d"/>`, num(x-3.5), series)
	case 2:
		fmt.Fprintf(b, `<path d="M%s -4.5l4.5 8h-9z" class="m s%d"/>`, num(x), series)
	default:
		fmt.Fprintf(b, `<path d="M%s -5l5 5l-5 5l-5 -5z" class="m s%d"/>`, num(x), series)
	}
}

// legend names the series of a chart, each with what it looks like.
func legend(series []Series, class string, swatch func(b *strings.Builder, n int)) template.HTML {
	var b strings.Builder
	fmt.Fprintf(&b, `<ul class="legend %s" aria-hidden="true">`, class)
	n := -1
	for _, s := range series {
		if s.Beside {
			continue
		}
		n++
		b.WriteString(`<li><svg width="22" height="12">`)
		swatch(&b, n)
		fmt.Fprintf(&b, `</svg> %s</li>`, esc(s.Name))
	}
	b.WriteString("</ul>")
	return template.HTML(b.String())
}

// boxSwatch shows an area.
func boxSwatch(b *strings.Builder, n int) {
	fmt.Fprintf(b, `<rect x="4" width="14" height="12" class="bar s%d"/>`, n)
	if fill := overlays[n%MaxSeries]; fill != "" {
		fmt.Fprintf(b, `<rect x="4" width="14" height="12" fill="url(#%s)"/>`, fill)
	}
}

// A hover is what a script shows of a place on the x axis.
type hover struct {
	Labels  []string     `json:"labels"`
	Names   []string     `json:"names"`
	Values  [][]*float64 `json:"values"` // by series
	Percent bool         `json:"percent,omitempty"`
	Open    int          `json:"open,omitempty"`
	// Bands says that places have a width, as columns do.
	Bands bool `json:"bands,omitempty"`
}

func newHover(labels []string, series []Series) *hover {
	h := &hover{Labels: labels}
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

func num(v float64) string {
	return strconv.FormatFloat(math.Round(v*100)/100, 'f', -1, 64)
}

// esc makes text of anything: markup is escaped, and what XML cannot hold is replaced.
func esc(text string) string {
	return html.EscapeString(strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || r == 0xfffe || r == 0xffff {
			return '\ufffd'
		}
		return r
	}, strings.ToValidUTF8(text, "\ufffd")))
}

// Cut shortens a text to that many characters.
func Cut(text string, most int) string {
	runes := []rune(text)
	if len(runes) <= most {
		return text
	}
	return string(runes[:most-1]) + "…"
}
