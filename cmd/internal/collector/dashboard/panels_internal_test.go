package dashboard

import (
	"fmt"
	"net/url"
	"reflect"
	"slices"
	"testing"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/figures"
)

// A trend names the six values that were ever largest and adds up the rest.
func TestFold(t *testing.T) {
	versions := []string{"1.9", "1.10", "2.0-rc.1", "1.1", "1.2", "1.3", "1.4", "1.5", "1.6", "gone", collector.Other}
	trend := figures.Trend{Dimension: collector.DimVersion, Values: versions, Points: []figures.TrendPoint{
		{Counts: []figures.Count{fig(1), fig(9), fig(3), fig(2), fig(20), fig(21), fig(22), fig(23), fig(24), fig(0), fig(5)}},
		{Counts: []figures.Count{fig(30), nil, fig(4), fig(0), fig(1), fig(1), fig(1), fig(1), fig(1), nil, nil}},
	}}
	names, rows := fold("", trend)
	if want := []string{"1.9", "1.6", "1.5", "1.4", "1.3", "1.2", "pre-releases", "other"}; !slices.Equal(names, want) {
		t.Errorf("got names %q, want %q", names, want)
	}
	// The rest is 1.10, 1.1 and what was other before.
	if want := [][]float64{{1, 24, 23, 22, 21, 20, 3, 16}, {30, 1, 1, 1, 1, 1, 4, 0}}; !reflect.DeepEqual(rows, want) {
		t.Errorf("got rows %v, want %v", rows, want)
	}
	trend.Dimension = collector.DimSystem
	if names, _ := fold("", trend); !slices.Equal(names, []string{"1.9", "1.6", "1.5", "1.4", "1.3", "1.2", "other"}) {
		t.Errorf("got names %q of a system, want the largest first and no pre-releases", names)
	}
}

func TestChangeSentence(t *testing.T) {
	day := func(text string, active figures.Count) figures.SeriesPoint {
		d, err := collector.ParseDay(text)
		if err != nil {
			t.Fatal(err)
		}
		return figures.SeriesPoint{Day: d, Active: figures.Active{Days28: active}}
	}
	gap, open := day("2026-08-30", fig(1)), day("2026-11-28", fig(1))
	gap.Gap, open.Open = true, true
	first := day("2026-08-31", fig(173))
	for _, tt := range []struct {
		points []figures.SeriesPoint
		want   string
	}{
		{[]figures.SeriesPoint{gap, first, day("2026-11-27", fig(829)), open}, "28-day active installations grew from 173 to 829 (31 Aug – 27 Nov)."},
		{[]figures.SeriesPoint{first, day("2026-11-27", fig(4))}, "28-day active installations fell from 173 to 4 (31 Aug – 27 Nov)."},
		{[]figures.SeriesPoint{first, day("2027-01-01", fig(173))}, "28-day active installations stayed at 173 (31 Aug 2026 – 1 Jan 2027)."},
		{[]figures.SeriesPoint{first, open}, ""},
		{[]figures.SeriesPoint{day("2026-08-31", nil), first}, ""},
		{nil, ""},
	} {
		if got := untagged(string(changeSentence(tt.points))); got != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
}

// untagged removes the tags around numbers.
func untagged(text string) string {
	plain, inTag := "", false
	for _, r := range text {
		switch {
		case r == '<':
			inTag = true
		case r == '>':
			inTag = false
		case !inTag:
			plain += string(r)
		}
	}
	return plain
}

func TestFigure(t *testing.T) {
	for _, tt := range []struct {
		cell any
		k    int
		want string
	}{
		{fig(1234567), 0, "1,234,567"}, {fig(0), 10, "0"}, {figures.Count(nil), 10, "&lt;&nbsp;10"}, {figures.Count(nil), 0, "–"},
		{unknown{}, 10, "–"}, {atLeast(1000), 10, "≥&nbsp;1,000"}, {0.4567, 0, "45.7%"}, {shareOf(nil, 1), 0, "–"},
		{difference(1200), 0, "+1,200"}, {difference(-3), 0, "−3"}, {difference(0), 0, "+0"},
		{"<b>\x00", 0, "&lt;b&gt;\ufffd"}, {collector.Day(20000), 0, "2024-10-04"},
	} {
		if got := untagged(string(figure(tt.cell, tt.k))); got != tt.want {
			t.Errorf("%T %v, k %d: got %q, want %q", tt.cell, tt.cell, tt.k, got, tt.want)
		}
	}
}

// Downloads hold numbers for differences, texts for sums that lack hidden
// figures, and nothing for what is unknown.
func TestCellsInDownloads(t *testing.T) {
	var p panel
	p.Table.Columns = []string{"net", "sum", "gap"}
	p.Table.Add(difference(-3), atLeast(40), unknown{})
	if got, want := string(p.Table.CSV()), "net,sum,gap\r\n-3,≥ 40,\r\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := string(p.Table.JSONLines()), `{"net":-3,"sum":"≥ 40","gap":null}`+"\n"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// More than 64 dimensions are shown in parts.
func TestParts(t *testing.T) {
	for _, tt := range []struct {
		n           int
		part        string
		first, rows int // the first dimension, and the rows of links
		fails       bool
	}{
		{64, "", 0, 0, false}, {64, "1", 0, 1, false}, {64, "2", 0, 0, true},
		{65, "", 0, 1, false}, {65, "2", 64, 1, false}, {129, "3", 128, 1, false}, {129, "4", 0, 0, true}, {129, "0", 0, 0, true}, {129, "x", 0, 0, true},
	} {
		t.Run(fmt.Sprint(tt.n, " ", tt.part), func(t *testing.T) {
			v := view{values: url.Values{"part": {tt.part}}}
			var p pageData
			first, err := v.part(&p, tt.n)
			if first != tt.first || len(p.Choices) != tt.rows || err != nil != tt.fails {
				t.Errorf("got %d, %v and %d rows, want %d and %d rows", first, err, len(p.Choices), tt.first, tt.rows)
			}
		})
	}
}

// A change between two builds of one release is neither an upgrade nor a downgrade.
func TestMovesWithoutOrder(t *testing.T) {
	p := movesPanel("", figures.Versions{Moves: []figures.Move{
		{From: "1.0+a", To: "1.0+b", Count: fig(3)}, {From: "1.0", To: "1.1", Count: fig(2), Up: true}, {From: "1.1", To: "1.0", Count: fig(1)},
	}})
	for i, want := range []string{"neither", "upgrade", "downgrade"} {
		if got := p.Table.Rows[i][3]; got != want {
			t.Errorf("%v: got %v, want %s", p.Table.Rows[i], got, want)
		}
	}
}
