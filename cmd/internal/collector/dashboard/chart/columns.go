package chart

import (
	"fmt"
	"html/template"
	"math"
)

// Columns draws stacked columns: positive values go up, negative ones down.
type Columns struct {
	Text   Text
	Labels []string
	Series []Series // at most MaxSeries
	Open   int
	// Gaps are the places for which nothing is known.
	Gaps []bool
}

// Draw draws the chart.
func (c Columns) Draw() template.HTML {
	h := newHover(c.Labels, c.Series)
	h.Open, h.Bands = c.Open, true
	d := newDrawing("columns room-0", chartHeight, c.Text, h)
	up, down := c.extent()
	grid := ticks(max(up, down), 4)
	step := grid[1]
	above, below := math.Ceil(up/step)*step, math.Ceil(down/step)*step
	if above+below == 0 {
		above = step
	}
	y := func(v float64) float64 { return chartHeight * (above - v) / (above + below) }
	for v := -below; v <= above+step/2; v += step {
		d.across(y(v), "grid")
		d.text(0, -8, y(v)+4, "label end", Short(v))
	}
	w := 100 / float64(max(1, len(c.Labels)))
	for i := range c.Labels {
		if i < len(c.Gaps) && c.Gaps[i] {
			d.rect(w*float64(i), 0, w, chartHeight, "", "gap", "")
			continue
		}
		wide := min(w*.76, maxColumn)
		c.column(d, w*(float64(i)+.5)-wide/2, wide, i, y)
	}
	d.across(y(0), "axis")
	d.xLabels(c.Labels, func(i int) float64 { return w * (float64(i) + .5) }, chartHeight+20)
	return legend(c.Series, "", boxSwatch) + d.end()
}

// maxColumn is how wide a column is at most, in percent.
const maxColumn = 12

// extent gives the largest sums up and down.
func (c Columns) extent() (up, down float64) {
	for i := range c.Labels {
		u, n := 0.0, 0.0
		for _, s := range c.Series {
			if v := s.Values[i]; v > 0 {
				u += v
			} else if v < 0 {
				n -= v
			}
		}
		up, down = max(up, u), max(down, n)
	}
	return up, down
}

func (c Columns) column(d *drawing, x, w float64, i int, y func(float64) float64) {
	up, down := 0.0, 0.0
	class := "bar"
	if i >= len(c.Labels)-c.Open {
		class = "bar open"
	}
	for n, s := range c.Series {
		v := s.Values[i]
		var from, to float64
		switch {
		case math.IsNaN(v) || v == 0:
			continue
		case v > 0:
			from, to = up+v, up
			up += v
		default:
			from, to = down, down+v
			down += v
		}
		d.rect(x, y(from), w, y(to)-y(from), fmt.Sprintf("%s s%d", class, n), "", "")
		if fill := overlays[n%MaxSeries]; fill != "" {
			d.rect(x, y(from), w, y(to)-y(from), "", fill, "")
		}
	}
}
