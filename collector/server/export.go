package server

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"

	"github.com/rollcall-dev/rollcall/collector"
)

// export gives the totals of a range day by day, as CSV or JSON lines. There is nothing of single installations in it.
func (s *Server) export(w http.ResponseWriter, r *http.Request) {
	q, app, ok := s.viewer(w, r, false)
	if !ok || !q.known(w, append([]string{"format"}, rangeParams...)) {
		return
	}
	format := q.text("format", "csv")
	if format != "csv" && format != "jsonl" {
		q.fail("format", "it is not csv or jsonl")
	}
	span := q.span()
	if q.err != nil {
		s.explain(w, q.err)
		return
	}
	if s.unchanged(w, r, app, q.view) {
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), queryWait)
	defer cancel()
	series, err := s.c.Series(ctx, q.app, span, q.view)
	if err != nil {
		s.explain(w, err)
		return
	}
	var body bytes.Buffer
	header := w.Header()
	header.Set("Content-Disposition", `attachment; filename="`+app.Key+"."+format+`"`)
	header.Set("X-Content-Type-Options", "nosniff")
	if format == "jsonl" {
		header.Set("Content-Type", "application/x-ndjson")
		encoder := json.NewEncoder(&body)
		for _, p := range series.Points {
			encoder.Encode(p)
		}
	} else {
		header.Set("Content-Type", "text/csv; charset=utf-8")
		writeCSV(&body, series.Points)
	}
	compressed(w, r, body.Bytes())
}

var columns = []string{
	"day", "open", "gap", "active_day", "active_7_days", "active_28_days", "active_30_days", "established_day", "established_7_days",
	"established_28_days", "established_30_days", "new", "returning", "lost", "forgotten", "in_memory", "excluded",
}

func writeCSV(body *bytes.Buffer, points []collector.SeriesPoint) {
	out := csv.NewWriter(body)
	out.Write(columns)
	for _, p := range points {
		a, e := p.Active, p.Established
		row := []string{p.Day.String(), strconv.FormatBool(p.Open), strconv.FormatBool(p.Gap)}
		for _, figure := range []collector.Figure{
			a.Day, a.Week, a.Days28, a.Days30, e.Day, e.Week, e.Days28, e.Days30,
			p.New, p.Returning, p.Lost, p.Forgotten, p.InMemory, p.Excluded,
		} {
			if figure == nil {
				row = append(row, "")
				continue
			}
			row = append(row, strconv.FormatUint(*figure, 10))
		}
		out.Write(row)
	}
	out.Flush()
}

// CSVText gives a text as it stands in a cell of a spreadsheet: one that would be taken for a formula gets a quote before
// it.
func CSVText(text string) string {
	if text != "" && strings.ContainsRune("=+-@\t\r\n", rune(text[0])) {
		return "'" + text
	}
	return text
}
