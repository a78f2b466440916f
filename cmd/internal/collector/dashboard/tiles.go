package dashboard

import (
	"fmt"
	"html/template"
	"math"
	"slices"
	"strings"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/figures"
)

// A tile is one figure, with its change since the window before.
type tile struct {
	Name  string
	Value template.HTML
	// Explain names what is counted, the window, and the window compared with it.
	Explain string
	// Note names the window in a few words.
	Note   string
	Change string
	Sign   string // an arrow for the change, or empty
	Tone   string // better or worse, or empty
	// URL shows the figure in the large chart, or opens its parts; empty for
	// neither.
	URL    string
	Chosen bool

	id, title string // of the chart; empty for none
	of        figureOf
	sums      bool   // over the window, rather than of its last day
	ratio     bool   // of two columns
	columns   []int  // the ones of dayColumns that the chart shows
	beside    int    // a further one, beside the first; 0 for none
	tone      string // of the chart
}

// mainTiles is how many tiles a reader sees at once, and chooses the chart from.
const mainTiles = 4

// A tileRow is what the tiles of the overview are made of.
type tileRow struct {
	now, then   []figures.SeriesPoint // the window, and the one before it
	span, past  collector.Range
	k           int
	age, oldAge figures.Count
}

// tiles returns the tiles of the overview. Figures of a moment are those of the
// last day of the window that has figures.
func (t tileRow) tiles(v view) []tile {
	now, then := lastKnown(t.now), lastKnown(t.then)
	if t.k > 0 {
		one := t.at("28-day active", "Installations seen in the last 28 days that are public, and on two or more days in all", 28, active28, now, then)
		if one.Value == missing {
			return nil // nothing to say
		}
		return []tile{one}
	}
	charted := func(one tile, id, title string, columns ...int) tile {
		one.id, one.title, one.columns = id, title, columns
		return one
	}
	active := func(name, explain string, length, column int, of figureOf) tile {
		one := charted(t.at(name, explain, length, of, now, then), fmt.Sprintf("active-%d", length), "Installations active in "+inDays(length), column)
		one.beside = column + 3
		return one
	}
	sticky := charted(t.compared("Stickiness", "1-day active as a share of 28-day active", stickiness(now), stickiness(then)),
		"stickiness", "1-day active as a share of 28-day active", 2, 0)
	sticky.ratio = true
	growth, age := t.growth(), t.medianAge()
	growth.URL, age.URL = "#growth", v.to("retention", v.sees.Segment, "grain", string(collector.GrainMonth))
	return []tile{
		active("28-day active", "Installations seen in 28 days", 28, 0, active28),
		active("1-day active", "Installations seen on one day", 1, 2, active1),
		t.total("New", "New installations", "Installations first seen", 6, "s0", 1),
		t.total("Lost", "Lost installations", "Installations not seen for 28 days", 8, "lost", -1),
		active("7-day active", "Installations seen in 7 days", 7, 1, active7),
		charted(t.at("Established", "28-day active installations that were seen on two or more days", 28, established28, now, then),
			"established", "Established installations", 3),
		growth,
		sticky,
		age,
		charted(t.at("In-memory IDs", "IDs that may change at the next start. No other figure includes them", 1, inMemory, now, then),
			"in-memory", "In-memory IDs", 10),
		charted(t.at("Excluded", "Development versions, if the settings exclude them. No other figure includes them", 1, excluded, now, then),
			"excluded", "Excluded development versions", 11),
	}
}

// choose marks the tile that the address names, and makes each tile with a chart
// a link that chooses it. It returns the place of the chosen tile.
func (t tileRow) choose(v view, tiles []tile) (chosen int, err error) {
	show := v.get("show", tiles[0].id)
	chosen = slices.IndexFunc(tiles, func(one tile) bool { return one.id == show })
	if chosen < 0 {
		return 0, fmt.Errorf("%w: there is no figure %q to show", errChoice, show)
	}
	for i, one := range tiles {
		if one.id != "" {
			tiles[i].URL = v.with("show", one.id)
		}
	}
	tiles[0].URL = v.with("show", "")
	tiles[chosen].Chosen = true
	return chosen, nil
}

// lastKnown returns the last point that is known; the zero value, with no figures,
// if none is.
func lastKnown(points []figures.SeriesPoint) figures.SeriesPoint {
	for i := len(points) - 1; i >= 0; i-- {
		if !points[i].Gap {
			return points[i]
		}
	}
	return figures.SeriesPoint{}
}

