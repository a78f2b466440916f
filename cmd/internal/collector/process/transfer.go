package process

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"os"
	"path/filepath"
	"strconv"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
)

// backup sends a copy of the store. It is made in the data folder first, since only that is sure to be writable for the
// process, and since what is sent has to be all of one moment.
func (c *control) backup(w http.ResponseWriter, r *http.Request) {
	folder, err := os.MkdirTemp(c.data.dir, ".backup-")
	if err != nil {
		fail(w, fmt.Errorf("back up: %w", err))
		return
	}
	defer os.RemoveAll(folder)
	name := filepath.Join(folder, dbName)
	if err := c.data.store.Backup(r.Context(), name); err != nil {
		fail(w, fmt.Errorf("back up: %w", err))
		return
	}
	file, err := os.Open(name)
	if err != nil {
		fail(w, fmt.Errorf("back up: %w", err))
		return
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		fail(w, fmt.Errorf("back up: %w", err))
		return
	}
	// With the length a copy that was cut short is not taken for a whole one.
	w.Header().Set("Content-Length", strconv.FormatInt(info.Size(), 10))
	_, _ = io.Copy(w, file)
}

// An archive is JSON lines: a head, the records, and a foot that shows that nothing is missing.
type archiveHead struct {
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

type archiveFoot struct {
	Records *int `json:"records"`
}

const (
	archiveName    = "rollcall totals"
	archiveVersion = 1
	// maxArchiveLine bounds one line: a record and its key.
	maxArchiveLine = collector.MaxTotalBytes + 64<<10
)

func (c *control) exportTotals(w http.ResponseWriter, r *http.Request) {
	app, err := c.app(r)
	if err != nil {
		fail(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/jsonl")
	out := bufio.NewWriter(w)
	lines := json.NewEncoder(out)
	lines.SetEscapeHTML(false)
	_ = lines.Encode(archiveHead{archiveName, archiveVersion, app.Key})
	count := 0
	for record, err := range c.data.collector.ExportTotals(r.Context(), app.Num) {
		if err != nil {
			panic(http.ErrAbortHandler) // who reads sees that it breaks off
		}
		line := archiveRecord{Kind: record.Kind, Name: record.Name, Data: record.Data}
		if record.Day != 0 {
			line.Day = &record.Day
		}
		_ = lines.Encode(line)
		count++
	}
	_ = lines.Encode(archiveFoot{&count})
	_ = out.Flush()
}

// Imported says what became of an import.
type Imported struct {
	Days int           `json:"days"`
	From collector.Day `json:"from"`
	To   collector.Day `json:"to"`
}

func (c *control) importTotals(r *http.Request) (Imported, error) {
	app, err := c.app(r)
	if err != nil {
		return Imported{}, err
	}
	span, days, err := c.data.collector.ImportTotals(r.Context(), app.Num, readArchive(r.Body))
	return Imported{days, span.From, span.To}, err
}

// readArchive gives the records of an archive. Its last error is about the foot, so nothing may be believed before it.
func readArchive(in io.Reader) iter.Seq2[collector.Record, error] {
	bad := func(line int, format string, args ...any) error {
		return fmt.Errorf("%w: line %d: %s", collector.ErrArchive, line, fmt.Sprintf(format, args...))
	}
	return func(yield func(collector.Record, error) bool) {
		lines := bufio.NewScanner(in)
		lines.Buffer(nil, maxArchiveLine)
		number, count, ended := 0, 0, false
		for lines.Scan() {
			number++
			line := lines.Bytes()
			if ended {
				yield(collector.Record{}, bad(number, "there is more after the end"))
				return
			}
			if number == 1 {
				var head archiveHead
				if json.Unmarshal(line, &head) != nil || head.Archive != archiveName {
					yield(collector.Record{}, bad(number, "not an export of totals as JSON lines"))
					return
				}
				if head.Version != archiveVersion {
					yield(collector.Record{}, bad(number, "written by a newer version of this program"))
					return
				}
				continue
			}
			var foot archiveFoot
			if json.Unmarshal(line, &foot) == nil && foot.Records != nil {
				if *foot.Records != count {
					yield(collector.Record{}, bad(number, "%d records are missing", *foot.Records-count))
					return
				}
				ended = true
				continue
			}
			var record archiveRecord
			if err := json.Unmarshal(line, &record); err != nil || record.Kind == "" {
				yield(collector.Record{}, bad(number, "not a record"))
				return
			}
			count++
			got := collector.Record{Data: bytes.Clone(record.Data)}
			got.Kind, got.Name = record.Kind, record.Name
			if record.Day != nil {
				got.Day = *record.Day
			}
			if !yield(got, nil) {
				return
			}
		}
		switch err := lines.Err(); {
		case errors.Is(err, bufio.ErrTooLong):
			yield(collector.Record{}, bad(number+1, "longer than %d bytes", maxArchiveLine))
		case err != nil:
			yield(collector.Record{}, fmt.Errorf("read archive: %w", err))
		case !ended:
			yield(collector.Record{}, bad(number+1, "it breaks off"))
		}
	}
}

func (c *control) series(r *http.Request) (collector.Series, error) {
	app, err := c.app(r)
	if err != nil {
		return collector.Series{}, err
	}
	today, since, err := c.data.collector.Today(app.Num)
	if err != nil {
		return collector.Series{}, err
	}
	since = max(since, today-collector.MaxRangeDays+1)
	return c.data.collector.Series(r.Context(), app.Num, collector.Range{From: since, To: today}, collector.View{})
}
