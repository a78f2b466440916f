package chart

import (
	"cmp"
	"fmt"
	"html/template"
	"math"
	"slices"
	"strings"
)

// Lines draws a line for each series, with its name at the end. The part of a
// line that leads to open places is dashed.
type Lines struct {
	Text Text
	Axis
	Series []Series // at most MaxSeries, not counting those beside others
	// Percent says that values are shares from 0 to 1, and Half marks one half.
	Percent, Half bool
}

// Draw draws the chart. A chart of a single place is bars.
func (l Lines) Draw() template.HTML {
	if len(l.Labels) == 1 {
		return single(l.Text, l.Axis, l.Series, l.Percent)
	}
	h := newHover(l.Axis, l.Series)
	h.Percent = l.Percent
	d := newDrawing("lines "+room(l.Series), l.Text, h, false)
	grid, number := quarters, percent
	if !l.Percent {
		grid, number = ticks(l.most(), 4), Short
	}
	p := plot{places: len(l.Labels), most: grid[len(grid)-1]}
	p.frame(d, l.Axis, l.Series, grid, number)
	if l.Half {
		d.across(p.y(.5), "half")
	}
	l.lines(d, p)
	d.marks(l.Axis, p.x)
	l.ends(d, p)
	return d.end() + legend(l.Series, "when-narrow") + l.before()
}

// single draws the only place of an axis.
func single(says Text, axis Axis, series []Series, shares bool) template.HTML {
	b := Bars{Text: says}
	if shares {
		b.Most = 1
	}
	text := func(v float64) string {
		if shares && !math.IsNaN(v) {
			return fmt.Sprintf("%.1f%%", 100*v)
		}
		return Short(v)
	}
	for _, s := range series {
		bar := Bar{Name: s.Name, Value: s.Values[0], Note: text(s.Values[0]), Quiet: s.Beside, URL: s.URL}
		if axis.Before != "" && len(s.Before) == 1 {
			bar.Before, bar.BeforeNote = s.Before[0], text(s.Before[0])+", "+axis.Before
		}
		b.Bars = append(b.Bars, bar)
	}
	below := []string{axis.Labels[0]}
	if axis.Open > 0 {
		below[0] += ", in progress"
	}
	for _, m := range axis.marked() {
		below = append(below, strings.ReplaceAll(m.text(), "\n", " · "))
	}
	return b.Draw() + template.HTML(`<p class="quiet">`+esc(strings.Join(below, " · "))+`</p>`)
}

func (l Lines) most() (most float64) {
	for _, s := range l.Series {
		for _, v := range slices.Concat(s.Values, s.Before) {
			if v > most {
				most = v
			}
		}
	}
	return most
}

