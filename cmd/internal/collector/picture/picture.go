// Package picture draws public figures for other sites: charts as SVG, for a
// README, and a card as PNG, which sites show beside a link.
//
// A picture holds all that it needs: it loads no font, no style, and no script.
package picture

import (
	"fmt"
	"html"
	"math"
	"strings"
)

// A Theme is the colours of a picture.
type Theme string

// The themes.
const (
	Light Theme = "light"
	Dark  Theme = "dark"
	Auto  Theme = "auto" // as the reader's system is set
)

// The bounds of a chart, in pixels.
const (
	MinWidth, MaxWidth   = 240, 1600
	MinHeight, MaxHeight = 120, 900
)

// MaxBars bounds the bars of a chart.
const MaxBars = 13

// A Chart is one figure and what it is made of.
type Chart struct {
	// App is the name of the app, and Key its key, which is ASCII.
	App, Key string
	// Title says what is counted, and Note when.
	Title, Note string
	// Value is the figure, or what replaces it.
	Value string
	// Bars are at most MaxBars. Over time they stand beside one another; otherwise
	// they lie below one another.
	Bars     []Bar
	OverTime bool
}

// A Bar is one part of a chart.
type Bar struct {
	Name string
	// Value is a number over time, and otherwise a share from 0 to 1.
	Value float64
	Text  string // what Value is, for people
	// Hidden means that there is a value, which the public does not see.
	Hidden bool
}

// label returns what assistive technology reads of a chart.
func (c Chart) label() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s of %s: %s, %s", c.Title, c.App, c.Value, c.Note)
	for _, bar := range c.Bars {
		fmt.Fprintf(&b, "; %s: %s", bar.Name, bar.Text)
	}
	return b.String()
}

func (c Chart) most() float64 {
	most := 0.0
	for _, bar := range c.Bars {
		most = max(most, bar.Value)
	}
	return most
}

// A palette has the colours of a theme: background, text, quiet text, bars, lines.
type palette struct{ back, text, quiet, bar, rule string }

var palettes = map[Theme]palette{
	Light: {"#ffffff", "#18202b", "#556072", "#0b6e99", "#dfe3ea"},
	Dark:  {"#181e26", "#e7ebf1", "#a5b0bf", "#62b6dc", "#2d3641"},
}

func (p palette) style() string {
	return fmt.Sprintf(".k{fill:%s;stroke:%s}.t{fill:%s}.q{fill:%s}.b{fill:%s}.r{fill:%s}.h{fill:none;stroke:%s;stroke-dasharray:3 3}",
		p.back, p.rule, p.text, p.quiet, p.bar, p.rule, p.quiet)
}

func (t Theme) style() string {
	if t == Auto {
		return palettes[Light].style() + "@media(prefers-color-scheme:dark){" + palettes[Dark].style() + "}"
	}
	return palettes[t].style()
}

// Places of the parts of a chart, in pixels.
const (
	margin    = 16
	head      = 74 // of title, figure, and note
	foot      = 26 // of the names below columns
	rowHeight = 24
	// letter is about the width of a letter of 12 pixels.
	letter = 6.6
)

// SVG draws a chart of a size within the bounds.
func SVG(c Chart, theme Theme, width, height int) []byte {
	var b strings.Builder
	label := esc(c.label())
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %[1]d %[2]d" role="img" aria-label="%s">`, width, height, label)
	fmt.Fprintf(&b, `<title>%s</title><style>text{font:12px system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans","DejaVu Sans",sans-serif}%s</style>`, label, theme.style())
	fmt.Fprintf(&b, `<rect class="k" x=".5" y=".5" width="%d" height="%d" rx="10"/>`, width-1, height-1)
	text := func(x, y float64, class, style, text string) {
		fmt.Fprintf(&b, `<text x="%s" y="%s" class="%s"%s>%s</text>`, num(x), num(y), class, style, esc(text))
	}
	room := float64(width - 2*margin)
	cut := func(text string, size float64) string { return Cut(text, int(size/letter)) }
	text(margin, 24, "q", "", cut(c.App+" · "+c.Title, room))
	text(margin, 52, "t", ` style="font-size:26px;font-weight:650"`, Cut(c.Value, int(room/15)))
	text(margin, 68, "q", ` style="font-size:11px"`, cut(c.Note, room))
	if c.OverTime {
		c.columns(&b, text, room, float64(height))
	} else {
		c.rows(&b, text, room, float64(height))
	}
	b.WriteString("</svg>\n")
	return []byte(b.String())
}

type textFunc func(x, y float64, class, style, text string)

const middle, end = ` text-anchor="middle"`, ` text-anchor="end"`

func (c Chart) columns(b *strings.Builder, text textFunc, room, height float64) {
	top, bottom := float64(head+16), height-foot
	fmt.Fprintf(b, `<rect class="r" x="%d" y="%s" width="%s" height="1"/>`, margin, num(bottom), num(room))
	if len(c.Bars) == 0 || bottom-top < 10 {
		return
	}
	step := room / float64(max(len(c.Bars), 4))
	most, wide := c.most(), min(step*.7, 56)
	names := int(math.Ceil(60 / step)) // columns from one name to the next
	for i, bar := range c.Bars {
		x := margin + step*(float64(i)+.5)
		size := 0.0
		if most > 0 {
			size = (bottom - top) * bar.Value / most
		}
		class := "b"
		if bar.Hidden {
			class, size = "h", 8
		}
		if bar.Value > 0 || bar.Hidden {
			fmt.Fprintf(b, `<rect class="%s" x="%s" y="%s" width="%s" height="%s" rx="3"><title>%s</title></rect>`,
				class, num(x-wide/2), num(bottom-max(size, 1)), num(wide), num(max(size, 1)), esc(bar.Name+": "+bar.Text))
		}
		if float64(len([]rune(bar.Text)))*letter < step {
			text(x, bottom-max(size, 1)-5, "q", middle, bar.Text)
		}
		if (len(c.Bars)-1-i)%names == 0 {
			text(x, height-9, "q", middle, bar.Name)
		}
	}
}

func (c Chart) rows(b *strings.Builder, text textFunc, room, height float64) {
	name := min(room*.35, 180)
	for i, bar := range c.Bars {
		y := head + 8 + rowHeight*float64(i)
		if y+rowHeight > height-4 {
			return
		}
		text(margin, y+15, "t", "", Cut(bar.Name, int(name/letter)))
		track := room - name - 64
		fmt.Fprintf(b, `<rect class="r" x="%s" y="%s" width="%s" height="10" rx="5"/>`, num(margin+name), num(y+6), num(track))
		if bar.Value > 0 {
			fmt.Fprintf(b, `<rect class="b" x="%s" y="%s" width="%s" height="10" rx="5"/>`, num(margin+name), num(y+6), num(max(3, track*min(1, bar.Value))))
		}
		text(margin+room, y+15, "q", end, bar.Text)
	}
}

func num(v float64) string { return strings.TrimSuffix(fmt.Sprintf("%.1f", v), ".0") }

// Cut shortens a text to a number of characters, at least 2.
func Cut(text string, most int) string {
	runes, most := []rune(text), max(most, 2)
	if len(runes) <= most {
		return text
	}
	return string(runes[:most-1]) + "…"
}

// esc escapes markup and replaces what XML cannot hold.
func esc(text string) string {
	return html.EscapeString(strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || r == 0xfffe || r == 0xffff {
			return '\ufffd'
		}
		return r
	}, strings.ToValidUTF8(text, "\ufffd")))
}
