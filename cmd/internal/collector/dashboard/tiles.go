package dashboard

import (
	"fmt"
	"html/template"
	"math"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector/dashboard/chart"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/figures"
)

// A tile is one figure, with its change since the period before.
type tile struct {
	Name, Explain string
	Value         template.HTML
	Change        string
	Sign          string // an arrow for the change, or empty
	Spark         template.HTML
}

// A tileRow is what the tiles of the overview are made of.
type tileRow struct {
	now, before []figures.SeriesPoint // the range, and the one before it
	k           int
	age, oldAge figures.Count
}

// tiles returns the tiles of the overview. Figures of a moment are those of the
// last day that is over.
func (t tileRow) tiles() []tile {
	if len(t.now) == 0 {
		return nil
	}
	return []tile{
		t.at("28-day active", "Installations seen in the 28 days up to the last complete day", active28),
		t.at("7-day active", "Installations seen in the 7 days up to the last complete day", active7),
		t.at("1-day active", "Installations seen on the last complete day", active1),
		t.at("Established", "28-day active installations that were seen on two or more days", established28),
		t.sum("New", "First seen in this range", newcomers),
		t.sum("Lost", "Not seen for 28 days, as of a day in this range", lost),
		t.net(), t.stickiness(), t.median(),
		t.sum("In-memory, excluded", "In-memory IDs and excluded development versions, summed over the days. No other figure includes them", inMemoryExcluded),
	}
}

// closed returns the days of the range that are over, or all if none is.
func (t tileRow) closed() []figures.SeriesPoint {
	if n := len(t.now); n > 1 && t.now[n-1].Open {
		return t.now[:n-1]
	}
	return t.now
}

// moments returns the last day that is over, and the one a range earlier.
func (t tileRow) moments() (now, then figures.SeriesPoint, known bool) {
	closed := t.closed()
	now = closed[len(closed)-1]
	if n := len(t.before); n > 0 && !t.before[n-1].Gap {
		return now, t.before[n-1], true
	}
	return now, figures.SeriesPoint{}, false
}

func (t tileRow) at(name, explain string, of figureOf) tile {
	now, then, known := t.moments()
	one := tile{Name: name, Explain: explain, Value: figure(cellOf(now.Gap, of(now)), t.k)}
	if known {
		one.change(of(now), of(then))
	}
	one.spark(t.closed(), of)
	return one
}

func (t tileRow) sum(name, explain string, of figureOf) tile {
	one := tile{Name: name, Explain: explain, Value: figure(sumCell(t.now, of), t.k)}
	now, whole := sum(t.now, of)
	if then, wholeThen := sum(t.before, of); whole && wholeThen && len(t.before) >= len(t.now) {
		one.change(&now, &then)
	}
	one.spark(t.closed(), of)
	return one
}

func (t tileRow) net() tile {
	one := tile{Name: "Net growth", Explain: "New and returning minus lost and forgotten", Value: missing}
	if n, ok := net(t.now); ok {
		one.Value = figure(n, 0)
		if old, ok := net(t.before); ok && len(t.before) >= len(t.now) {
			one.Change = "was " + old.String()
		}
	}
	return one
}

func (t tileRow) stickiness() tile {
	one := tile{Name: "Stickiness", Explain: "1-day active as a share of 28-day active", Value: missing}
	share := func(p figures.SeriesPoint) (percent string) {
		if p.Active.Day == nil || p.Active.Days28 == nil || *p.Active.Days28 == 0 {
			return ""
		}
		return fmt.Sprintf("%.0f%%", 100*float64(*p.Active.Day)/float64(*p.Active.Days28))
	}
	now, then, known := t.moments()
	if s := share(now); s != "" {
		one.Value = template.HTML(s) // a number
		if old := share(then); known && old != "" {
			one.Change = "was " + old
		}
	}
	return one
}

func (t tileRow) median() tile {
	one := tile{Name: "Median age", Explain: "How long ago 28-day active installations were first seen", Value: missing}
	if t.age != nil {
		one.Value = number(*t.age) + " <small>days</small>"
		if t.oldAge != nil {
			one.Change = "was " + grouped(*t.oldAge)
		}
	}
	return one
}

func (t *tile) spark(points []figures.SeriesPoint, of figureOf) {
	if len(points) > 2 {
		t.Spark = chart.Spark(pick(points, of))
	}
}

// change says how a figure compares with an earlier one.
func (t *tile) change(now, then figures.Count) {
	if now == nil || then == nil || *then == 0 {
		return
	}
	share := 100 * (float64(*now)/float64(*then) - 1)
	switch {
	case share > 0.05:
		t.Sign = "▲"
	case share < -0.05:
		t.Sign = "▼"
	default:
		t.Change = "unchanged"
		return
	}
	if t.Change = fmt.Sprintf("%.1f%%", math.Abs(share)); share >= 1000 {
		t.Change = fmt.Sprintf("×%.0f", share/100+1)
	}
}
