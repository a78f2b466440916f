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
		t.at("Active in 28 days", "Different installations in the 28 days to the last whole day", active28),
		t.at("Active in 7 days", "Different installations in the 7 days to the last whole day", active7),
		t.at("Active in a day", "Different installations on the last whole day", active1),
		t.at("Established", "Of those active in 28 days, the ones seen on two days or more", established28),
		t.sum("New", "Seen for the first time in the range", newcomers),
		t.sum("Lost", "Last seen 28 days before a day of the range", lost),
		t.net(), t.stickiness(), t.median(),
		t.sum("In memory, excluded", "IDs that are not persisted, and development versions, added up over the days; in no other figure", inMemoryExcluded),
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
	one := tile{Name: "Net", Explain: "New and returning, less lost and forgotten, in the range", Value: missing}
	if n, ok := net(t.now); ok {
		one.Value = figure(n, 0)
		if old, ok := net(t.before); ok && len(t.before) >= len(t.now) {
			one.Change = "from " + old.String()
		}
	}
	return one
}

func (t tileRow) stickiness() tile {
	one := tile{Name: "Stickiness", Explain: "Share of those active in 28 days that are active on the last whole day", Value: missing}
	share := func(p figures.SeriesPoint) float64 {
		if p.Active.Day == nil || p.Active.Days28 == nil || *p.Active.Days28 == 0 {
			return math.NaN()
		}
		return float64(*p.Active.Day) / float64(*p.Active.Days28)
	}
	now, then, known := t.moments()
	if s := share(now); !math.IsNaN(s) {
		one.Value = template.HTML(fmt.Sprintf("%.0f&nbsp;%%", 100*s)) //nolint:gosec // a number
		if old := share(then); known && !math.IsNaN(old) {
			one.Change = fmt.Sprintf("from %.0f %%", 100*old)
		}
	}
	return one
}

func (t tileRow) median() tile {
	one := tile{Name: "Median age", Explain: "Days since first sight of those active in 28 days", Value: missing}
	if t.age != nil {
		one.Value = number(*t.age) + " <small>days</small>"
		if t.oldAge != nil {
			one.Change = "from " + grouped(*t.oldAge)
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
	if t.Change = fmt.Sprintf("%.1f %%", math.Abs(share)); share >= 1000 {
		t.Change = fmt.Sprintf("× %.0f", share/100+1)
	}
}
