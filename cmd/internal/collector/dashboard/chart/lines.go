package chart

import (
	"cmp"
	"fmt"
	"html/template"
	"math"
	"slices"
	"strings"
)

// chartHeight is that of a plot, in pixels.
const chartHeight = 230

// Lines draws a line for each series, with its name at the end.
type Lines struct {
	Text   Text
	Labels []string // of the places on the x axis; as many as values
	Series []Series // at most MaxSeries, those beside others not counted
	// Open is how many places at the end are not over: their part of the lines is dashed.
	Open int
	// Percent says that values are shares from 0 to 1.
	Percent bool
	// Gaps are the places for which nothing is known.
	Gaps []bool
	// Half marks one half, in a chart of shares.
	Half bool
}

// Draw draws the chart.
func (l Lines) Draw() template.HTML {
	h := newHover(l.Labels, l.Series)
	h.Percent, h.Open = l.Percent, l.Open
	d := newDrawing("lines "+room(l.Series), chartHeight, l.Text, h)
	grid, number := []float64{0, .25, .5, .75, 1}, percent
	if !l.Percent {
		most := 0.0
		for _, s := range l.Series {
			for _, v := range s.Values {
				if v > most {
					most = v
				}
			}
		}
		grid, number = ticks(most, 4), Short
	}
	p := plot{places: len(l.Labels), most: grid[len(grid)-1], height: chartHeight}
	d.yAxis(grid, p.y, number)
	if l.Half {
		d.across(p.y(.5), "half")
	}
	d.xLabels(l.Labels, p.x, chartHeight+20)
	p.gaps(d, l.Gaps)
	l.lines(d, p)
	return legend(l.Series, "when-narrow", func(b *strings.Builder, n int) {
		fmt.Fprintf(b, `<path d="M0 6h22" class="line s%d d%d"/><g transform="translate(11 6)">`, n, n)
		marker(b, 0, n)
		b.WriteString("</g>")
	}) + d.end()
}

// A plot says where values are drawn.
type plot struct {
	places       int
	most, height float64
}

// x gives a place in percent, and y a value in pixels.
func (p plot) x(i int) float64 {
	if p.places <= 1 {
		return 50
	}
	return 100 * float64(i) / float64(p.places-1)
}

func (p plot) y(v float64) float64 { return p.height * (1 - v/p.most) }

// gaps marks the places for which nothing is known.
func (p plot) gaps(d *drawing, gaps []bool) {
	if p.places < 2 {
		return
	}
	w := 100 / float64(p.places-1)
	for i, gap := range gaps {
		if gap {
			d.rect(max(0, p.x(i)-w/2), 0, min(w, 100-p.x(i)+w/2), p.height, "", "gap", "")
		}
	}
}

func (l Lines) lines(d *drawing, p plot) {
	type end struct {
		y, x   float64
		series int
		name   string
	}
	var ends []end
	d.stretched()
	n := -1
	for _, s := range l.Series {
		class := "line"
		if s.Beside {
			class = "line beside"
		} else {
			n++
			class += fmt.Sprintf(" d%d", n)
		}
		solid, dashed := p.path(s.Values, l.Open)
		if solid != "" {
			d.f(`<path d="%s" class="%s s%d"/>`, solid, class, n)
		}
		if dashed != "" {
			d.f(`<path d="%s" class="line open s%d"/>`, dashed, n)
		}
	}
	d.WriteString("</svg>")
	n = -1
	for _, s := range l.Series {
		if s.Beside {
			continue
		}
		n++
		p.markers(d, s.Values, n)
		if i := last(s.Values); i >= 0 {
			ends = append(ends, end{p.y(s.Values[i]), p.x(i), n, s.Name})
		}
	}
	slices.SortFunc(ends, func(a, b end) int { return cmp.Or(cmp.Compare(a.y, b.y), cmp.Compare(a.series, b.series)) })
	ys := make([]float64, len(ends))
	for i, e := range ends {
		ys[i] = e.y
	}
	apart(ys, 0, p.height+8)
	for i, e := range ends {
		if e.x == 100 && math.Abs(ys[i]-e.y) < 4 {
			d.text(100, 12, ys[i]+4, "name when-wide", Cut(e.name, labelLength))
			continue // the marker at the end of the line is beside it
		}
		d.f(`<svg x="100%%" y="%s" class="when-wide">`, num(ys[i]))
		marker(&d.Builder, 16, e.series)
		d.WriteString("</svg>")
		d.text(100, 26, ys[i]+4, "name when-wide", Cut(e.name, labelLength))
	}
}

// markers draws some markers along a line: at its end, at values alone between gaps, and about five on the way, at other
// places for each series.
func (p plot) markers(d *drawing, values []float64, series int) {
	step := max(1, len(values)/5)
	end := last(values)
	for i, v := range values {
		if math.IsNaN(v) {
			continue
		}
		alone := (i == 0 || math.IsNaN(values[i-1])) && (i == len(values)-1 || math.IsNaN(values[i+1]))
		if alone || i == end || len(values) > 12 && i%step == (1+series)*step/(MaxSeries+1) && end-i > step/3 {
			d.marker(p.x(i), p.y(v), series)
		}
	}
}

func last(values []float64) int {
	for i := len(values) - 1; i >= 0; i-- {
		if !math.IsNaN(values[i]) {
			return i
		}
	}
	return -1
}

// path gives the line, and its part that leads to places which are not over.
func (p plot) path(values []float64, open int) (solid, dashed string) {
	var b, o strings.Builder
	pen := false
	closed := len(values) - open
	for i, v := range values {
		if math.IsNaN(v) {
			pen = false
			continue
		}
		at := num(10*p.x(i)) + " " + num(p.y(v))
		switch {
		case i >= closed:
			if pen {
				fmt.Fprintf(&o, "M%s %sL%s", num(10*p.x(i-1)), num(p.y(values[i-1])), at)
			}
		case pen:
			b.WriteString("L" + at)
		default:
			b.WriteString("M" + at)
		}
		pen = true
	}
	return b.String(), o.String()
}

// Spark draws a small line without axes.
func Spark(values []float64) template.HTML {
	var b strings.Builder
	p := plot{places: len(values), most: 1, height: 28}
	for _, v := range values {
		if v > p.most {
			p.most = v
		}
	}
	solid, _ := p.path(values, 0)
	fmt.Fprintf(&b, `<svg class="spark" viewBox="0 -3 1000 34" preserveAspectRatio="none" aria-hidden="true"><path d="%s" class="line s0"/></svg>`, solid)
	return template.HTML(b.String())
}