// at returns a figure for the window of length days that ends with the last day.
func (t tileRow) at(name, explain string, length int, of figureOf, now, then figures.SeriesPoint) tile {
	one := tile{Name: name, Explain: explain, Value: figure(of(now), t.k), of: of}
	if now.Day == 0 {
		return one
	}
	one.Note = "in " + inDays(length) + " to " + dayText(now.Day, t.span.To)
	if length == 1 {
		one.Note = "on " + now.Day.Time().Format("Mon 2 Jan")
	}
	one.Explain += ": " + upToText(length, now.Day)
	if now.Open {
		one.Explain += " (in progress)"
	} else if then.Day != 0 && one.change(of(now), of(then)) {
		one.Explain += ", compared with " + upToText(length, then.Day)
	}
	return one
}

// total returns a figure that is added up over the window. good says whether more
// of it is better.
func (t tileRow) total(name, title, explain string, column int, tone string, good int) tile {
	of := dayColumns[column].of
	one := tile{Name: name, id: strings.ToLower(name), title: title, columns: []int{column}, Explain: explain, Value: figure(sumCell(t.now, of), t.k), Note: daysText(t.span, t.span.To), of: of, sums: true, tone: tone}
	now, whole := sum(t.now, of)
	one.Explain += ": " + t.window(t.span)
	if then, wholeThen := sum(t.then, of); whole && wholeThen && t.comparable() && one.change(&now, &then) {
		one.Explain += ", compared with " + t.window(t.past)
		if good < 0 {
			one.Tone = map[string]string{"better": "worse", "worse": "better"}[one.Tone]
		}
	}
	return one
}

// window names a window with its weekdays.
func (t tileRow) window(r collector.Range) string {
	if r.From == r.To {
		return weekdayText(r.To)
	}
	return weekdayText(r.From) + " – " + weekdayText(r.To)
}

// comparable reports whether the window is over, and the app was counted in all of
// the one before it.
func (t tileRow) comparable() bool {
	return len(t.now) > 0 && !t.now[len(t.now)-1].Open && len(t.then) == int(t.past.To-t.past.From)+1
}

func (t tileRow) growth() tile {
	var now, then string
	if n, ok := net(t.now); ok && len(t.now) > 0 {
		now = n.String()
	}
	if n, ok := net(t.then); ok && t.comparable() {
		then = n.String()
	}
	one := t.compared("Net growth", "New and returning minus lost and forgotten", now, then)
	one.Explain += ": " + t.window(t.span)
	if then != "" {
		one.Explain += ", compared with " + t.window(t.past)
	}
	one.Note = daysText(t.span, t.span.To)
	return one
}

func (t tileRow) medianAge() tile {
	var now, then string
	if t.age != nil {
		now = inDays(int(*t.age))
	}
	if t.oldAge != nil {
		then = inDays(int(*t.oldAge))
	}
	return t.compared("Median age", "How long ago 28-day active installations were first seen", now, then)
}

// compared returns a figure beside what it was.
func (t tileRow) compared(name, explain, now, then string) tile {
	one := tile{Name: name, Explain: explain, Value: missing}
	if now != "" {
		one.Value = template.HTML(template.HTMLEscapeString(now))
		if then != "" {
			one.Change = "was " + then
		}
	}
	return one
}

func stickiness(p figures.SeriesPoint) string {
	if p.Active.Day == nil || p.Active.Days28 == nil || *p.Active.Days28 == 0 {
		return ""
	}
	return fmt.Sprintf("%.0f%%", 100*float64(*p.Active.Day)/float64(*p.Active.Days28))
}

// change says how a figure compares with an earlier one, and reports whether it
// can.
func (t *tile) change(now, then figures.Count) bool {
	if now == nil || then == nil || *then == 0 {
		return false
	}
	share := 100 * (float64(*now)/float64(*then) - 1)
	switch {
	case share > 0.05:
		t.Sign, t.Tone = "▲", "better"
	case share < -0.05:
		t.Sign, t.Tone = "▼", "worse"
	default:
		t.Change = "unchanged"
		return true
	}
	if t.Change = fmt.Sprintf("%.1f%%", math.Abs(share)); share >= 1000 {
		t.Change = fmt.Sprintf("×%.0f", share/100+1)
	}
	return true
}
