package chart

import (
	"cmp"
	"fmt"
	"html/template"
	"math"
	"slices"
	"strings"
)

const chartHeight = 230

// Lines draws a line for each series, with its name at the end. The part of a
// line that leads to open places is dashed.
type Lines struct {
	Text Text
	Axis
	Series []Series // at most MaxSeries, not counting those beside others
	// Percent says that values are shares from 0 to 1, and Half marks one half.
	Percent, Half bool
}

// Draw draws the chart.
func (l Lines) Draw() template.HTML {
	h := newHover(l.Axis, l.Series)
	h.Percent = l.Percent
	d := newDrawing("lines "+room(l.Series), chartHeight, l.Text, h)
	grid, number := quarters, percent
	if !l.Percent {
		grid, number = ticks(l.most(), 4), Short
	}
	p := plot{places: len(l.Labels), most: grid[len(grid)-1], height: chartHeight}
	p.frame(d, l.Axis, grid, number)
	if l.Half {
		d.across(p.y(.5), "half")
	}
	l.lines(d, p)
	l.ends(d, p)
	return legend(l.Series, "when-narrow", func(b *strings.Builder, n int) {
		fmt.Fprintf(b, `<path d="M0 6h22" class="line s%d d%d"/><g transform="translate(11 6)">`, n, n)
		marker(b, 0, n)
		b.WriteString("</g>")
	}) + d.end()
}

func (l Lines) most() (most float64) {
	for _, s := range l.Series {
		for _, v := range s.Values {
			if v > most {
				most = v
			}
		}
	}
	return most
}

func (l Lines) lines(d *drawing, p plot) {
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
}

// ends draws the markers along the lines and the names at their ends.
func (l Lines) ends(d *drawing, p plot) {
	type end struct {
		y, x   float64
		series int
		name   string
	}
	var ends []end
	n := 0
	for _, s := range l.Series {
		if !s.Beside {
			p.markers(d, s.Values, n)
			if i := last(s.Values); i >= 0 {
				ends = append(ends, end{p.y(s.Values[i]), p.x(i), n, s.Name})
			}
			n++
		}
	}
	slices.SortFunc(ends, func(a, b end) int { return cmp.Or(cmp.Compare(a.y, b.y), cmp.Compare(a.series, b.series)) })
	ys := make([]float64, len(ends))
	for i, e := range ends {
		ys[i] = e.y
	}
	apart(ys, 0, p.height+8)
	for i, e := range ends {
		dx := 12.0 // next to the marker at the end of the line
		if e.x != 100 || math.Abs(ys[i]-e.y) >= 4 {
			dx = 26
			d.f(`<svg x="100%%" y="%s" class="when-wide">`, num(ys[i]))
			marker(&d.Builder, 16, e.series)
			d.WriteString("</svg>")
		}
		d.text(100, dx, ys[i]+4, "name when-wide", Cut(e.name, labelLength))
	}
}

// markers draws some markers along a line: at its end, at values between two
// gaps, and about five on the way, at other places for each series.
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

// last returns the place of the last value, or -1.
func last(values []float64) int {
	for i, v := range slices.Backward(values) {
		if !math.IsNaN(v) {
			return i
		}
	}
	return -1
}

// path returns the line, and the part of it that leads to open places.
func (p plot) path(values []float64, open int) (solid, dashed string) {
	var b, o strings.Builder
	at := func(i int) string { return num(10*p.x(i)) + " " + num(p.y(values[i])) }
	for _, run := range runs(values) {
		for i := run[0]; i < run[1]; i++ {
			switch begins := i == run[0]; {
			case i < len(values)-open && begins:
				b.WriteString("M" + at(i))
			case i < len(values)-open:
				b.WriteString("L" + at(i))
			case !begins:
				o.WriteString("M" + at(i-1) + "L" + at(i))
			}
		}
	}
	return b.String(), o.String()
}

// Spark draws a small line without axes.
func Spark(values []float64) template.HTML {
	l := Lines{Series: []Series{{Values: values}}}
	p := plot{places: len(values), most: max(1, l.most()), height: 28}
	solid, _ := p.path(values, 0)
	return template.HTML(`<svg class="spark" viewBox="0 -3 1000 34" preserveAspectRatio="none" aria-hidden="true"><path d="` + solid + `" class="line s0"/></svg>`)
}

