package chart

import (
	"fmt"
	"html/template"
	"math"
	"strings"
)

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
