package chart

import (
	"fmt"
	"html/template"
	"math"
)

// Columns draws stacked columns: positive values go up, negative ones down.
// Columns of open places are pale.
type Columns struct {
	Text Text
	Axis
	Series []Series // at most MaxSeries
}

// maxColumn is the greatest width of a column, in percent.
const maxColumn = 12

// Draw draws the chart.
func (c Columns) Draw() template.HTML {
	h := newHover(c.Axis, c.Series)
	h.Bands = true
	d := newDrawing("columns room-0", chartHeight, c.Text, h)
	up, down := c.extent()
	step := ticks(max(up, down), 4)[1]
	above, below := math.Ceil(up/step)*step, math.Ceil(down/step)*step
	if above+below == 0 {
		above = step
	}
	y := func(v float64) float64 { return chartHeight * (above - v) / (above + below) }
	for v := -below; v <= above+step/2; v += step {
		d.tick(y(v), Short(v))
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

// extent returns the heights of the highest column and of the deepest.
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
		var top, bottom float64
		switch {
		case math.IsNaN(v) || v == 0:
			continue
		case v > 0:
			top, bottom = up+v, up
			up += v
		default:
			top, bottom = down, down+v
			down += v
		}
		d.rect(x, y(top), w, y(bottom)-y(top), fmt.Sprintf("%s s%d", class, n), "", "")
		if fill := overlays[n%MaxSeries]; fill != "" {
			d.rect(x, y(top), w, y(bottom)-y(top), "", fill, "")
		}
	}
}
