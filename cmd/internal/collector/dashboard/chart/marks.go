package chart

import (
	"html/template"
	"slices"
	"strings"
	"time"
)

// A Mark says what happened on a day, beside the figures: a release, or a note of
// the maintainer.
type Mark struct {
	Day     string // such as 2006-01-02
	Release bool
	// Text is the whole text. Short is the part of it that is written into the
	// chart where there is room; empty for none.
	Text, Short string
}

// A Timed is a chart that can have marks.
type Timed interface {
	// Marked returns the chart with marks. Those of days that it does not have are
	// not drawn.
	Marked(marks []Mark) Drawing
}

// A Drawing is a chart that can be drawn.
type Drawing interface{ Draw() template.HTML }

// Marked implements [Timed].
func (l Lines) Marked(marks []Mark) Drawing { l.Marks = marks; return l }

// Marked implements [Timed].
func (c Bands) Marked(marks []Mark) Drawing { c.Marks = marks; return c }

// Marked implements [Timed].
func (h Heat) Marked(marks []Mark) Drawing { h.Marks = marks; return h }

// Marked implements [Timed].
func (c Columns) Marked(marks []Mark) Drawing { c.Marks = marks; return c }

// A markedPlace is the marks at a place of an axis.
type markedPlace struct {
	place int
	marks []Mark
}

func (m markedPlace) text() string {
	texts := make([]string, len(m.marks))
	for i, mark := range m.marks {
		texts[i] = mark.Text
	}
	return strings.Join(texts, "\n")
}

// short returns the first short text.
func (m markedPlace) short() string {
	for _, mark := range m.marks {
		if mark.Short != "" {
			return Cut(mark.Short, 12)
		}
	}
	return ""
}

// marked returns the places that have marks, in order. A place begins with the day
// of its label and ends before that of the next one; the last is as long as the
// one before, or a day.
func (a Axis) marked() []markedPlace {
	days := make([]time.Time, len(a.Labels))
	for i, label := range a.Labels {
		var err error
		if days[i], err = time.Parse(time.DateOnly, label); err != nil {
			return nil
		}
	}
	if len(a.Marks) == 0 || len(days) == 0 {
		return nil
	}
	last := len(days) - 1
	end := days[last].AddDate(0, 0, 1)
	if last > 0 {
		end = days[last].Add(days[last].Sub(days[last-1]))
	}
	var all []markedPlace
	for _, m := range a.Marks {
		day, err := time.Parse(time.DateOnly, m.Day)
		if err != nil || day.Before(days[0]) || !day.Before(end) {
			continue
		}
		place, found := slices.BinarySearchFunc(days, day, time.Time.Compare)
		if !found {
			place--
		}
		i, found := slices.BinarySearchFunc(all, place, func(m markedPlace, place int) int { return m.place - place })
		if !found {
			all = slices.Insert(all, i, markedPlace{place: place})
		}
		all[i].marks = append(all[i].marks, m)
	}
	return all
}

// marks draws a line for each place that has marks, with a flag for a note, and the
// short text where that does not collide with the one before. at returns a place in
// percent.
func (d *drawing) marks(axis Axis, at func(i int) float64) {
	free := 0.0 // where the next short text may begin, in percent
	for _, m := range axis.marked() {
		x, class := at(m.place), "event"
		if slices.ContainsFunc(m.marks, func(mark Mark) bool { return !mark.Release }) {
			class = "event note"
		}
		d.f(`<g class="%s"><title>%s</title><line x1="%s%%" x2="%s%%" y1="0" y2="100%%"/>`, class, esc(m.text()), num(x), num(x))
		if class != "event" {
			d.f(`<svg x="%s%%"><path d="M0 0h7l-7 7z"/></svg>`, num(x))
		}
		if short := m.short(); short != "" && x >= free && x < 95 {
			d.text(x, 0, 0, -6, "label middle when-wide", short)
			free = x + 1.2*float64(len([]rune(short))+1)
		}
		d.WriteString("</g>")
	}
}
