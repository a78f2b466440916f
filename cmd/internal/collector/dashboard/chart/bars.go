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
		wide, class := min(w*.76, maxColumn), "bar"
		if i >= len(c.Labels)-c.Open {
			class = "bar open"
		}
		x := w*(float64(i)+.5) - wide/2
		c.stack(i, func(n int, top, bottom float64) {
			d.rect(x, y(top), wide, y(bottom)-y(top), fmt.Sprintf("%s s%d", class, n), "", "")
			if fill := overlays[n%MaxSeries]; fill != "" {
				d.rect(x, y(top), wide, y(bottom)-y(top), "", fill, "")
			}
		})
	}
	d.across(y(0), "axis")
	d.xLabels(c.Labels, func(i int) float64 { return w * (float64(i) + .5) }, chartHeight+20)
	return legend(c.Series, "", boxSwatch) + d.end()
}

func (c Columns) extent() (up, down float64) {
	for i := range c.Labels {
		c.stack(i, func(_ int, top, bottom float64) { up, down = max(up, top), max(down, -bottom) })
	}
	return up, down
}

// stack calls draw for each part of a column.
func (c Columns) stack(i int, draw func(series int, top, bottom float64)) {
	up, down := 0.0, 0.0
	for n, s := range c.Series {
		switch v := s.Values[i]; {
		case v > 0:
			draw(n, up+v, up)
			up += v
		case v < 0:
			draw(n, down, down+v)
			down += v
		}
	}
}

// A Bar is one value of [Bars].
type Bar struct {
	Name  string
	Value float64 // NaN is hidden and has no bar
	Note  string  // at the right
	// Mark is a short word before the name, such as "new"; empty for none.
	Mark string
	// Quiet sets the bar apart from the others, as one for the rest.
	Quiet bool
}

// Bars draws a bar for each value, one below the other, with its name above.
type Bars struct {
	Text Text
	Bars []Bar
	// Most is the length of the axis; 0 means the largest value.
	Most float64
}

// Draw draws the chart.
func (b Bars) Draw() template.HTML {
	const row, nameLength = 38.0, 38
	d := newDrawing("bars", row*float64(max(1, len(b.Bars))), b.Text, nil)
	most := b.Most
	for _, bar := range b.Bars {
		if b.Most == 0 && bar.Value > most {
			most = bar.Value
		}
	}
	for i, bar := range b.Bars {
		y := row * float64(i)
		name := Cut(bar.Name, nameLength)
		if bar.Mark != "" {
			d.f(`<text x="0" y="%s" class="name"><tspan class="mark">%s</tspan> %s</text>`, num(y+14), esc(bar.Mark), esc(name))
		} else {
			d.text(0, 0, y+14, "name", name)
		}
		d.text(100, 0, y+14, "value end", bar.Note)
		d.rect(0, y+20, 100, 9, "track", "", "")
		if bar.Value > 0 && most > 0 {
			class := "bar s0"
			if bar.Quiet {
				class = "bar quiet-bar"
			}
			d.rect(0, y+20, max(100*bar.Value/most, .4), 9, class, "", bar.Name+": "+bar.Note)
		}
	}
	return d.end()
}
