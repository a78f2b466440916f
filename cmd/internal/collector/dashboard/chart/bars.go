package chart

import "html/template"

// A Bar is one value of [Bars].
type Bar struct {
	Name  string
	Value float64 // NaN is hidden and has no bar
	Note  string  // at the right
	// Mark is a short word before the name, such as "new"; empty for none.
	Mark string
	// Quiet sets the bar apart from the others, as one for the rest.
	Quiet bool
}

// Bars draws a bar for each value, one below the other, with its name above.
type Bars struct {
	Text Text
	Bars []Bar
	// Most is the length of the axis; 0 means the largest value.
	Most float64
}

// Draw draws the chart.
func (b Bars) Draw() template.HTML {
	const row, nameLength = 38.0, 38
	d := newDrawing("bars", row*float64(max(1, len(b.Bars))), b.Text, nil)
	most := b.Most
	if most == 0 {
		for _, bar := range b.Bars {
			if bar.Value > most {
				most = bar.Value
			}
		}
	}
	for i, bar := range b.Bars {
		y := row * float64(i)
		name := Cut(bar.Name, nameLength)
		if bar.Mark != "" {
			d.f(`<text x="0" y="%s" class="name"><tspan class="mark">%s</tspan> %s</text>`, num(y+14), esc(bar.Mark), esc(name))
		} else {
			d.text(0, 0, y+14, "name", name)
		}
		d.text(100, 0, y+14, "value end", bar.Note)
		d.rect(0, y+20, 100, 9, "track", "", "")
		if bar.Value > 0 && most > 0 {
			class := "bar s0"
			if bar.Quiet {
				class = "bar quiet-bar"
			}
			d.rect(0, y+20, max(100*bar.Value/most, .4), 9, class, "", bar.Name+": "+bar.Note)
		}
	}
	return d.end()
}
