package control

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
)

// An archiveLine is a line of an archive of totals, which is JSON lines. The first
// line has the header's fields, and the last line has Records, their number, which
// proves that the archive is complete.
type archiveLine struct {
	Archive string `json:"archive,omitempty"` // archiveName
	Version int    `json:"version,omitempty"`
	App     string `json:"app,omitempty"`

	Kind string          `json:"kind,omitempty"`
	Day  *collector.Day  `json:"day,omitempty"`
	Name string          `json:"name,omitempty"`
	Data json.RawMessage `json:"data,omitempty"`

	Records *int `json:"records,omitempty"`
}

const (
	archiveName    = "rollcall totals"
	archiveVersion = 1
	// maxArchiveLine bounds one line: a record with its key.
	maxArchiveLine = collector.MaxTotalBytes + 64<<10
)

func (s *Server) exportTotals(w http.ResponseWriter, r *http.Request) {
	app, err := s.app(r)
	if err != nil {
		fail(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/jsonl")
	out := bufio.NewWriter(w)
	lines := json.NewEncoder(out)
	lines.SetEscapeHTML(false)
	_ = lines.Encode(archiveLine{Archive: archiveName, Version: archiveVersion, App: app.Key})
	count := 0
	for record, err := range s.dir.Collector.ExportTotals(r.Context(), app.Num) {
		if err != nil {
			panic(http.ErrAbortHandler) // the client notices the broken connection
		}
		line := archiveLine{Kind: record.Kind, Name: record.Name, Data: record.Data}
		if record.Day != 0 {
			line.Day = &record.Day
		}
		_ = lines.Encode(line)
		count++
	}
	_ = lines.Encode(archiveLine{Records: &count})
	_ = out.Flush()
}

// Imported is the result of an import.
type Imported struct {
	Days int           `json:"days"`
	From collector.Day `json:"from"`
	To   collector.Day `json:"to"`
}

func (s *Server) importTotals(r *http.Request) (Imported, error) {
	app, err := s.app(r)
	if err != nil {
		return Imported{}, err
	}
	span, days, err := s.dir.Collector.ImportTotals(r.Context(), app.Num, readArchive(r.Body))
	return Imported{days, span.From, span.To}, err
}

// readArchive yields the records of an archive. An archive that is cut short
// ends in an error, so trust no record before the iteration ends without one.
func readArchive(in io.Reader) iter.Seq2[collector.Record, error] {
	return func(yield func(collector.Record, error) bool) {
		number, count, ended := 0, 0, false
		bad := func(format string, args ...any) {
			text := fmt.Sprintf(format, args...)
			yield(collector.Record{}, fmt.Errorf("%w: line %d: %s", collector.ErrArchive, number, text))
		}
		lines := bufio.NewScanner(in)
		lines.Buffer(nil, maxArchiveLine)
		for lines.Scan() {
			number++
			var line archiveLine
			err := json.Unmarshal(lines.Bytes(), &line)
			switch {
			case number == 1 && (err != nil || line.Archive != archiveName):
				bad("not an export of totals as JSON lines")
				return
			case number == 1 && line.Version != archiveVersion:
				bad("written by a newer version of this program")
				return
			case number == 1:
				continue
			case ended:
				bad("data after the end")
				return
			case err != nil || line.Kind == "" && line.Records == nil:
				bad("not a record")
				return
			case line.Records != nil && *line.Records != count:
				bad("%d records are missing", *line.Records-count)
				return
			case line.Records != nil:
				ended = true
				continue
			}
			count++
			key := collector.RecordKey{Kind: line.Kind, Name: line.Name}
			if line.Day != nil {
				key.Day = *line.Day
			}
			if !yield(collector.Record{RecordKey: key, Data: line.Data}, nil) {
				return
			}
		}
		number++
		switch err := lines.Err(); {
		case errors.Is(err, bufio.ErrTooLong):
			bad("longer than %d bytes", maxArchiveLine)
		case err != nil:
			yield(collector.Record{}, fmt.Errorf("read archive: %w", err))
		case !ended:
			bad("the archive is incomplete")
		}
	}
}
