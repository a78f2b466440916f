package chart

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// ticks gives round numbers from 0 to at least most, about n of them.
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

// Short gives a number in few characters: 950, 1.2k, 34M.
func Short(v float64) string {
	switch {
	case math.IsNaN(v):
		return "–"
	case v == 0: // or minus zero
		return "0"
	}
	sign := ""
	if v < 0 {
		sign, v = "−", -v
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
			return sign + strings.TrimSuffix(strconv.FormatFloat(v/u.size, 'f', digits, 64), ".0") + u.unit
		}
	}
	if v != math.Trunc(v) {
		return sign + strconv.FormatFloat(v, 'f', 1, 64)
	}
	return sign + strconv.FormatFloat(v, 'f', 0, 64)
}

func percent(v float64) string { return fmt.Sprintf("%.0f %%", v*100) }

// shortDay writes a day without its year; other texts stay as they are.
func shortDay(label string) string {
	if day, err := time.Parse(time.DateOnly, label); err == nil {
		return day.Format("2 Jan")
	}
	return Cut(label, 12)
}

// xLabels writes some of the labels below the axis, the last one among them. at gives the place in percent. Every second
// one is left out by the style sheet where there is little room.
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

// yAxis draws a line and a number for each round value.
func (d *drawing) yAxis(grid []float64, y func(float64) float64, number func(float64) string) {
	for _, v := range grid {
		d.across(y(v), "grid")
		d.text(0, -8, y(v)+4, "label end", number(v))
	}
}

// room gives the class for the space that labels at the right need.
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

// labelLength is how many characters of a label there is room for.
const labelLength = 20

// apart moves places in pixels, which are sorted, so far from one another that labels do not collide, and keeps them
// between top and bottom as far as that is possible.
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
