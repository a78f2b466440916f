package chart

import (
	"cmp"
	"fmt"
	"html/template"
	"math"
	"slices"
	"strings"
)

// A Series is one line: a value for each place on the x axis. NaN is a gap.
type Series struct {
	Name   string
	Values []float64
}

// Lines draws a line for each series, with its name at the end.
type Lines struct {
	Text   Text
	Labels []string // of the places on the x axis; as many as values
	Series []Series // at most MaxSeries
	// Open is how many places at the end are not over: their part of the lines is dashed.
	Open int
	// Percent says that values are shares from 0 to 1.
	Percent bool
	// Stacked draws bands on top of one another instead of lines.
	Stacked bool
}

// Draw draws the chart for a width.
func (l Lines) Draw(width float64) template.HTML {
	height := 260.0
	if width <= Narrow {
		height = 220
	}
	d := newDrawing(width, height, l.Text)
	p := l.plot(width, height)
	p.axes(d, l.Labels)
	if l.Stacked {
		l.bands(d, p)
	} else {
		l.lines(d, p)
	}
	p.hover(d, l)
	return d.end()
}

// A plot is the area in which values are drawn.
type plot struct {
	left, right, top, bottom float64
	most                     float64
	places                   int
	percent                  bool
	grid                     []float64
}

func (l Lines) plot(width, height float64) plot {
	longest := 0
	for _, s := range l.Series {
		longest = max(longest, len([]rune(s.Name)))
	}
	labels := min(float64(longest)*7+26, width*0.34)
	p := plot{left: 40, right: width - labels, top: 10, bottom: height - 24, places: len(l.Labels), percent: l.Percent}
	most := 0.0
	for i := range l.Labels {
		sum := 0.0
		for _, s := range l.Series {
			if v := s.Values[i]; !math.IsNaN(v) {
				sum += v
				if !l.Stacked {
					most = max(most, v)
				}
			}
		}
		if l.Stacked {
			most = max(most, sum)
		}
	}
	if l.Percent {
		p.grid, p.most = []float64{0, .25, .5, .75, 1}, 1
		return p
	}
	p.grid = ticks(most, 4)
	p.most = p.grid[len(p.grid)-1]
	return p
}

func (p plot) x(i int) float64 {
	if p.places <= 1 {
		return (p.left + p.right) / 2
	}
	return p.left + (p.right-p.left)*float64(i)/float64(p.places-1)
}

func (p plot) y(v float64) float64 { return p.bottom - (p.bottom-p.top)*v/p.most }

func (p plot) number(v float64) string {
	if p.percent {
		return fmt.Sprintf("%.0f %%", v*100)
	}
	return Short(v)
}

func (p plot) axes(d *drawing, labels []string) {
	for _, v := range p.grid {
		d.line(p.left, p.y(v), p.right, p.y(v), "grid")
		d.text(p.left-6, p.y(v)+4, "label", "end", p.number(v))
	}
	if len(labels) == 0 {
		return
	}
	most := max(2, int((p.right-p.left)/90))
	step := max(1, (len(labels)-1+most-1)/most)
	for i := 0; i < len(labels); i += step {
		if p.x(i)+6.2*float64(len([]rune(labels[i]))) <= d.width {
			d.text(p.x(i), p.bottom+16, "label", "start", labels[i])
		}
	}
}

func (l Lines) lines(d *drawing, p plot) {
	type end struct {
		y      float64
		series int
	}
	var ends []end
	for n, s := range l.Series {
		solid, dashed := p.path(s.Values, l.Open)
		if solid != "" {
			d.f(`<path d="%s" class="line s%d"/>`, solid, n)
		}
		if dashed != "" {
			d.f(`<path d="%s" class="line open s%d"/>`, dashed, n)
		}
		if i := last(s.Values); i >= 0 {
			d.marker(p.x(i), p.y(s.Values[i]), n)
			ends = append(ends, end{p.y(s.Values[i]), n})
		}
		p.alone(d, s.Values, n)
	}
	// Labels that would lie on one another are moved apart.
	slices.SortFunc(ends, func(a, b end) int { return cmp.Compare(a.y, b.y) })
	y := math.Inf(-1)
	for i := range ends {
		ends[i].y = max(ends[i].y, y+13)
		y = ends[i].y
	}
	for i, limit := len(ends)-1, p.bottom; i >= 0; i-- {
		ends[i].y = min(ends[i].y, limit)
		limit = ends[i].y - 13
	}
	for _, e := range ends {
		d.marker(p.right+12, e.y, e.series)
		d.text(p.right+20, e.y+4, "name", "start", fit(l.Series[e.series].Name, d.width-p.right-20))
	}
}

