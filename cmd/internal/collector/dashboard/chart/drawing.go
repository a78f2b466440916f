package chart

import (
	"encoding/json"
	"fmt"
	"html"
	"html/template"
	"math"
	"strconv"
	"strings"
	"time"
)

// Patterns are what charts fill areas with. A page contains them once.
const Patterns template.HTML = `<svg class="defs" width="0" height="0" aria-hidden="true" focusable="false"><defs>` +
	`<pattern id="hatch" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><path d="M0 0v6" class="hatching"/></pattern>` +
	`<pattern id="hatch-back" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(-45)"><path d="M0 0v6" class="hatching"/></pattern>` +
	`<pattern id="dots" width="6" height="6" patternUnits="userSpaceOnUse"><circle cx="3" cy="3" r="1.2" class="dotting"/></pattern>` +
	`<pattern id="gap" width="5" height="5" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><path d="M0 0v5" class="gapping"/></pattern>` +
	`</defs></svg>`

// A drawing collects shapes. Places are in percent of its width and height.
// Every text in it goes through esc.
type drawing struct{ strings.Builder }

// Links in it are for the pointer: assistive technology reads a drawing with links
// as a picture too, and a list or table beside it has the same links.
func newDrawing(class string, text Text, hover *hover, links bool) *drawing {
	d := new(drawing)
	label := esc(strings.TrimSpace(text.Title + ". " + text.Desc))
	if links {
		d.f(`<span class="unseen" role="img" aria-label="%s"></span><svg aria-hidden="true" class="chart %s"`, label, class)
	} else {
		d.f(`<svg role="img" class="chart %s" aria-label="%s"`, class, label)
	}
	if hover != nil {
		data, _ := json.Marshal(hover) // of texts and finite numbers, which always marshal
		d.f(` data-hover="%s"`, esc(string(data)))
	}
	d.WriteString(">")
	return d
}

func (d *drawing) end() template.HTML {
	d.WriteString("</svg>")
	return template.HTML(d.String())
}

func (d *drawing) f(format string, args ...any) { fmt.Fprintf(d, format, args...) }

// text writes a text; dx and dy are in pixels.
func (d *drawing) text(x, y, dx, dy float64, class, text string) {
	d.f(`<text x="%s%%" y="%s%%" dx="%s" dy="%s" class="%s">%s</text>`, num(x), num(y), num(dx), num(dy), class, esc(text))
}

func (d *drawing) across(y float64, class string) {
	d.f(`<line x1="0" x2="100%%" y1="%s%%" y2="%s%%" class="%s"/>`, num(y), num(y), class)
}

// rect draws a box. An empty class or fill is left out.
func (d *drawing) rect(x, y, w, h float64, class, fill string) {
	d.f(`<rect x="%s%%" y="%s%%" width="%s%%" height="%s%%"`, num(x), num(y), num(max(w, 0)), num(max(h, 0)))
	if class != "" {
		d.f(` class="%s"`, class)
	}
	if fill != "" {
		d.f(` fill="url(#%s)"`, fill)
	}
	d.WriteString("/>")
}

// stretched begins a part for paths, whose places go from 0 to 1000.
func (d *drawing) stretched() {
	d.WriteString(`<svg viewBox="0 0 1000 1000" preserveAspectRatio="none" width="100%" height="100%">`)
}

// link makes what draw draws a link; an empty address makes none.
func (d *drawing) link(url string, draw func()) {
	if url != "" {
		d.f(`<a href="%s" tabindex="-1">`, esc(url))
		defer d.WriteString("</a>")
	}
	draw()
}

// marker draws the shape that belongs to a series.
func (d *drawing) marker(x, y float64, series int, tone, class string) {
	d.f(`<svg x="%s%%" y="%s%%" class="%s">`, num(x), num(y), class)
	marker(&d.Builder, 0, series, tone)
	d.WriteString("</svg>")
}

// num writes a number with two decimals at most.
func num(v float64) string {
	return strconv.FormatFloat(math.Round(v*100)/100, 'f', -1, 64)
}

// esc escapes markup and replaces what XML cannot hold.
func esc(text string) string {
	return html.EscapeString(strings.Map(func(r rune) rune {
		if r < ' ' && r != '\n' || r == 0x7f || r >= 0x80 && r < 0xa0 || r == 0xfffe || r == 0xffff {
			return '\ufffd'
		}
		return r
	}, strings.ToValidUTF8(text, "\ufffd")))
}

