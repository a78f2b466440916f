package chart_test

import (
	"encoding/xml"
	"errors"
	"html/template"
	"io"
	"math"
	"strings"
	"testing"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector/dashboard/chart"
)

var (
	nan  = math.NaN()
	evil = "\"><script>alert(1)</script>\x00\x1b\u0085'=cmd|' /C calc'!A0"
)

// drawings are charts of every kind in every state.
func drawings() map[string]template.HTML {
	text := chart.Text{Title: evil, Desc: evil}
	labels := []string{"2026-01-30", "2026-01-31", evil}
	series := []chart.Series{{Name: evil, Values: []float64{1, nan, 3}}, {Name: "b", Values: []float64{1, 2, 3}, Beside: true}, {Name: "c", Values: []float64{0, 0, 0}}}
	huge := []chart.Series{{Name: "huge", Values: []float64{1e18, 1, nan}}}
	shares := []chart.Series{{Name: "a", Values: []float64{.5, nan, 1}}, {Name: evil, Values: []float64{.5, nan, 0}}}
	var many []chart.Series
	for range 3 * chart.MaxSeries {
		many = append(many, chart.Series{Name: "same", Values: []float64{1, 1, 1}})
	}
	marks := []chart.Mark{{Day: "2026-01-30", Release: true, Text: "1.0 released" + evil, Short: "1.0"}}
	compared := chart.Axis{Labels: []string{"2026-01-30", "2026-01-31", "2026-02-01"}, Before: "year before", Marks: marks}
	axis := chart.Axis{Labels: labels, Open: 1, Gaps: []bool{false, true, false}}
	return map[string]template.HTML{
		"lines":           chart.Lines{Text: text, Axis: axis, Series: series}.Draw(),
		"lines, nothing":  chart.Lines{}.Draw(),
		"lines, one":      chart.Lines{Axis: chart.Axis{Labels: labels[:1], Open: 1}, Series: []chart.Series{{Name: "a", Values: []float64{7}}}}.Draw(),
		"lines, huge":     chart.Lines{Axis: chart.Axis{Labels: labels}, Series: huge}.Draw(),
		"lines, many":     chart.Lines{Axis: chart.Axis{Labels: labels}, Series: many}.Draw(),
		"shares":          chart.Lines{Axis: chart.Axis{Labels: labels}, Series: shares, Percent: true, Half: true}.Draw(),
		"bands":           chart.Bands{Text: text, Axis: axis, Series: shares}.Draw(),
		"bands, nothing":  chart.Bands{}.Draw(),
		"bands, many":     chart.Bands{Axis: chart.Axis{Labels: labels}, Series: many}.Draw(),
		"columns":         chart.Columns{Text: text, Axis: axis, Series: []chart.Series{{Name: evil, Values: []float64{1, nan, 0}}, {Name: "d", Values: []float64{-2, nan, -1}}}}.Draw(),
		"columns, none":   chart.Columns{}.Draw(),
		"columns, zeroes": chart.Columns{Axis: chart.Axis{Labels: labels}, Series: []chart.Series{{Name: "a", Values: []float64{0, 0, 0}}}}.Draw(),
		"bars":            chart.Bars{Text: text, Bars: []chart.Bar{{Name: evil, Value: 2, Note: evil, Mark: evil, URL: "?x=" + evil, Before: 1, BeforeNote: evil}, {Name: "hidden", Value: nan}, {Name: "", Value: 0, Quiet: true}}}.Draw(),
		"bars, none":      chart.Bars{}.Draw(),
		"heat": chart.Heat{Text: text, Columns: []string{evil, "1"}, SizeHead: evil, Rows: []chart.HeatRow{
			{Name: evil, Size: evil, Cells: []chart.HeatCell{{Share: 7, Text: evil, Title: evil, URL: "?x=" + evil, Open: true}, {None: true, Share: -1}}},
		}}.Draw(),
		"heat, none": chart.Heat{}.Draw(),
		"heat, wide": chart.Heat{Columns: make([]string, 60), Rows: []chart.HeatRow{{Cells: make([]chart.HeatCell, 60)}}}.Draw(),
		"patterns":   chart.Patterns,
		"lines, linked": chart.Lines{Axis: compared, Series: []chart.Series{
			{Name: "a", URL: "?a", Values: []float64{1, 2, 3}, Before: []float64{nan, 9, 4}}, {Name: "b", Values: []float64{1, 2, 3}, Before: []float64{5, 6, 7}}}}.Draw(),
		"bands, linked": chart.Bands{Axis: compared, Series: []chart.Series{
			{Name: "a", URL: "?a=" + evil, Values: []float64{.5, nan, 1}, Before: []float64{.1, .2, nan}}, {Name: "b", URL: "?b", Values: []float64{.5, nan, 0}, Before: []float64{.9, .8, nan}}}}.Draw(),
		"columns, linked": chart.Columns{Axis: compared, Series: []chart.Series{
			{Name: "a", URLs: []string{"?a=" + evil}, Values: []float64{1, nan, 0}, Before: []float64{70, nan, 80}}, {Name: "b", Values: []float64{-1, nan, 0}, Before: []float64{-7, nan, -8}}}}.Draw(),
		"heat, marked": chart.Heat{Marks: marks, Columns: []string{"0", "1"}, Rows: []chart.HeatRow{
			{Name: "2026-01-26", Day: "2026-01-26", URL: "?a", Cells: []chart.HeatCell{{Text: "1", URL: "?a"}, {Text: "2", URL: "?b"}}}, {Name: "2026-02-02", Day: "2026-02-02"}}}.Draw(),
		"lines, one compared": chart.Lines{Axis: chart.Axis{Labels: labels[:1], Before: "year before", Marks: marks},
			Series: []chart.Series{{Name: "a", Values: []float64{7}, Before: []float64{5}}}}.Draw(),
	}
}