// alone marks values between gaps, which make no line.
func (p plot) alone(d *drawing, values []float64, series int) {
	for i, v := range values {
		before, after := i == 0 || math.IsNaN(values[i-1]), i == len(values)-1 || math.IsNaN(values[i+1])
		if !math.IsNaN(v) && before && after {
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
		at := num(p.x(i)) + " " + num(p.y(v))
		switch {
		case i >= closed:
			if pen {
				fmt.Fprintf(&o, "M%s %sL%s", num(p.x(i-1)), num(p.y(values[i-1])), at)
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

func (l Lines) bands(d *drawing, p plot) {
	base := make([]float64, len(l.Labels))
	type mid struct {
		y      float64
		series int
	}
	var mids []mid
	for n, s := range l.Series {
		top := make([]float64, len(base))
		for i, v := range s.Values {
			top[i] = base[i]
			if !math.IsNaN(v) {
				top[i] += v
			} else {
				top[i] = math.NaN()
			}
		}
		for _, run := range runs(top) {
			var b strings.Builder
			for i := run[0]; i < run[1]; i++ {
				fmt.Fprintf(&b, "%s%s %s", map[bool]string{true: "M", false: "L"}[i == run[0]], num(p.x(i)), num(p.y(top[i])))
			}
			for i := run[1] - 1; i >= run[0]; i-- {
				fmt.Fprintf(&b, "L%s %s", num(p.x(i)), num(p.y(base[i])))
			}
			d.f(`<path d="%sz" class="band s%d"><title>%s</title></path>`, b.String(), n, esc(s.Name))
		}
		if i := last(s.Values); i >= 0 && s.Values[i] > 0 {
			mids = append(mids, mid{p.y(base[i] + s.Values[i]/2), n})
		}
		for i := range base {
			if !math.IsNaN(top[i]) {
				base[i] = top[i]
			}
		}
	}
	y := math.Inf(1)
	for _, m := range mids { // from the bottom
		at := min(m.y, y-13)
		y = at
		if at < p.top {
			break
		}
		d.f(`<rect x="%s" y="%s" width="6" height="9" class="m s%d"/>`, num(p.right+4), num(at-5), m.series)
		d.text(p.right+14, at+4, "name", "start", fit(l.Series[m.series].Name, d.width-p.right-14))
	}
}

// runs gives the stretches without gaps.
func runs(values []float64) (all [][2]int) {
	begin := -1
	for i, v := range values {
		switch {
		case math.IsNaN(v) && begin >= 0:
			all = append(all, [2]int{begin, i})
			begin = -1
		case !math.IsNaN(v) && begin < 0:
			begin = i
		}
	}
	if begin >= 0 {
		all = append(all, [2]int{begin, len(values)})
	}
	return all
}

// hover lays a strip over each place whose title has all values there.
func (p plot) hover(d *drawing, l Lines) {
	if len(l.Labels) == 0 {
		return
	}
	w := (p.right - p.left) / float64(max(1, p.places-1))
	for i, label := range l.Labels {
		var b strings.Builder
		b.WriteString(label)
		if i >= len(l.Labels)-l.Open {
			b.WriteString(" (not over)")
		}
		for _, s := range l.Series {
			if v := s.Values[i]; !math.IsNaN(v) {
				fmt.Fprintf(&b, "\n%s: %s", s.Name, p.number(v))
			}
		}
		d.f(`<rect x="%s" y="%s" width="%s" height="%s" class="hit"><title>%s</title></rect>`,
			num(p.x(i)-w/2), num(p.top), num(w), num(p.bottom-p.top), strings.ReplaceAll(esc(strings.ReplaceAll(b.String(), "\n", "\x01")), "\ufffd", "&#10;"))
	}
}
