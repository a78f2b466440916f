package chart

import (
	"fmt"
	"html/template"
)

// A HeatCell is one cell of [Heat].
type HeatCell struct {
	Share float64 // from 0 to 1; picks the colour
	Text  string  // in the cell; empty for none
	Title string  // shown at the pointer
	Open  bool    // unfinished
	None  bool    // unknown or hidden
}

// A HeatRow is one row of [Heat].
type HeatRow struct {
	Name  string
	Size  string
	Cells []HeatCell
}

// Heat draws a cell for each row and column: the stronger its colour, the
// larger its share.
type Heat struct {
	Text    Text
	Columns []string
	Rows    []HeatRow
	// SizeHead is the heading of the sizes; empty for none.
	SizeHead string
}

// Draw draws the chart. The style sheet hides the texts of narrow cells.
func (h Heat) Draw() template.HTML {
	const row = 26.0
	columns := max(len(h.Columns), 6)
	class := "heat"
	switch {
	case columns > 30:
		class += " many"
	case columns > 16:
		class += " more"
	case columns > 8:
		class += " some"
	}
	d := newDrawing(class, row*float64(len(h.Rows)+1), h.Text, nil)
	if h.SizeHead != "" {
		d.text(0, -10, 16, "label end", h.SizeHead)
	}
	w := 100 / float64(columns)
	every := 1
	for len(h.Columns)/every > 30 {
		every++
	}
	for i, name := range h.Columns {
		if i%every == 0 {
			extra := ""
			if i%(2*every) != 0 && columns > 8 {
				extra = " minor"
			}
			d.text(w*(float64(i)+.5), 0, 16, "label middle"+extra, name)
		}
	}
	for r, line := range h.Rows {
		y := row * float64(r+1)
		d.f(`<text y="%s" class="name row-name">%s</text>`, num(y+17), esc(shortDay(line.Name)))
		d.text(0, -10, y+17, "value end", line.Size)
		for i, c := range line.Cells {
			h.cell(d, w*float64(i), y, w, row, c)
		}
	}
	return d.end()
}

func (h Heat) cell(d *drawing, x, y, w, row float64, c HeatCell) {
	step := int(min(max(c.Share, 0), 1) * 9.999)
	class, textClass := fmt.Sprintf("cell h%d", step), fmt.Sprintf("on-cell i%d middle", step)
	if c.None {
		class, textClass = "cell none", "on-cell none middle"
	}
	d.rect(x+.1, y+1, w-.2, row-2, class, "", c.Title)
	if c.Open {
		d.rect(x+.1, y+1, w-.2, row-2, "unfinished-cell", "gap", c.Title)
	}
	d.text(x+w/2, 0, y+17, textClass, c.Text)
}
