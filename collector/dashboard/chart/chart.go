// Package chart draws small charts as SVG, with nothing but text and shapes in it: no script, no style of its own, no
// address. Colours, light and dark come from classes that the page's style sheet knows: s0 to s7 for series, and axis, grid,
// label and value. What tells series apart besides colour is their dash, their marker, and a label at the end.
//
// A chart is drawn for a width in pixels and not scaled, so that its letters stay readable; a page draws it for each of
// the widths below and shows the one that fits.
package chart

import (
	"fmt"
	"html"
	"html/template"
	"math"
	"strconv"
	"strings"
)

// Widths that a page draws a chart for.
const (
	Wide   = 760
	Medium = 500
	Narrow = 310
)

// MaxSeries is how many series have a look of their own.
const MaxSeries = 8

// A Text is what assistive technology reads of a chart.
type Text struct {
	Title string
	Desc  string
}

// A drawing collects shapes.
type drawing struct {
	strings.Builder
	width, height float64
}

func newDrawing(width, height float64, text Text) *drawing {
	d := &drawing{width: width, height: height}
	d.f(`<svg xmlns="http://www.w3.org/2000/svg" role="img" viewBox="0 0 %s %s" width="%s" height="%s" aria-label="%s">`,
		num(width), num(height), num(width), num(height), esc(text.Title+". "+text.Desc))
	return d
}

func (d *drawing) end() template.HTML {
	d.WriteString("</svg>")
	return template.HTML(d.String()) //nolint:gosec // all texts in it went through esc
}

func (d *drawing) f(format string, args ...any) { fmt.Fprintf(d, format, args...) }

// text writes a text; anchor is start, middle or end.
func (d *drawing) text(x, y float64, class, anchor, text string) {
	d.f(`<text x="%s" y="%s" class="%s" text-anchor="%s">%s</text>`, num(x), num(y), class, anchor, esc(text))
}

func (d *drawing) line(x1, y1, x2, y2 float64, class string) {
	d.f(`<line x1="%s" y1="%s" x2="%s" y2="%s" class="%s"/>`, num(x1), num(y1), num(x2), num(y2), class)
}

func (d *drawing) rect(x, y, w, h float64, class, title string) {
	d.f(`<rect x="%s" y="%s" width="%s" height="%s" class="%s"><title>%s</title></rect>`, num(x), num(y), num(max(w, 0)), num(max(h, 0)), class, esc(title))
}

// marker draws the shape that belongs to a series.
func (d *drawing) marker(x, y float64, series int) {
	const r = 3.5
	switch series % 4 {
	case 0:
		d.f(`<circle cx="%s" cy="%s" r="%s" class="m s%d"/>`, num(x), num(y), num(r), series)
	case 1:
		d.f(`<rect x="%s" y="%s" width="%s" height="%s" class="m s%d"/>`, num(x-r+.5), num(y-r+.5), num(2*r-1), num(2*r-1), series)
	case 2:
		d.f(`<path d="M%s %sl%s %sh-%sz" class="m s%d"/>`, num(x), num(y-r), num(r+.5), num(2*r), num(2*r+1), series)
	default:
		d.f(`<path d="M%s %sl%s %sl-%s %sl-%s -%sz" class="m s%d"/>`, num(x), num(y-r-.5), num(r+.5), num(r+.5), num(r+.5), num(r+.5), num(r+.5), num(r+.5), series)
	}
}

func num(v float64) string {
	return strconv.FormatFloat(math.Round(v*10)/10, 'f', -1, 64)
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

// ticks gives round numbers from 0 to at least most, about n of them.
func ticks(most float64, n int) []float64 {
	if most <= 0 {
		return []float64{0, 1}
	}
	step := math.Pow(10, math.Floor(math.Log10(most/float64(n))))
	for _, f := range []float64{1, 2, 5, 10} {
		if most/(step*f) <= float64(n) {
			step *= f
			break
		}
	}
	var all []float64
	for v := 0.0; ; v += step {
		all = append(all, v)
		if v >= most {
			return all
		}
	}
}

// Short gives a number in few characters: 950, 1.2k, 34M.
func Short(v float64) string {
	sign := ""
	if v < 0 {
		sign, v = "−", -v
	}
	for _, u := range []struct {
		size float64
		unit string
	}{{1e9, "G"}, {1e6, "M"}, {1e3, "k"}} {
		if v >= u.size {
			digits := 1
			if v >= 100*u.size || math.Mod(v, u.size) == 0 {
				digits = 0
			}
			return sign + strings.TrimSuffix(strconv.FormatFloat(v/u.size, 'f', digits, 64), ".0") + u.unit
		}
	}
	if v != math.Trunc(v) {
		return sign + strconv.FormatFloat(v, 'f', 1, 64)
	}
	return sign + strconv.FormatFloat(v, 'f', 0, 64)
}

// fit cuts a text so that it takes no more than that many pixels, roughly.
func fit(text string, pixels float64) string {
	most := int(pixels / 6.4)
	runes := []rune(text)
	if len(runes) <= most || most < 2 {
		return text
	}
	return string(runes[:most-1]) + "…"
}
