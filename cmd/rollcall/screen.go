package main

import (
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/rollcall-dev/rollcall"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"
)

const (
	// helpWidth is the width of help that is not written to a terminal, and the
	// greatest width of its texts: longer lines are hard to read.
	helpWidth = 80
	// maxFlagsWidth is the greatest width of the table of flags.
	maxFlagsWidth = 120
	// minWidth is the narrowest column that text is wrapped to.
	minWidth = 24
)

// terminalWidth returns the columns of the terminal that w writes to, or 0 if
// w is no terminal.
func terminalWidth(w io.Writer) int {
	file, ok := w.(*os.File)
	if !ok {
		return 0
	}
	width, _, err := term.GetSize(int(file.Fd()))
	if err != nil {
		return 0
	}
	return width
}

// fitHelp wraps the help of root and of its commands to the terminal that out
// writes to.
func fitHelp(root *cobra.Command, out io.Writer) {
	width := helpWidth
	if columns := terminalWidth(out); columns > 0 {
		width = min(max(columns, 2*minWidth), maxFlagsWidth)
	}
	root.SetUsageTemplate(flagsInTemplate.ReplaceAllString(root.UsageTemplate(), fmt.Sprintf("flagUsages $1 %d", width)))
	var reflow func(*cobra.Command)
	reflow = func(cmd *cobra.Command) {
		cmd.Long = wrap(cmd.Long, min(width, helpWidth))
		for _, sub := range cmd.Commands() {
			reflow(sub)
		}
	}
	reflow(root)
}

// flagsInTemplate matches what writes the flags in the template for help of the
// command line library.
var flagsInTemplate = regexp.MustCompile(`(\.\w+Flags)\.FlagUsages\b`)

func init() { cobra.AddTemplateFunc("flagUsages", flagUsages) }

// flagUsages returns the help of flags. The library does not wrap text with a word
// wider than the column, such as a long variable name.
func flagUsages(flags *pflag.FlagSet, width int) string {
	var out strings.Builder
	table := &columnTable{w: &out, width: width}
	for line := range strings.Lines(flags.FlagUsages()) {
		fmt.Fprintln(table, flagInHelp.ReplaceAllString(strings.TrimRight(line, "\n"), "$1\t$2"))
	}
	table.Flush()
	return out.String()
}

var flagInHelp = regexp.MustCompile(`^(\s+(?:-\w, )?--\S+(?: \S+)?) {2,}(.*)$`)

// wrap breaks lines between words so that they fit the width, in characters.
// Lines that follow each other without indentation are one paragraph. An
// indented line that is too long continues below its last column.
func wrap(text string, width int) string {
	var out, paragraph []string
	end := func() {
		out = append(out, breakLines("", strings.Join(paragraph, " "), width)...)
		paragraph = nil
	}
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, " \n")
		switch {
		case line != "" && line[0] != ' ':
			paragraph = append(paragraph, line)
		case utf8.RuneCountInString(line) <= width:
			end()
			out = append(out, line)
		default:
			end()
			before := lastColumn.FindString(line)
			out = append(out, breakLines(before, line[len(before):], width)...)
		}
	}
	end()
	return strings.Join(out, "\n")
}

// lastColumn matches what stands before the last column of an indented line.
var lastColumn = regexp.MustCompile(`^ +(?:.* {2,})?`)

// breakLines returns a text in lines of at most width characters. The first follows
// before, and the others are indented as far.
func breakLines(before, text string, width int) (lines []string) {
	line, empty := before, true
	for word := range strings.FieldsSeq(text) {
		if !empty && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > width {
			lines = append(lines, line)
			line, empty = strings.Repeat(" ", utf8.RuneCountInString(before)), true
		}
		if !empty {
			line += " "
		}
		line, empty = line+word, false
	}
	if empty {
		return lines
	}
	return append(lines, line)
}

// A columnTable aligns columns, which end with tabs, like [text/tabwriter]. On a
// terminal it wraps the last column, and may be colored.
type columnTable struct {
	w     io.Writer
	width int // 0 if w is no terminal
	text  strings.Builder
}

func newTable(w io.Writer) *columnTable { return &columnTable{w: w, width: terminalWidth(w)} }

func (t *columnTable) Write(p []byte) (int, error) { return t.text.Write(p) }

// Flush writes the table.
func (t *columnTable) Flush() error {
	const gap = 2
	var widths []int
	var rows [][]string
	for line := range strings.Lines(t.text.String()) {
		cells := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		rows = append(rows, cells)
		for i, cell := range cells[:len(cells)-1] {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], columns(cell)+gap)
		}
	}
	var out strings.Builder
	for _, cells := range rows {
		indent := 0
		for i, cell := range cells[:len(cells)-1] {
			out.WriteString(cell + strings.Repeat(" ", widths[i]-columns(cell)))
			indent += widths[i]
		}
		last := cells[len(cells)-1]
		if room := t.width - indent; t.width > 0 && columns(last) > room {
			if room < minWidth && len(cells) == 2 { // a line of its own has more room
				indent = min(indent, minWidth/2)
				room = t.width - indent
				last = "\n" + last
			}
			if room >= minWidth {
				last = strings.ReplaceAll(wrap(last, room), "\n", "\n"+strings.Repeat(" ", indent))
			}
		}
		out.WriteString(last + "\n")
	}
	t.text.Reset()
	_, err := io.WriteString(t.w, out.String())
	return err
}

// columns returns the columns that a text takes up, without its colors.
func columns(text string) int { return utf8.RuneCountInString(colors.ReplaceAllString(text, "")) }

var colors = regexp.MustCompile("\x1b\\[[0-9;]*m")

// A color is the number of an ANSI color.
type color int

const (
	red    color = 31
	green  color = 32
	yellow color = 33
)

// paint colors a text where w is a terminal that shows colors and NO_COLOR is
// not set; see https://no-color.org.
func paint(w io.Writer, c color, text string) string {
	file, ok := w.(*os.File)
	if !ok || text == "" || os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" || !term.IsTerminal(int(file.Fd())) || !showsColors(file) {
		return text
	}
	return fmt.Sprintf("\x1b[%dm%s\x1b[0m", c, text)
}

// paintYes colors a yes that is good and a no that is not.
func paintYes(w io.Writer, good bool) string {
	if good {
		return paint(w, green, "yes")
	}
	return paint(w, red, "no")
}

// colorOf returns the color of a level of a finding.
func colorOf(level rollcall.Level) color {
	switch level {
	case rollcall.LevelProblem:
		return red
	case rollcall.LevelWarning:
		return yellow
	default:
		return green
	}
}
