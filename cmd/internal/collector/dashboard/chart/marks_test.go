package chart_test

import (
	"strings"
	"testing"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector/dashboard/chart"
)

// Marks stand at their days, or in the week that their day belongs to.
func TestMarks(t *testing.T) {
	marks := []chart.Mark{
		{Day: "2026-05-05", Release: true, Text: "0.9 released", Short: "0.9"},
		{Day: "2026-05-06", Release: true, Text: "1.0 first seen", Short: "1.0"},
		{Day: "2026-05-08", Text: "<b>talk</b>"}, {Day: "2026-05-08", Text: "mirror"},
		{Day: "2026-05-15", Text: "too late"}, {Day: "tomorrow", Text: "no day"},
	}
	draw := func(labels ...string) string {
		var l chart.Lines
		l.Series = []chart.Series{{Name: "a", Values: make([]float64, len(labels))}}
		for _, label := range labels {
			l.Add(label, false, false)
		}
		return string(l.Marked(marks).Draw())
	}
	for _, tt := range []struct {
		what   string
		labels []string
		want   []string // texts at their places, as the script gets them
	}{
		{"days", []string{"2026-05-06", "2026-05-07", "2026-05-08"}, []string{`"0":"1.0 first seen"`, `"2":"\u003cb\u003etalk\u003c/b\u003e\nmirror"`}},
		{"weeks", []string{"2026-05-01", "2026-05-08"}, []string{`"0":"0.9 released\n1.0 first seen"`, `"1":"\u003cb\u003etalk\u003c/b\u003e\nmirror"`}},
		{"no days", []string{"0", "1", "2"}, nil},
	} {
		got := draw(tt.labels...)
		if n := strings.Count(got, `<g class="event`); n != len(tt.want) {
			t.Errorf("%s: got %d marks, want %d", tt.what, n, len(tt.want))
		}
		for _, want := range tt.want {
			if !strings.Contains(got, strings.NewReplacer(`"`, "&#34;", `\u003c`, `\u003c`).Replace(want)) {
				t.Errorf("%s: %s is missing in %s", tt.what, want, got)
			}
		}
		if strings.Contains(got, "<b>") || strings.Contains(got, "too late") || strings.Contains(got, "no day") {
			t.Errorf("%s: got %s", tt.what, got)
		}
	}
	var c chart.Columns
	c.Series = []chart.Series{{Name: "a", Values: []float64{1}}}
	c.Add("2026-05-06", false, false)
	if got := string(c.Marked(marks).Draw()); strings.Count(got, `<g class="event`) != 1 || !strings.Contains(got, `<line x1="50%" x2="50%"`) {
		t.Errorf("columns: got %s", got)
	}
}
