// Package table writes tables of figures as CSV and JSON.
package table

import (
	"bytes"
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// A Table has columns and rows. A cell is a string, a number, a boolean, or
// anything that marshals to one of these or to null in JSON. A cell that is
// nil, null, or not a number is unknown: empty in CSV, and null in JSON.
type Table struct {
	Columns []string
	Rows    [][]any
}

// New returns a table without rows.
func New(columns ...string) *Table { return &Table{Columns: columns} }

// Add appends a row, which has a cell for each column.
func (t *Table) Add(cells ...any) { t.Rows = append(t.Rows, cells) }

// CSV returns the table with a row of column names, as of RFC 4180. Its texts
// are safe to open in a spreadsheet; see [field]. But a spreadsheet can change
// them: it takes the version 1.2.3 for a date, and 1.10 for 1.1.
func (t *Table) CSV() []byte { return t.csv(field) }

// Spreadsheet returns the table as CSV that a spreadsheet shows unchanged: each
// text is a formula that has the text as its value, such as ="1.10". The byte
// order mark at the beginning makes Excel read it as UTF-8.
func (t *Table) Spreadsheet() []byte {
	return append([]byte("\ufeff"), t.csv(func(text string) string {
		if text == "" {
			return ""
		}
		text = strings.Map(func(r rune) rune {
			if unicode.IsControl(r) {
				return unicode.ReplacementChar
			}
			return r
		}, text)
		formula := `="` + strings.ReplaceAll(text, `"`, `""`) + `"`
		return `"` + strings.ReplaceAll(formula, `"`, `""`) + `"`
	})...)
}

// csv writes a table whose texts are written by text.
func (t *Table) csv(text func(string) string) []byte {
	var b bytes.Buffer
	var columns []any
	for _, name := range t.Columns {
		columns = append(columns, name)
	}
	for _, row := range slices.Concat([][]any{columns}, t.Rows) {
		for i, value := range row {
			if i > 0 {
				b.WriteByte(',')
			}
			b.WriteString(cell(value, text))
		}
		b.WriteString("\r\n")
	}
	return b.Bytes()
}

func cell(value any, field func(string) string) string {
	if text, ok := value.(string); ok {
		return field(text)
	}
	data := marshal(value)
	var text string
	switch {
	case string(data) == "null":
		return ""
	case json.Unmarshal(data, &text) == nil:
		if _, err := time.Parse(time.DateOnly, text); err == nil {
			return text // a spreadsheet may know a day for what it is
		}
		return field(text)
	}
	if number, ok := value.(float64); ok {
		return strconv.FormatFloat(number, 'f', -1, 64) // JSON has exponents
	}
	return string(data)
}

// field returns a text as it stands in CSV. Spreadsheets run a text that
// begins in certain ways as a formula, so such a text gets an apostrophe in
// front. Some spreadsheets split at semicolons and tabs, so these are quoted
// too. Control characters that quotes cannot hold are replaced.
func field(text string) string {
	if text != "" && strings.ContainsRune("=+-@\t\r\n", rune(text[0])) {
		text = "'" + text
	}
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && !strings.ContainsRune("\t\r\n", r) {
			return unicode.ReplacementChar
		}
		return r
	}, text)
	if strings.ContainsAny(text, "\",;\t\r\n") {
		return `"` + strings.ReplaceAll(text, `"`, `""`) + `"`
	}
	return text
}

func marshal(value any) []byte {
	if number, ok := value.(float64); ok && (math.IsNaN(number) || math.IsInf(number, 0)) {
		value = nil
	}
	data, err := json.Marshal(value)
	if err != nil {
		return []byte("null")
	}
	return data
}

// JSONLines returns one JSON object a line for each row.
func (t *Table) JSONLines() []byte {
	var b bytes.Buffer
	for _, row := range t.Rows {
		t.object(&b, row)
		b.WriteByte('\n')
	}
	return b.Bytes()
}

// MarshalJSON returns an array of one object for each row.
func (t *Table) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('[')
	for i, row := range t.Rows {
		if i > 0 {
			b.WriteByte(',')
		}
		t.object(&b, row)
	}
	b.WriteByte(']')
	return b.Bytes(), nil
}

func (t *Table) object(b *bytes.Buffer, row []any) {
	b.WriteByte('{')
	for i, cell := range row {
		if i > 0 {
			b.WriteByte(',')
		}
		b.Write(marshal(t.Columns[i]))
		b.WriteByte(':')
		b.Write(marshal(cell))
	}
	b.WriteByte('}')
}
