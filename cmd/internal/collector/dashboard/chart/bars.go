package chart

import (
	"fmt"
	"html/template"
	"strings"
)

// A Bar is one value of [Bars].
type Bar struct {
	Name  string
	Value float64 // NaN is hidden and has no bar
	Note  string  // at the right
	// Mark is a short word before the name, such as "new"; empty for none.
	Mark string
	// Quiet sets the bar apart from the others, and Rest says that it adds up others.
	Quiet, Rest bool
	// URL is where the bar leads to; empty for nowhere.
	URL string
	// Before is the value that this one is compared with, and BeforeNote stands at
	// its right. Without a note there is no such bar.
	Before     float64
	BeforeNote string
}

// Bars draws a bar for each value, one below the other, behind its name. It is a
// list, so names can be selected, wrap, and lead somewhere.
type Bars struct {
	Text Text
	Bars []Bar
	// Most is the length of the axis; 0 means the largest value.
	Most float64
}

// Draw draws the chart.
func (b Bars) Draw() template.HTML {
	most := b.Most
	for _, bar := range b.Bars {
		if b.Most == 0 {
			most = max(orZero(bar.Value), orZero(bar.Before), most)
		}
	}
	var s strings.Builder
	class := "bars"
	if len(b.Bars) > 12 {
		class += " many"
	}
	fmt.Fprintf(&s, `<ul class="%s" aria-label="%s">`, class, esc(strings.TrimSpace(b.Text.Title+". "+b.Text.Desc)))
	for _, bar := range b.Bars {
		bar.draw(&s, most)
	}
	s.WriteString("</ul>")
	return template.HTML(s.String())
}

func (bar Bar) draw(s *strings.Builder, most float64) {
	class := "row-bar"
	if bar.Quiet || bar.Rest {
		class += " quiet-bar"
	}
	fmt.Fprintf(s, `<li class="%s">`, class)
	length(s, bar.Value, most)
	name := esc(bar.Name)
	if bar.URL != "" {
		name = `<a href="` + esc(bar.URL) + `">` + name + `</a>`
	}
	if bar.Mark != "" {
		name = `<span class="mark">` + esc(bar.Mark) + `</span> ` + name
	}
	fmt.Fprintf(s, `<span class="name">%s</span><span class="value">%s</span>`, name, esc(bar.Note))
	if bar.BeforeNote != "" {
		s.WriteString(`<span class="before">`)
		length(s, bar.Before, most)
		fmt.Fprintf(s, `<span class="value">%s</span></span>`, esc(bar.BeforeNote))
	}
	s.WriteString("</li>")
}

// length draws a bar behind a text.
func length(s *strings.Builder, value, most float64) {
	if value > 0 && most > 0 {
		fmt.Fprintf(s, `<svg aria-hidden="true"><rect width="%s%%" height="100%%" rx="4"/></svg>`, num(max(100*value/most, .4)))
	}
}

// orZero returns a value, or 0 for NaN.
func orZero(v float64) float64 {
	if v > 0 {
		return v
	}
	return 0
}
