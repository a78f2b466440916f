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

// Patterns are what charts hatch areas with. A page contains them once.
const Patterns template.HTML = `<svg class="defs" width="0" height="0" aria-hidden="true" focusable="false"><defs>` +
	`<pattern id="hatch" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><path d="M0 0v6" class="hatching"/></pattern>` +
	`<pattern id="hatch-back" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(-45)"><path d="M0 0v6" class="hatching"/></pattern>` +
	`<pattern id="dots" width="6" height="6" patternUnits="userSpaceOnUse"><circle cx="3" cy="3" r="1.2" class="dotting"/></pattern>` +
	`<pattern id="gap" width="5" height="5" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><path d="M0 0v5" class="gapping"/></pattern>` +
	`</defs></svg>`

// A drawing collects shapes. Every text in it goes through esc.
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

func (d *drawing) end() template.HTML {
	d.WriteString("</svg>")
	return template.HTML(d.String())
}

func (d *drawing) f(format string, args ...any) { fmt.Fprintf(d, format, args...) }

// text writes a text; x is in percent, dx and y in pixels.
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

// rect draws a box; x and w are in percent. An empty class, fill or title is
// left out.
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

// stretched begins a part for paths: its x goes from 0 to 1000 over the whole
// width.
func (d *drawing) stretched() {
	d.f(`<svg viewBox="0 0 1000 %s" preserveAspectRatio="none" width="100%%" height="%s" class="stretched">`, num(d.height), num(d.height))
}

// marker draws the shape that belongs to a series; x is in percent.
func (d *drawing) marker(x, y float64, series int) {
	d.f(`<svg x="%s%%" y="%s">`, num(x), num(y))
	marker(&d.Builder, 0, series)
	d.WriteString("</svg>")
}

// num writes a number with two decimals at most.
func num(v float64) string {
	return strconv.FormatFloat(math.Round(v*100)/100, 'f', -1, 64)
}

// esc escapes markup and replaces what XML cannot hold.
func esc(text string) string {
	return html.EscapeString(strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || r == 0xfffe || r == 0xffff {
			return '\ufffd'
		}
		return r
	}, strings.ToValidUTF8(text, "\ufffd")))
}
