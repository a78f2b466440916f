package control

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
)

// An archive of totals is JSON lines: a header, the records, and a footer that
// proves that the archive is complete.
type archiveHeader struct {
	Archive string `json:"archive"` // archiveName
	Version int    `json:"version"`
	App     string `json:"app"`
}

type archiveRecord struct {
	Kind string          `json:"kind"`
	Day  *collector.Day  `json:"day,omitempty"`
	Name string          `json:"name,omitempty"`
	Data json.RawMessage `json:"data"`
}

type archiveFooter struct {
	Records *int `json:"records"`
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
	_ = lines.Encode(archiveHeader{archiveName, archiveVersion, app.Key})
	count := 0
	for record, err := range s.dir.Collector.ExportTotals(r.Context(), app.Num) {
		if err != nil {
			panic(http.ErrAbortHandler) // the client notices the broken connection
		}
		line := archiveRecord{Kind: record.Kind, Name: record.Name, Data: record.Data}
		if record.Day != 0 {
			line.Day = &record.Day
		}
		_ = lines.Encode(line)
		count++
	}
	_ = lines.Encode(archiveFooter{&count})
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
		bad := func(line int, format string, args ...any) {
			text := fmt.Sprintf(format, args...)
			yield(collector.Record{}, fmt.Errorf("%w: line %d: %s", collector.ErrArchive, line, text))
		}
		lines := bufio.NewScanner(in)
		lines.Buffer(nil, maxArchiveLine)
		for lines.Scan() {
			number++
			line := lines.Bytes()
			switch {
			case ended:
				bad(number, "data after the end")
				return
			case number == 1:
				var header archiveHeader
				if json.Unmarshal(line, &header) != nil || header.Archive != archiveName {
					bad(number, "not an export of totals as JSON lines")
					return
				}
				if header.Version != archiveVersion {
					bad(number, "written by a newer version of this program")
					return
				}
				continue
			}
			var footer archiveFooter
			if json.Unmarshal(line, &footer) == nil && footer.Records != nil {
				if *footer.Records != count {
					bad(number, "%d records are missing", *footer.Records-count)
					return
				}
				ended = true
				continue
			}
			var record archiveRecord
			if err := json.Unmarshal(line, &record); err != nil || record.Kind == "" {
				bad(number, "not a record")
				return
			}
			count++
			key := collector.RecordKey{Kind: record.Kind, Name: record.Name}
			if record.Day != nil {
				key.Day = *record.Day
			}
			if !yield(collector.Record{RecordKey: key, Data: bytes.Clone(record.Data)}, nil) {
				return
			}
		}
		switch err := lines.Err(); {
		case errors.Is(err, bufio.ErrTooLong):
			bad(number+1, "longer than %d bytes", maxArchiveLine)
		case err != nil:
			yield(collector.Record{}, fmt.Errorf("read archive: %w", err))
		case !ended:
			bad(number+1, "the archive is incomplete")
		}
	}
}
