package chart

import (
	"fmt"
	"html/template"
)

// A HeatCell is one cell of [Heat].
type HeatCell struct {
	Share float64 // 0 to 1
	Text  string  // what stands in it; empty for none
	Title string
	Open  bool // not over
	None  bool // nothing is known
}

// A HeatRow is one row of [Heat].
type HeatRow struct {
	Name  string
	Size  string
	Cells []HeatCell
}

// Heat draws a triangle of cohorts: the darker, the more are left.
type Heat struct {
	Text    Text
	Columns []string
	Rows    []HeatRow
	// SizeHead stands above the sizes.
	SizeHead string
}

// Draw draws the chart for a width; columns that do not fit are left out.
func (h Heat) Draw(width float64) template.HTML {
	const row = 24.0
	names, sizes := 82.0, 52.0
	if width <= Narrow {
		sizes = 40
	}
	cell := max(32.0, min(46, (width-names-sizes)/float64(max(1, len(h.Columns)))))
	columns := min(len(h.Columns), int((width-names-sizes)/cell))
	d := newDrawing(width, row*float64(len(h.Rows)+1)+2, h.Text)
	d.text(names+sizes-6, 15, "label", "end", h.SizeHead)
	for i := range columns {
		d.text(names+sizes+cell*(float64(i)+.5), 15, "label", "middle", h.Columns[i])
	}
	for r, line := range h.Rows {
		y := row * float64(r+1)
		d.text(0, y+16, "name", "start", line.Name)
		d.text(names+sizes-6, y+16, "value", "end", line.Size)
		for i, c := range line.Cells {
			if i >= columns {
				break
			}
			x := names + sizes + cell*float64(i)
			class := fmt.Sprintf("heat h%d", int(min(max(c.Share, 0), 1)*9.999))
			if c.None {
				class = "heat none"
			}
			if c.Open {
				class += " open"
			}
			d.rect(x+1, y+1, cell-2, row-2, class, c.Title)
			d.text(x+cell/2, y+16, fmt.Sprintf("cell i%d", int(min(max(c.Share, 0), 1)*9.999)), "middle", c.Text)
		}
	}
	return d.end()
}

// Spark draws a small line without axes.
func Spark(values []float64, text Text) template.HTML {
	const width, height = 120.0, 32.0
	d := newDrawing(width, height, text)
	most := 0.0
	for _, v := range values {
		if v > most {
			most = v
		}
	}
	p := plot{left: 3, right: width - 5, top: 4, bottom: height - 4, most: max(most, 1), places: len(values)}
	if solid, _ := p.path(values, 0); solid != "" {
		d.f(`<path d="%s" class="line s0"/>`, solid)
	}
	if i := last(values); i >= 0 {
		d.marker(p.x(i), p.y(values[i]), 0)
	}
	return d.end()
}