// Bands draws shares from 0 to 1 as bands on top of one another, the first
// series at the bottom.
type Bands struct {
	Text Text
	Axis
	Series []Series // at most MaxSeries
}

// Draw draws the chart.
func (c Bands) Draw() template.HTML {
	h := newHover(c.Axis, c.Series)
	h.Percent = true
	d := newDrawing("bands "+room(c.Series), chartHeight, c.Text, h)
	p := plot{places: len(c.Labels), most: 1, height: chartHeight}
	p.frame(d, c.Axis, quarters, percent)
	base, tops := make([]float64, len(c.Labels)), make([][]float64, len(c.Series))
	d.stretched()
	for n, s := range c.Series {
		tops[n] = make([]float64, len(base))
		for i, v := range s.Values {
			tops[n][i] = base[i] + v // NaN stays NaN
		}
		for _, run := range runs(tops[n]) {
			outline := p.outline(base, tops[n], run)
			d.f(`<path d="%s" class="band s%d"/>`, outline, n)
			if fill := overlays[n%MaxSeries]; fill != "" {
				d.f(`<path d="%s" fill="url(#%s)"/>`, outline, fill)
			}
		}
		base = tops[n]
	}
	d.WriteString("</svg>")
	if c.Open > 0 && len(c.Labels) > 1 {
		x := p.x(len(c.Labels) - 1 - c.Open)
		d.rect(x, 0, 100-x, chartHeight, "unfinished", "", "")
	}
	c.names(d, p, tops)
	return legend(c.Series, "when-narrow", boxSwatch) + d.end()
}

// names writes the name of each band at its end and where it is widest, if it
// is wide enough there.
func (c Bands) names(d *drawing, p plot, tops [][]float64) {
	var ys []float64
	var names []int
	for n := len(c.Series) - 1; n >= 0; n-- { // from the top
		s := c.Series[n]
		thickest, at := 0.0, 0
		for i, v := range s.Values {
			if v > thickest {
				thickest, at = v, i
			}
		}
		if i := last(s.Values); i == len(s.Values)-1 && s.Values[i]*p.height >= 2 {
			ys, names = append(ys, p.y(tops[n][i]-s.Values[i]/2)), append(names, n)
		}
		if x := p.x(at); thickest*p.height >= 24 && x < 92 {
			class := fmt.Sprintf("on-band s%d", n)
			if x < 6 {
				x = 1
			} else {
				class += " middle"
			}
			d.text(x, 0, p.y(tops[n][at]-thickest/2)+4, class, Cut(s.Name, labelLength))
		}
	}
	apart(ys, 4, p.height+4)
	for i, n := range names {
		d.f(`<svg x="100%%" y="%s" class="when-wide"><svg x="8" y="-6">`, num(ys[i]))
		boxSwatch(&d.Builder, n)
		d.WriteString("</svg></svg>")
		d.text(100, 32, ys[i]+4, "name when-wide", Cut(c.Series[n].Name, labelLength))
	}
}

// outline returns the path around a band, for a run of places.
func (p plot) outline(base, top []float64, run [2]int) string {
	var b strings.Builder
	letter := "M"
	for i := run[0]; i < run[1]; i++ {
		fmt.Fprintf(&b, "%s%s %s", letter, num(10*p.x(i)), num(p.y(top[i])))
		letter = "L"
	}
	for i := run[1] - 1; i >= run[0]; i-- {
		fmt.Fprintf(&b, "L%s %s", num(10*p.x(i)), num(p.y(base[i])))
	}
	return b.String() + "z"
}

// runs returns the stretches without NaN, as pairs of the first place and the
// one after the last.
func runs(values []float64) (all [][2]int) {
	begin := -1
	for i := range len(values) + 1 {
		known := i < len(values) && !math.IsNaN(values[i])
		switch {
		case known && begin < 0:
			begin = i
		case !known && begin >= 0:
			all = append(all, [2]int{begin, i})
			begin = -1
		}
	}
	return all
}
