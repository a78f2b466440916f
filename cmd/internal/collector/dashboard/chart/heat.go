package chart

import (
	"cmp"
	"fmt"
	"html/template"
	"strings"
)

// A HeatCell is one cell of [Heat].
type HeatCell struct {
	Share float64 // from 0 to 1; picks the colour
	Text  string  // in the cell; empty for none
	Title string  // shown at the pointer
	URL   string  // where it leads to; empty for nowhere
	Open  bool    // unfinished
	None  bool    // unknown or hidden
}

// A HeatRow is one row of [Heat].
type HeatRow struct {
	Name  string
	Size  string
	Day   string // the first day of the row, if rows are days, weeks, or months
	URL   string // where its name leads to; empty for nowhere
	Cells []HeatCell
}

// Heat draws a table with a cell for each row and column: the stronger its
// colour, the larger its share. It scrolls where it is too wide.
type Heat struct {
	Text    Text
	Columns []string
	Rows    []HeatRow
	// Corner is the heading of the names of rows, and SizeHead that of the sizes;
	// empty for none.
	Corner, SizeHead string
	Marks            []Mark // at the rows of their days
}

// Draw draws the chart.
func (h Heat) Draw() template.HTML {
	var b strings.Builder
	label := esc(strings.TrimSpace(h.Text.Title + ". " + h.Text.Desc))
	fmt.Fprintf(&b, `<div class="scroll wide-table" tabindex="0" role="region" aria-label="%s"><table class="heat"><thead><tr>`, label)
	if h.Corner == "" {
		b.WriteString("<td></td>")
	} else {
		fmt.Fprintf(&b, `<th scope="col">%s</th>`, esc(h.Corner))
	}
	if h.SizeHead != "" {
		fmt.Fprintf(&b, `<th scope="col">%s</th>`, esc(h.SizeHead))
	}
	for _, name := range h.Columns {
		fmt.Fprintf(&b, `<th scope="col">%s</th>`, esc(name))
	}
	b.WriteString("</tr></thead><tbody>")
	marks := h.marks()
	for i, row := range h.Rows {
		name := esc(shortDay(row.Name, false))
		if row.URL != "" {
			name = `<a href="` + esc(row.URL) + `">` + name + `</a>`
		}
		if m := marks[i]; len(m.marks) > 0 {
			name += fmt.Sprintf(` <span class="quiet" title="%s">%s</span>`, esc(m.text()), esc(cmp.Or(m.short(), "⚑")))
		}
		fmt.Fprintf(&b, `<tr><th scope="row">%s</th>`, name)
		if h.SizeHead != "" {
			fmt.Fprintf(&b, `<td class="size">%s</td>`, esc(row.Size))
		}
		for _, c := range row.Cells {
			c.draw(&b, row.URL)
		}
		if blank := len(h.Columns) - len(row.Cells); blank > 0 {
			fmt.Fprintf(&b, `<td colspan="%d"></td>`, blank)
		}
		b.WriteString("</tr>")
	}
	b.WriteString("</tbody></table></div>")
	return template.HTML(b.String())
}

// marks returns the marks by row.
func (h Heat) marks() map[int]markedPlace {
	axis := Axis{Marks: h.Marks}
	for _, row := range h.Rows {
		axis.Labels = append(axis.Labels, row.Day)
	}
	marks := make(map[int]markedPlace)
	for _, m := range axis.marked() {
		marks[m.place] = m
	}
	return marks
}

// draw draws a cell. A cell with the link of its row's name is no further stop
// for the keyboard.
func (c HeatCell) draw(b *strings.Builder, row string) {
	class := fmt.Sprintf("h%d", int(min(max(c.Share, 0), 1)*9.999))
	if c.None {
		class = "none"
	}
	if c.Open {
		class += " open"
	}
	fmt.Fprintf(b, `<td class="%s"`, class)
	if c.Title != "" {
		fmt.Fprintf(b, ` title="%s"`, esc(c.Title))
	}
	text := esc(c.Text)
	if c.URL != "" {
		stop := ""
		if c.URL == row {
			stop = ` tabindex="-1"`
		}
		text = `<a href="` + esc(c.URL) + `"` + stop + `>` + text + `</a>`
	}
	b.WriteString(">" + text + "</td>")
}
