package control

import (
	"bufio"
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"slices"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/audit"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/note"
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
	// SHA256 is the hash of all lines before, in hexadecimal. Archives of version
	// 1 have none.
	SHA256 string `json:"sha256,omitempty"`
}

const (
	archiveName    = "rollcall totals"
	archiveVersion = 3 // with notes; without them 2
	// noteKind is the kind of a line with a note: its Name is the text.
	noteKind = "note"
	// maxArchiveLine bounds one line: a record with its key.
	maxArchiveLine = collector.MaxTotalBytes + 64<<10
)

func (s *Server) exportTotals(w http.ResponseWriter, r *http.Request) {
	app, err := s.app(r)
	if err != nil {
		fail(w, err)
		return
	}
	notes, err := s.dir.Notes.List(r.Context(), app.Num)
	if err != nil {
		fail(w, err)
		return
	}
	version := archiveVersion
	if len(notes) == 0 {
		version = 2 // earlier programs can read it
	}
	w.Header().Set("Content-Type", "application/jsonl")
	out := bufio.NewWriter(w)
	hash := sha256.New()
	lines := json.NewEncoder(io.MultiWriter(out, hash))
	lines.SetEscapeHTML(false)
	_ = lines.Encode(archiveLine{Archive: archiveName, Version: version, App: app.Key})
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
	for _, n := range notes {
		_ = lines.Encode(archiveLine{Kind: noteKind, Day: &n.Day, Name: n.Text})
		count++
	}
	_ = lines.Encode(archiveLine{Records: &count, SHA256: hex.EncodeToString(hash.Sum(nil))})
	_ = out.Flush()
	s.audit(audit.Exported, app.Key, "totals")
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
	known, err := s.dir.Notes.List(r.Context(), app.Num)
	if err != nil {
		return Imported{}, err
	}
	var notes []note.Note
	span, days, err := s.dir.Collector.ImportTotals(r.Context(), app.Num, withoutNotes(readArchive(r.Body), known, &notes))
	for _, n := range notes {
		if err == nil {
			_, err = s.dir.Notes.Add(r.Context(), app.Num, n)
		}
	}
	if err == nil {
		s.audit(audit.Imported, app.Key, "totals")
	}
	return Imported{days, span.From, span.To}, err
}

// withoutNotes yields all records but notes, and collects the notes that are new.
// It fails if the app would have too many, before the import becomes visible.
func withoutNotes(records iter.Seq2[collector.Record, error], known []note.Note, notes *[]note.Note) iter.Seq2[collector.Record, error] {
	return func(yield func(collector.Record, error) bool) {
		for r, err := range records {
			if err == nil && r.Kind == noteKind {
				n := note.Note{Day: r.Day, Text: r.Name}
				if slices.ContainsFunc(known, func(k note.Note) bool { return k.Day == n.Day && k.Text == n.Text }) {
					continue
				}
				if err = n.Validate(); err == nil && len(known)+len(*notes) < note.MaxNotes {
					*notes = append(*notes, n)
					continue
				}
				err = fmt.Errorf("%w: %w", collector.ErrArchive, cmp.Or(err, note.ErrTooMany))
			}
			if !yield(r, err) {
				return
			}
		}
	}
}

// isEnd reports whether a line is exactly the last one of an archive.
func isEnd(line []byte, records int, hash string) bool {
	want, err := json.Marshal(archiveLine{Records: &records, SHA256: hash})
	return err == nil && bytes.Equal(line, want)
}

// readArchive yields the records of an archive. An archive that is cut short
// ends in an error, so trust no record before the iteration ends without one.
func readArchive(in io.Reader) iter.Seq2[collector.Record, error] {
	return func(yield func(collector.Record, error) bool) {
		number, count, ended, version := 0, 0, false, 0
		hash := sha256.New()
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
			before := hex.EncodeToString(hash.Sum(nil))
			hash.Write(lines.Bytes())
			hash.Write([]byte{'\n'})
			switch {
			case number == 1 && (err != nil || line.Archive != archiveName):
				bad("not an export of totals as JSON lines")
				return
			case number == 1 && (line.Version < 1 || line.Version > archiveVersion):
				bad("written by a newer version of this program")
				return
			case number == 1:
				version = line.Version
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
			case line.Records != nil && (version > 1 || line.SHA256 != "") && !isEnd(lines.Bytes(), count, before):
				bad("the archive is damaged: its checksum is wrong")
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
