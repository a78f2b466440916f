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
		"bars":            chart.Bars{Text: text, Bars: []chart.Bar{{Name: evil, Value: 2, Note: evil, Mark: evil}, {Name: "hidden", Value: nan}, {Name: "", Value: 0, Quiet: true}}}.Draw(),
		"bars, none":      chart.Bars{}.Draw(),
		"heat": chart.Heat{Text: text, Columns: []string{evil, "1"}, SizeHead: evil, Rows: []chart.HeatRow{
			{Name: evil, Size: evil, Cells: []chart.HeatCell{{Share: 7, Text: evil, Title: evil, Open: true}, {None: true, Share: -1}}},
		}}.Draw(),
		"heat, none": chart.Heat{}.Draw(),
		"heat, wide": chart.Heat{Columns: make([]string, 60), Rows: []chart.HeatRow{{Cells: make([]chart.HeatCell, 60)}}}.Draw(),
		"spark":      chart.Spark([]float64{1, nan, 2}),
		"sparks":     chart.Spark(nil),
		"patterns":   chart.Patterns,
	}
}

// Whatever the names and numbers, a drawing is well-formed. It holds only shapes
// and text, refers only to patterns, and has no number that is NaN or infinite.
func TestDrawings(t *testing.T) {
	allowed := map[string]bool{}
	for name := range strings.FieldsSeq("all svg g defs pattern circle rect line path text tspan title ul li") {
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
				if key := a.Name.Local; strings.HasPrefix(key, "on") || key == "style" || key == "href" ||
					strings.Contains(a.Value, "url(") && !strings.HasPrefix(a.Value, "url(#") {
					t.Errorf("%s: attribute %s=%q", name, key, a.Value)
				} else if key != "aria-label" && key != "data-hover" && (strings.Contains(a.Value, "NaN") || strings.Contains(a.Value, "Inf")) {
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
		"bands":   {"100%", "unfinished", "url(#hatch)", "url(#gap)"},
		"columns": {"−2", "bar open", "url(#gap)", "axis"},
		"bars":    {"quiet-bar", "track", `class="mark"`},
		"heat":    {"h9", "unfinished-cell", "none"},
		"shares":  {"75%", "half"},
	} {
		for _, want := range wants {
			if name == "bars" && want == "quiet-bar" {
				continue // a bar of length 0 is not drawn
			}
			if !strings.Contains(string(all[name]), want) {
				t.Errorf("%s lacks %q: %.2000s", name, want, all[name])
			}
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
