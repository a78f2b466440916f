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
	closed := t.now // the days that are over, or all if none is
	if n := len(closed); n > 1 && closed[n-1].Open {
		closed = closed[:n-1]
	}
	now := closed[len(closed)-1]
	var then figures.SeriesPoint // the day before the range, if known
	if n := len(t.before); n > 0 && !t.before[n-1].Gap {
		then = t.before[n-1]
	}
	at := func(name, explain string, of figureOf) tile {
		one := tile{Name: name, Explain: explain, Value: figure(cellOf(now.Gap, of(now)), t.k), Spark: spark(closed, of)}
		one.change(of(now), of(then))
		return one
	}
	total := func(name, explain string, of figureOf) tile {
		one := tile{Name: name, Explain: explain, Value: figure(sumCell(t.now, of), t.k), Spark: spark(closed, of)}
		now, whole := sum(t.now, of)
		if then, wholeThen := sum(t.before, of); whole && wholeThen && len(t.before) >= len(t.now) {
			one.change(&now, &then)
		}
		return one
	}
	return []tile{
		at("28-day active", "Installations seen in the 28 days up to the last complete day", active28),
		at("7-day active", "Installations seen in the 7 days up to the last complete day", active7),
		at("1-day active", "Installations seen on the last complete day", active1),
		at("Established", "28-day active installations that were seen on two or more days", established28),
		total("New", "First seen in this range", newcomers),
		total("Lost", "Not seen for 28 days, as of a day in this range", lost),
		t.net(), stickiness(now, then), t.median(),
		total("In-memory, excluded", "In-memory IDs and excluded development versions, summed over the days. "+
			"No other figure includes them", inMemoryExcluded),
	}
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

func stickiness(now, then figures.SeriesPoint) tile {
	one := tile{Name: "Stickiness", Explain: "1-day active as a share of 28-day active", Value: missing}
	share := func(p figures.SeriesPoint) (percent string) {
		if p.Active.Day == nil || p.Active.Days28 == nil || *p.Active.Days28 == 0 {
			return ""
		}
		return fmt.Sprintf("%.0f%%", 100*float64(*p.Active.Day)/float64(*p.Active.Days28))
	}
	if s := share(now); s != "" {
		one.Value = template.HTML(s) // a number
		if old := share(then); old != "" {
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

// spark draws a figure day by day, if there are enough days.
func spark(points []figures.SeriesPoint, of figureOf) template.HTML {
	if len(points) <= 2 {
		return ""
	}
	values := make([]float64, len(points))
	for i, point := range points {
		if values[i] = value(of(point)); point.Gap {
			values[i] = math.NaN()
		}
	}
	return chart.Spark(values)
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
