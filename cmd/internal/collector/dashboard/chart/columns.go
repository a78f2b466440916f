package chart

import (
	"fmt"
	"html/template"
	"math"
	"slices"
	"strings"
)

// Columns draws stacked columns: positive values go up, negative ones down.
// Columns of open places are pale.
type Columns struct {
	Text Text
	Axis
	Series []Series // at most MaxSeries
}

const maxColumn = 12

// Draw draws the chart.
func (c Columns) Draw() template.HTML {
	h := newHover(c.Axis, c.Series)
	h.Bands = true
	d := newDrawing("columns room-0", c.Text, h, linked(c.Series))
	up, down := c.extent()
	step := ticks(max(up, down), 4)[1]
	above, below := math.Ceil(up/step)*step, math.Ceil(down/step)*step
	if above+below == 0 {
		above = step
	}
	y := func(v float64) float64 { return 100 * (above - v) / (above + below) }
	for v := -below; v <= above+step/2; v += step {
		d.tick(y(v), Short(v))
	}
	w := 100 / float64(max(1, len(c.Labels)))
	for i := range c.Labels {
		if unknown(c.Axis, c.Series, i) {
			d.rect(w*float64(i), 0, w, 100, "", "gap")
			continue
		}
		wide, class := min(w*.76, maxColumn), "bar"
		if i >= len(c.Labels)-c.Open {
			class = "bar open"
		}
		x := w*(float64(i)+.5) - wide/2
		c.stack(i, false, func(n int, top, bottom float64) {
			url := ""
			if i < len(c.Series[n].URLs) {
				url = c.Series[n].URLs[i]
			}
			d.link(url, func() {
				d.rect(x, y(top), wide, y(bottom)-y(top), class+" "+c.Series[n].toned(n), "")
				if fill := textures[n%MaxSeries]; fill != "" {
					d.rect(x, y(top), wide, y(bottom)-y(top), "texture", fill)
				}
			})
		})
	}
	d.across(y(0), "axis")
	middle := func(i int) float64 { return w * (float64(i) + .5) }
	d.xLabels(c.Labels, middle)
	d.marks(c.Axis, middle)
	c.drawBefore(d, middle, y)
	if len(c.Series) == 1 {
		return d.end() + c.before()
	}
	return legend(c.Series, "") + d.end() + c.before()
}

func (c Columns) extent() (up, down float64) {
	for i := range c.Labels {
		for _, before := range []bool{false, true} {
			c.stack(i, before, func(_ int, top, bottom float64) { up, down = max(up, top), max(down, -bottom) })
		}
	}
	return up, down
}

// drawBefore draws a line along the tops of the columns of earlier days, and one
// along their bottoms if any lie below zero.
func (c Columns) drawBefore(d *drawing, x func(i int) float64, y func(v float64) float64) {
	if c.Before == "" {
		return
	}
	var tops, bottoms strings.Builder
	below, letter := false, "M"
	for i := range c.Labels {
		if !c.knownBefore(i) {
			letter = "M"
			continue
		}
		up, down := 0.0, 0.0
		c.stack(i, true, func(_ int, top, bottom float64) { up, down = max(up, top), min(down, bottom) })
		below = below || down < 0
		fmt.Fprintf(&tops, "%s%s %s", letter, num(10*x(i)), num(10*y(up)))
		fmt.Fprintf(&bottoms, "%s%s %s", letter, num(10*x(i)), num(10*y(down)))
		letter = "L"
	}
	d.stretched()
	d.f(`<path d="%s" class="line before rest"/>`, tops.String())
	if below {
		d.f(`<path d="%s" class="line before rest"/>`, bottoms.String())
	}
	d.WriteString("</svg>")
}

func (c Columns) knownBefore(i int) bool {
	return slices.ContainsFunc(c.Series, func(s Series) bool { return i < len(s.Before) && !math.IsNaN(s.Before[i]) })
}

// stack calls draw for each part of a column, or of its earlier days.
func (c Columns) stack(i int, before bool, draw func(series int, top, bottom float64)) {
	up, down := 0.0, 0.0
	for n, s := range c.Series {
		values := s.Values
		if before {
			values = s.Before
		}
		if i >= len(values) {
			continue
		}
		switch v := values[i]; {
		case v > 0:
			draw(n, up+v, up)
			up += v
		case v < 0:
			draw(n, down, down+v)
			down += v
		}
	}
}