// Whatever the names and numbers, a drawing is well-formed. It holds only shapes
// and text, refers only to patterns, and has no number that is NaN or infinite.
func TestDrawings(t *testing.T) {
	allowed := map[string]bool{}
	for name := range strings.FieldsSeq("all svg g title defs pattern circle rect line path text ul li span a p div table thead tbody tr th td") {
		allowed[name] = true
	}
	for name, drawing := range drawings() {
		d := xml.NewDecoder(strings.NewReader("<all>" + strings.ReplaceAll(string(drawing), "&#34;", "&quot;") + "</all>"))
		for {
			token, err := d.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Errorf("%s: %v in %.400s", name, err, drawing)
				break
			}
			start, ok := token.(xml.StartElement)
			if !ok {
				continue
			}
			if !allowed[start.Name.Local] {
				t.Errorf("%s has an element %s", name, start.Name.Local)
			}
			for _, a := range start.Attr {
				if key := a.Name.Local; strings.HasPrefix(key, "on") || key == "style" || key == "href" && (start.Name.Local != "a" || !strings.HasPrefix(a.Value, "?")) ||
					strings.Contains(a.Value, "url(") && !strings.HasPrefix(a.Value, "url(#") {
					t.Errorf("%s: attribute %s=%q", name, key, a.Value)
				} else if key != "aria-label" && key != "data-hover" && key != "href" && key != "title" && (strings.Contains(a.Value, "NaN") || strings.Contains(a.Value, "Inf")) {
					t.Errorf("%s: attribute %s=%q", name, key, a.Value)
				}
			}
		}
	}
}

func TestDrawingsSay(t *testing.T) {
	all := drawings()
	for name, wants := range map[string][]string{
		"lines":   {`role="img"`, "aria-label=", "30 Jan", "line open", "url(#gap)", "line beside"},
		"bands":   {"100%", "unfinished", "url(#hatch)", "url(#gap)", `class="texture"`},
		"columns": {"−2", "bar open", "url(#gap)", "axis"},
		"bars":    {"quiet-bar", `class="mark"`, `class="before"`, `<a href="?x=`},
		"heat":    {`class="h9 open"`, `class="none"`, `<a href="?x=`},
		// A single place is a bar with its value, and says that its day is not over.
		"lines, one": {`<ul class="bars"`, ">7<", "2026-01-30, in progress"},
		"shares":     {"75%", "half"},
		// The axis reaches the larger value of a line and of its earlier days.
		"lines, linked":       {">10<", `class="line before s0"`, `class="line before s1"`, "year before</li>", `a, year before`},
		"bands, linked":       {`<span class="unseen" role="img"`, `aria-hidden="true" class="chart`, `tabindex="-1"><path`, `<li><svg`, `class="line before rest"`},
		"columns, linked":     {`tabindex="-1"><rect`, ">80<", ">−20<", `class="line before rest"`, "year before</li>"},
		"heat, marked":        {`<th scope="row"><a href="?a">26 Jan</a> <span class="quiet" title="1.0 released`, `<a href="?a" tabindex="-1">1</a>`, `<a href="?b">2</a>`},
		"lines, one compared": {"5, year before", "2026-01-30 · 1.0 released"},
	} {
		for _, want := range wants {
			if !strings.Contains(string(all[name]), want) {
				t.Errorf("%s lacks %q: %.2000s", name, want, all[name])
			}
		}
	}
}

// Nothing is drawn over the marks.
func TestMarksAreOnTop(t *testing.T) {
	all := drawings()
	for name, shape := range map[string]string{"bands, linked": `class="band`, "columns, linked": `class="bar `, "lines, linked": `class="line `} {
		drawing, _, _ := strings.Cut(string(all[name]), "<ul") // before a legend
		if name == "columns, linked" {
			drawing = string(all[name])
		}
		if mark := strings.Index(drawing, `class="event"`); mark < 0 || mark < strings.LastIndex(drawing, shape) {
			t.Errorf("%s: a shape lies over the mark: %s", name, drawing)
		}
	}
}

func TestShort(t *testing.T) {
	for v, want := range map[float64]string{
		0: "0", 7: "7", 0.25: "0.2", 950: "950", 1000: "1k", 1234: "1.2k", 123_456: "123k", 34e6: "34M", 1.5e9: "1.5G", -1500: "−1.5k",
	} {
		if got := chart.Short(v); got != want {
			t.Errorf("%v: got %q, want %q", v, got, want)
		}
	}
	if got := chart.Short(math.Copysign(0, -1)); got != "0" {
		t.Errorf("minus zero: got %q", got)
	}
	if got := chart.Short(nan); got != "–" {
		t.Errorf("got %q", got)
	}
}
