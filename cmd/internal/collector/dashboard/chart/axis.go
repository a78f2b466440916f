package chart

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// ticks returns about n round numbers, from 0 to at least most.
func ticks(most float64, n int) []float64 {
	if !(most > 0) || math.IsInf(most, 0) {
		return []float64{0, 1}
	}
	step := math.Pow(10, math.Floor(math.Log10(most/float64(n))))
	for _, f := range []float64{1, 2, 5, 10} {
		if most/(step*f) <= float64(n) {
			step *= f
			break
		}
	}
	step = max(step, 1)
	all := []float64{0}
	for v := step; all[len(all)-1] < most; v += step {
		all = append(all, v)
	}
	return all
}

// quarters are the ticks of an axis of shares.
var quarters = []float64{0, .25, .5, .75, 1}

// Short writes a number in few characters: 950, 1.2k, 34M.
func Short(v float64) string {
	switch {
	case math.IsNaN(v):
		return "–"
	case v == 0: // or minus zero
		return "0"
	case v < 0:
		return "−" + Short(-v)
	}
	for _, u := range []struct {
		size float64
		unit string
	}{{1e9, "G"}, {1e6, "M"}, {1e3, "k"}} {
		if v >= u.size {
			digits := 1
			if v >= 100*u.size {
				digits = 0
			}
			return strings.TrimSuffix(strconv.FormatFloat(v/u.size, 'f', digits, 64), ".0") + u.unit
		}
	}
	if v != math.Trunc(v) {
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return strconv.FormatFloat(v, 'f', 0, 64)
}

func percent(v float64) string { return fmt.Sprintf("%.0f%%", v*100) }

// shortDay writes a day without its year, and shortens any other label.
func shortDay(label string) string {
	if day, err := time.Parse(time.DateOnly, label); err == nil {
		return day.Format("2 Jan")
	}
	return Cut(label, 12)
}

// Cut shortens a text to a number of characters.
func Cut(text string, most int) string {
	runes := []rune(text)
	if len(runes) <= most {
		return text
	}
	return string(runes[:most-1]) + "…"
}

// xLabels writes up to eight labels below the axis, among them the last. at
// returns a place in percent. The style sheet hides every second label where
// there is little room.
func (d *drawing) xLabels(labels []string, at func(i int) float64, y float64) {
	const most = 8
	n := len(labels)
	step := max(1, int(math.Ceil(float64(n)/most)))
	for k, i := 0, n-1; i >= 0; k, i = k+1, i-step {
		class := "label middle"
		if k%2 == 1 {
			class += " minor"
		}
		d.text(at(i), 0, y, class, shortDay(labels[i]))
	}
}

// tick draws a grid line and its number.
func (d *drawing) tick(y float64, number string) {
	d.across(y, "grid")
	d.text(0, -8, y+4, "label end", number)
}

// room returns the class that reserves space for the labels at the right.
func room(series []Series) string {
	longest := 0
	for _, s := range series {
		if !s.Beside {
			longest = max(longest, len([]rune(s.Name)))
		}
	}
	switch {
	case longest <= 7:
		return "room-1"
	case longest <= 11:
		return "room-2"
	case longest <= 15:
		return "room-3"
	}
	return "room-4"
}

// labelLength is how many characters of a label fit.
const labelLength = 20

// apart moves sorted places, in pixels, so far from one another that their
// labels do not collide. It keeps them between top and bottom if it can.
func apart(ys []float64, top, bottom float64) {
	const gap = 15
	for i := range ys {
		if ys[i] = max(ys[i], top); i > 0 {
			ys[i] = max(ys[i], ys[i-1]+gap)
		}
	}
	limit := bottom
	for i := len(ys) - 1; i >= 0; i-- {
		ys[i] = min(ys[i], limit)
		limit = ys[i] - gap
	}
}

// A plot maps places and values to the area of a chart.
type plot struct {
	places       int
	most, height float64
}

// x returns a place in percent.
func (p plot) x(i int) float64 {
	if p.places <= 1 {
		return 50
	}
	return 100 * float64(i) / float64(p.places-1)
}

// y returns a value in pixels from the top.
func (p plot) y(v float64) float64 { return p.height * (1 - v/p.most) }

// frame draws the grid, the labels of the axis, and its gaps.
func (p plot) frame(d *drawing, axis Axis, grid []float64, number func(float64) string) {
	for _, v := range grid {
		d.tick(p.y(v), number(v))
	}
	d.xLabels(axis.Labels, p.x, p.height+20)
	if p.places < 2 {
		return
	}
	w := 100 / float64(p.places-1)
	for i, gap := range axis.Gaps {
		if gap {
			d.rect(max(0, p.x(i)-w/2), 0, min(w, 100-p.x(i)+w/2), p.height, "", "gap", "")
		}
	}
}
