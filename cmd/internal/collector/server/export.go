package server

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/csvcell"
)

// export gives the answer to a question as a table: CSV, or one JSON object a line. "of" names the question, whose
// parameters apply; without it, it is the series. There is nothing of single installations in any of them.
func (s *Server) export(w http.ResponseWriter, r *http.Request) {
	of := r.URL.Query().Get("of")
	if of == "" {
		of = "series"
	}
	at := slices.IndexFunc(questions, func(q question) bool { return q.name == of })
	if at < 0 {
		refuse(w, http.StatusBadRequest, "parameter", "parameter of: it is none of "+strings.Join(questionNames(), ", "))
		return
	}
	asked := questions[at]
	q, app, ok := s.viewer(w, r, asked.private)
	if !ok || !q.known(w, append([]string{"of", "format"}, asked.params...)) {
		return
	}
	format := q.text("format", "csv")
	if format != "csv" && format != "jsonl" {
		q.fail("format", "it is not csv or jsonl")
		s.explain(w, q.err)
		return
	}
	if s.unchanged(w, r, app, q.view) {
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), queryWait)
	defer cancel()
	result, err := asked.ask(ctx, s.c, q)
	if q.err != nil {
		err = q.err
	}
	if err != nil {
		s.explain(w, err)
		return
	}
	header := w.Header()
	header.Set("Content-Disposition", `attachment; filename="`+app.Key+"-"+asked.name+"."+format+`"`)
	t := tableOf(result)
	if format == "jsonl" {
		header.Set("Content-Type", "application/x-ndjson")
		compressed(w, r, t.jsonLines())
		return
	}
	header.Set("Content-Type", "text/csv; charset=utf-8")
	compressed(w, r, t.csv())
}

func questionNames() (names []string) {
	for _, q := range questions {
		names = append(names, q.name)
	}
	return names
}

// csv gives the table in CSV (RFC 4180). Spreadsheets run texts that begin in certain ways as formulas, so that these
// get an apostrophe in front. What is hidden or unknown is empty.
func (t *table) csv() []byte {
	var b bytes.Buffer
	for i, name := range t.columns {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(csvField(name))
	}
	b.WriteString("\r\n")
	for _, row := range t.rows {
		for i, cell := range row {
			if i > 0 {
				b.WriteByte(',')
			}
			b.WriteString(csvCell(cell))
		}
		b.WriteString("\r\n")
	}
	return b.Bytes()
}

func csvCell(cell any) string {
	switch cell := cell.(type) {
	case nil:
		return ""
	case string:
		return csvField(cell)
	case collector.Day:
		return cell.String()
	}
	data, _ := json.Marshal(cell) // a number, a boolean, or null
	if string(data) == "null" {
		return ""
	}
	return string(data)
}

// csvField gives a text as a field of CSV.
func csvField(text string) string {
	text = csvcell.Text(text)
	if strings.ContainsAny(text, "\",;\t\r\n") {
		return `"` + strings.ReplaceAll(text, `"`, `""`) + `"`
	}
	return text
}

// jsonLines gives the table as one JSON object a line.
func (t *table) jsonLines() []byte {
	var b bytes.Buffer
	for _, row := range t.rows {
		b.WriteByte('{')
		for i, cell := range row {
			if i > 0 {
				b.WriteByte(',')
			}
			name, _ := json.Marshal(t.columns[i])
			value, _ := json.Marshal(cell) // texts, numbers, days, booleans and null
			b.Write(name)
			b.WriteByte(':')
			b.Write(value)
		}
		b.WriteString("}\n")
	}
	return b.Bytes()
}