// ticks returns about n round numbers, from 0 to at least most.
func ticks(most float64, n int) []float64 {
	if !(most > 0) || math.IsInf(most, 0) {
		return []float64{0, 1}
	}
	step := math.Pow(10, math.Floor(math.Log10(most/float64(n))))
	for _, f := range []float64{1, 2, 5, 10} {
		if most/(step*f) <= float64(n) {
			step *= f
			break
		}
	}
	step = max(step, 1)
	all := []float64{0}
	for v := step; all[len(all)-1] < most; v += step {
		all = append(all, v)
	}
	return all
}

// Short writes a number in few characters: 950, 1.2k, 34M.
func Short(v float64) string {
	switch {
	case math.IsNaN(v):
		return "–"
	case v == 0: // or minus zero
		return "0"
	case v < 0:
		return "−" + Short(-v)
	}
	for _, u := range []struct {
		size float64
		unit string
	}{{1e9, "G"}, {1e6, "M"}, {1e3, "k"}} {
		if v >= u.size {
			return strings.TrimSuffix(decimal(v/u.size, v < 100*u.size), ".0") + u.unit
		}
	}
	return decimal(v, v != math.Trunc(v))
}

// decimal writes a number, with one decimal place if it is exact.
func decimal(v float64, exact bool) string {
	if exact {
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return strconv.FormatFloat(v, 'f', 0, 64)
}

// quarters are the ticks of an axis of shares, and percent writes one.
var quarters = []float64{0, .25, .5, .75, 1}

func percent(v float64) string { return fmt.Sprintf("%.0f%%", v*100) }

// manyDays is the length of an axis whose labels name months instead of days.
const manyDays = 200

// shortDay writes a day without its year, or without its number among many, and
// shortens any other label.
func shortDay(label string, many bool) string {
	day, err := time.Parse(time.DateOnly, label)
	switch {
	case err != nil:
		return Cut(label, 12)
	case many:
		return day.Format("Jan 2006")
	}
	return day.Format("2 Jan")
}

// Cut shortens a text to a number of characters.
func Cut(text string, most int) string {
	runes := []rune(text)
	if len(runes) <= most {
		return text
	}
	return string(runes[:most-1]) + "…"
}

// xLabels writes up to eight labels below the axis, among them the last. at
// returns a place. The style sheet hides every second label where there is
// little room.
func (d *drawing) xLabels(labels []string, at func(i int) float64) {
	const most = 8
	step := (len(labels) + most - 1) / most
	class, other := "label middle", "label middle minor"
	for i := len(labels) - 1; i >= 0; i -= step {
		d.text(at(i), 100, 0, 20, class, shortDay(labels[i], len(labels) > manyDays))
		class, other = other, class
	}
}

func (d *drawing) tick(y float64, number string) {
	d.across(y, "grid")
	d.text(0, y, -8, 4, "label end", number)
}

// room returns the class that reserves space for the labels at the right.
func room(series []Series) string {
	longest := 0
	for _, s := range series {
		longest = max(longest, len([]rune(s.Name)))
	}
	return fmt.Sprintf("room-%d", min(max(longest/4, 1), 4))
}

const labelLength = 20

// apart moves sorted places so far from one another that their labels do not
// collide in a chart of the least height. It keeps them between top and bottom if
// it can.
func apart(ys []float64, top, bottom float64) {
	const gap = 7.5
	for i := range ys {
		if ys[i] = max(ys[i], top); i > 0 {
			ys[i] = max(ys[i], ys[i-1]+gap)
		}
	}
	limit := bottom
	for i := len(ys) - 1; i >= 0; i-- {
		ys[i] = min(ys[i], limit)
		limit = ys[i] - gap
	}
}

// A plot maps places and values to the area of a chart.
type plot struct {
	places int
	most   float64
}

func (p plot) x(i int) float64 {
	if p.places <= 1 {
		return 50
	}
	return 100 * float64(i) / float64(p.places-1)
}

func (p plot) y(v float64) float64 { return 100 * (1 - v/p.most) }

func (p plot) frame(d *drawing, axis Axis, series []Series, grid []float64, number func(float64) string) {
	for _, v := range grid {
		d.tick(p.y(v), number(v))
	}
	d.xLabels(axis.Labels, p.x)
	if p.places < 2 {
		return
	}
	w := 100 / float64(p.places-1)
	for i := range axis.Labels {
		if i < len(axis.Gaps) && unknown(axis, series, i) {
			d.rect(max(0, p.x(i)-w/2), 0, min(w, 100-p.x(i)+w/2), 100, "", "gap")
		}
	}
}
