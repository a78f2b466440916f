package chart

import (
	"fmt"
	"html/template"
	"math"
	"strings"
)

// A Bar is one value of [Bars].
type Bar struct {
	Name  string
	Value float64
	Note  string // what stands behind the bar
}

// Bars draws a bar for each value, one below the other, with its name before it.
type Bars struct {
	Text Text
	Bars []Bar
	// Most is the length of the axis; 0 is the largest value.
	Most float64
}

// Draw draws the chart for a width.
func (b Bars) Draw(width float64) template.HTML {
	const row = 26.0
	d := newDrawing(width, row*float64(max(1, len(b.Bars)))+4, b.Text)
	most := b.Most
	longest := 0
	for _, bar := range b.Bars {
		if b.Most == 0 {
			most = max(most, bar.Value)
		}
		longest = max(longest, len([]rune(bar.Name)))
	}
	names := min(float64(longest)*7.4+10, width*0.4)
	notes := 108.0
	if width <= Narrow {
		notes = 84
	}
	room := width - names - notes
	for i, bar := range b.Bars {
		y := row * float64(i)
		d.text(names-6, y+17, "name", "end", fit(bar.Name, names-6))
		d.rect(names, y+5, room, row-10, "track", bar.Name)
		length := 0.0
		if most > 0 {
			length = room * bar.Value / most
		}
		d.rect(names, y+5, max(length, map[bool]float64{true: 1.5, false: 0}[bar.Value > 0]), row-10, "bar s0", bar.Name+": "+bar.Note)
		d.text(width-notes+8, y+17, "value", "start", bar.Note)
	}
	return d.end()
}

// Columns draws stacked columns: series with positive values go up, those with negative ones down.
type Columns struct {
	Text   Text
	Labels []string
	Series []Series
	Open   int
}

// Draw draws the chart for a width.
func (c Columns) Draw(width float64) template.HTML {
	height := 240.0
	d := newDrawing(width, height, c.Text)
	up, down := 0.0, 0.0
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
	grid := ticks(max(up, down), 3)
	p := plot{left: 40, right: width - 8, top: 10, bottom: height - 44, places: len(c.Labels)}
	total := max(up, grid[1]) + max(down, 0)
	zero := p.top + (p.bottom-p.top)*max(up, grid[1])/total
	y := func(v float64) float64 { return zero - (p.bottom-p.top)*v/total }
	for _, v := range grid {
		for _, at := range []float64{v, -v} {
			if at == 0 && math.Signbit(at) || y(at) < p.top-1 || y(at) > p.bottom+1 {
				continue
			}
			d.line(p.left, y(at), p.right, y(at), "grid")
			d.text(p.left-6, y(at)+4, "label", "end", Short(at))
		}
	}
	step := (p.right - p.left) / float64(max(1, len(c.Labels)))
	for i := range c.Labels {
		c.column(d, p.left+step*float64(i)+step*0.1, step*0.8, i, y)
	}
	d.line(p.left, zero, p.right, zero, "axis")
	most := max(2, int((p.right-p.left)/90))
	every := max(1, (len(c.Labels)+most-1)/most)
	for i := 0; i < len(c.Labels); i += every {
		if x := p.left + step*float64(i); x+6.2*float64(len([]rune(c.Labels[i]))) <= width {
			d.text(x, p.bottom+16, "label", "start", c.Labels[i])
		}
	}
	x := p.left
	for n, s := range c.Series {
		d.f(`<rect x="%s" y="%s" width="10" height="10" class="bar s%d"/>`, num(x), num(height-16), n)
		d.text(x+14, height-7, "name", "start", s.Name)
		x += 26 + 6.8*float64(len([]rune(s.Name)))
	}
	return d.end()
}

func (c Columns) column(d *drawing, x, w float64, i int, y func(float64) float64) {
	up, down := 0.0, 0.0
	var title strings.Builder
	title.WriteString(c.Labels[i])
	for _, s := range c.Series {
		if v := s.Values[i]; !math.IsNaN(v) {
			fmt.Fprintf(&title, ", %s %s", s.Name, Short(v))
		}
	}
	class := "bar"
	if i >= len(c.Labels)-c.Open {
		class = "bar open"
	}
	for n, s := range c.Series {
		v := s.Values[i]
		switch {
		case math.IsNaN(v) || v == 0:
		case v > 0:
			d.rect(x, y(up+v), w, y(up)-y(up+v), fmt.Sprintf("%s s%d", class, n), title.String())
			up += v
		default:
			d.rect(x, y(down), w, y(down+v)-y(down), fmt.Sprintf("%s s%d", class, n), title.String())
			down += v
		}
	}
}