func (l Lines) lines(d *drawing, p plot) {
	d.stretched()
	n, several := -1, slices.ContainsFunc(l.Series[min(1, len(l.Series)):], func(s Series) bool { return !s.Beside })
	for _, s := range l.Series {
		class := "line"
		if s.Beside {
			class = "line beside"
		} else {
			n++
			class += fmt.Sprintf(" d%d", n)
		}
		tone := s.toned(max(n, 0))
		solid, dashed := p.path(s.Values, l.Open)
		if solid != "" && n == 0 && !s.Beside && !l.Percent {
			d.f(`<path d="%s" class="under %s"/>`, p.under(s.Values), tone)
		}
		if solid != "" {
			d.f(`<path d="%s" class="%s %s"/>`, solid, class, tone)
		}
		if dashed != "" {
			d.f(`<path d="%s" class="line open %s"/>`, dashed, tone)
		}
		if l.Before != "" && s.Before != nil {
			path, _ := p.path(s.Before, 0)
			if !several {
				tone = "rest"
			}
			d.f(`<path d="%s" class="line before %s"/>`, path, tone)
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
		tone   string // empty without a marker
	}
	var ends []end
	n := 0
	for _, s := range l.Series {
		tone := ""
		if !s.Beside {
			p.markers(d, s, n)
			tone = s.toned(n)
		}
		if i := last(s.Values); i >= 0 {
			ends = append(ends, end{p.y(s.Values[i]), p.x(i), n, s.Name, tone})
		}
		if !s.Beside {
			n++
		}
	}
	slices.SortFunc(ends, func(a, b end) int { return cmp.Or(cmp.Compare(a.y, b.y), cmp.Compare(a.series, b.series)) })
	ys := make([]float64, len(ends))
	for i, e := range ends {
		ys[i] = e.y
	}
	apart(ys, 0, 104)
	for i, e := range ends {
		dx := 12.0 // next to the marker at the end of the line
		if e.tone != "" && (e.x != 100 || math.Abs(ys[i]-e.y) >= 2) {
			dx = 26
			d.f(`<svg x="100%%" y="%s%%" class="when-wide">`, num(ys[i]))
			marker(&d.Builder, 16, e.series, e.tone)
			d.WriteString("</svg>")
		}
		d.text(100, ys[i], dx, 4, "name when-wide", Cut(e.name, labelLength))
	}
}

// markers draws some markers along a line: at its end, at values between two
// gaps, and as a texture about five on the way, at other places for each series.
func (p plot) markers(d *drawing, s Series, series int) {
	values := s.Values
	step := max(1, len(values)/5)
	end := last(values)
	for i, v := range values {
		if math.IsNaN(v) {
			continue
		}
		alone := (i == 0 || math.IsNaN(values[i-1])) && (i == len(values)-1 || math.IsNaN(values[i+1]))
		switch {
		case alone || i == end:
			d.marker(p.x(i), p.y(v), series, s.toned(series), "point")
		case len(values) > 12 && i%step == (1+series)*step/(MaxSeries+1) && end-i > step/3:
			d.marker(p.x(i), p.y(v), series, s.toned(series), "texture")
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
	at := func(i int) string { return num(10*p.x(i)) + " " + num(10*p.y(values[i])) }
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

// under returns the outline of the area below a line.
func (p plot) under(values []float64) string {
	var b strings.Builder
	for _, run := range runs(values) {
		if run[1]-run[0] > 1 {
			b.WriteString(p.outline(make([]float64, len(values)), values, run))
		}
	}
	return b.String()
}

// Bands draws shares from 0 to 1 as bands on top of one another, the first
// series at the bottom.
type Bands struct {
	Text Text
	Axis
	Series []Series // at most MaxSeries
}

// Draw draws the chart. A chart of a single place is bars.
func (c Bands) Draw() template.HTML {
	if len(c.Labels) == 1 {
		return single(c.Text, c.Axis, c.Series, true)
	}
	h := newHover(c.Axis, c.Series)
	h.Percent = true
	d := newDrawing("bands "+room(c.Series), c.Text, h, linked(c.Series))
	p := plot{places: len(c.Labels), most: 1}
	p.frame(d, c.Axis, c.Series, quarters, percent)
	base, tops := make([]float64, len(c.Labels)), make([][]float64, len(c.Series))
	d.stretched()
	for n, s := range c.Series {
		tops[n] = make([]float64, len(base))
		for i, v := range s.Values {
			tops[n][i] = base[i] + v // NaN stays NaN
		}
		for _, run := range runs(tops[n]) {
			outline := p.outline(base, tops[n], run)
			d.link(s.URL, func() {
				d.f(`<path d="%s" class="band %s"/>`, outline, s.toned(n))
				if fill := textures[n%MaxSeries]; fill != "" {
					d.f(`<path d="%s" class="texture" fill="url(#%s)"/>`, outline, fill)
				}
			})
		}
		base = tops[n]
	}
	c.drawBefore(d, p)
	d.WriteString("</svg>")
	if c.Open > 0 && len(c.Labels) > 1 {
		x := p.x(len(c.Labels) - 1 - c.Open)
		d.rect(x, 0, 100-x, 100, "unfinished", "")
	}
	d.marks(c.Axis, p.x)
	c.names(d, p, tops)
	return d.end() + legend(c.Series, "when-narrow") + c.before()
}

// drawBefore draws the tops of the bands of earlier days, but the last, which is 1.
func (c Bands) drawBefore(d *drawing, p plot) {
	tops := make([]float64, len(c.Labels))
	for _, s := range c.Series[:max(len(c.Series)-1, 0)] {
		if c.Before == "" || s.Before == nil {
			return
		}
		for i, v := range s.Before {
			tops[i] += v // NaN stays NaN
		}
		path, _ := p.path(tops, 0)
		d.f(`<path d="%s" class="line before rest"/>`, path)
	}
}

// names writes the name of each band at its end, from the top.
func (c Bands) names(d *drawing, p plot, tops [][]float64) {
	var ys []float64
	var names []int
	for n := len(c.Series) - 1; n >= 0; n-- {
		s := c.Series[n]
		if i := last(s.Values); i >= 0 && i == len(s.Values)-1 && s.Values[i] >= .005 {
			ys, names = append(ys, p.y(tops[n][i]-s.Values[i]/2)), append(names, n)
		}
	}
	apart(ys, 2, 102)
	for i, n := range names {
		d.f(`<svg x="100%%" y="%s%%" class="when-wide"><rect x="8" y="-5" width="10" height="10" rx="3" class="bar %s"/></svg>`, num(ys[i]), c.Series[n].toned(n))
		d.text(100, ys[i], 24, 4, "name when-wide", Cut(c.Series[n].Name, labelLength))
	}
}

// outline returns the path around a band, for a run of places.
func (p plot) outline(base, top []float64, run [2]int) string {
	var b strings.Builder
	letter := "M"
	for i := run[0]; i < run[1]; i++ {
		fmt.Fprintf(&b, "%s%s %s", letter, num(10*p.x(i)), num(10*p.y(top[i])))
		letter = "L"
	}
	for i := run[1] - 1; i >= run[0]; i-- {
		fmt.Fprintf(&b, "L%s %s", num(10*p.x(i)), num(10*p.y(base[i])))
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
