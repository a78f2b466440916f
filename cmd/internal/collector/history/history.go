// Package history gives an app the past that it had with another collector. The
// past is JSON lines in the order of their days, each a report as the protocol has
// it, and the day on which it came:
//
//	{"day":"2026-05-06","country":"GB","heartbeat":{...}}
//	{"day":"2026-05-06","health":{...},"events":[["0123456789abcdef"]]}
//
// The figures are then those that the collector would have counted itself.
package history

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/engine"
	"github.com/rollcall-dev/rollcall/report"
)

// MaxLine bounds a line, in bytes.
const MaxLine = 256 << 10

// ErrInvalid means that a line is malformed, or not where it belongs.
var ErrInvalid = errors.New("invalid history")

// A Line is a report of a day. It has a heartbeat or a health report.
type Line struct {
	Day collector.Day `json:"day"`
	// Country is where the heartbeat came from, as an ISO 3166-1 code.
	Country   string          `json:"country,omitzero"`
	Heartbeat json.RawMessage `json:"heartbeat,omitempty"`
	Health    json.RawMessage `json:"health,omitempty"`
	// Events are as in [collector.ReceivedHealth].
	Events [][]string `json:"events,omitempty"`
}

// An entry is a line that has been checked.
type entry struct {
	day       collector.Day
	heartbeat *collector.Received
	health    *collector.ReceivedHealth
}

// entries yields the lines of an app's history. The error is an ErrInvalid with the
// number of the line, or that of reading.
func entries(in io.Reader, app collector.App, today collector.Day) iter.Seq2[entry, error] {
	return func(yield func(entry, error) bool) {
		lines := bufio.NewScanner(in)
		lines.Buffer(make([]byte, 64<<10), MaxLine)
		last := today - collector.MaxRangeDays
		number := 0
		for lines.Scan() {
			number++
			e, err := parse(lines.Bytes(), app)
			switch {
			case err != nil:
			case e.day < last && number == 1:
				err = fmt.Errorf("%s is more than %d days ago", e.day, collector.MaxRangeDays)
			case e.day < last:
				err = fmt.Errorf("%s follows %s", e.day, last)
			case e.day > today:
				err = fmt.Errorf("%s has not begun yet", e.day)
			}
			if err != nil {
				yield(entry{}, fmt.Errorf("%w: line %d: %w", ErrInvalid, number, err))
				return
			}
			last = e.day
			if !yield(e, nil) {
				return
			}
		}
		if err := lines.Err(); errors.Is(err, bufio.ErrTooLong) {
			yield(entry{}, fmt.Errorf("%w: line %d has more than %d bytes", ErrInvalid, number+1, MaxLine))
		} else if err != nil {
			yield(entry{}, fmt.Errorf("read history: %w", err))
		}
	}
}

func parse(text []byte, app collector.App) (e entry, err error) {
	var line Line
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&line); err != nil {
		return e, err
	}
	e.day = line.Day
	var named string
	switch {
	case line.Heartbeat != nil && line.Health == nil && line.Events == nil:
		received := collector.Received{App: app.Num, Country: line.Country}
		received.Heartbeat, received.Dropped, err = report.ParseHeartbeat(line.Heartbeat)
		named, received.Heartbeat.SentAt = received.Heartbeat.App, time.Time{} // says nothing about today's clock
		e.heartbeat = &received
	case line.Health != nil && line.Heartbeat == nil:
		received := collector.ReceivedHealth{App: app.Num, Events: line.Events}
		received.Report, received.Dropped, err = report.ParseHealth(line.Health)
		named, received.Report.SentAt = received.Report.App, time.Time{}
		e.health = &received
	default:
		return e, errors.New("it is neither a heartbeat nor a health report")
	}
	switch {
	case err != nil:
		return e, err
	case named != app.Key:
		return e, fmt.Errorf("it is of the app %q, not %q", named, app.Key)
	case e.health != nil && len(line.Events) > len(e.health.Report.Faults):
		return e, errors.New("it has events of more faults than it has")
	}
	for _, events := range line.Events {
		if len(events) > collector.MaxEvents {
			return e, fmt.Errorf("a fault has %d events, at most %d are allowed", len(events), collector.MaxEvents)
		}
	}
	return e, nil
}

// Checked is what [Check] has found.
type Checked struct {
	// SHA256 identifies the history, and Reports is the number of its lines.
	SHA256  string
	Reports int
}

// Check reports what is wrong with a history, without an app that changes.
func Check(in io.Reader, app collector.App, today collector.Day) (found Checked, err error) {
	hash := sha256.New()
	for _, err := range entries(io.TeeReader(in, hash), app, today) {
		if err != nil {
			return found, err
		}
		found.Reports++
	}
	found.SHA256 = hex.EncodeToString(hash.Sum(nil))
	return found, nil
}

// Loaded is the result of [Load].
type Loaded struct {
	// Installations counts the installations in the history, and Known the ones
	// among them that the app had already.
	Installations int `json:"installations"`
	Known         int `json:"known"`
	// Refused are the reports of IDs that the app refuses.
	Refused int           `json:"refused"`
	Reports uint64        `json:"reports"`
	From    collector.Day `json:"from"`
	To      collector.Day `json:"to"`
}

// Load adds a history to an app, which may have reports. Sum is what Check found;
// the same history again is [collector.ErrImported]. Until it is done, reports of the
// app wait. If it fails, nothing has changed. Nobody was active on days
// without reports between the first and the last.
func Load(ctx context.Context, e *engine.Engine, app collector.App, sum string, in io.Reader) (done Loaded, err error) {
	l, err := e.Import(ctx, app.Num, sum)
	if err != nil {
		return done, err
	}
	hash := sha256.New()
	done, err = load(ctx, l, app, io.TeeReader(in, hash))
	if err == nil && hex.EncodeToString(hash.Sum(nil)) != sum {
		err = fmt.Errorf("%w: it has changed since it was checked", ErrInvalid)
	}
	if err != nil {
		l.Abort(ctx)
		return Loaded{}, err
	}
	if err := l.Close(ctx); err != nil {
		return Loaded{}, err
	}
	merged := l.Merged()
	done.Installations, done.Known, done.Refused = merged.Known+merged.New, merged.Known, merged.Refused
	return done, nil
}

func load(ctx context.Context, l *engine.Loader, app collector.App, in io.Reader) (done Loaded, err error) {
	for entry, err := range entries(in, app, collector.DayOf(time.Now())) {
		if err != nil {
			return done, err
		}
		if done.Reports == 0 {
			done.From, done.To = entry.day, entry.day-1
		}
		for done.To < entry.day {
			done.To++
			if err := l.Day(ctx, done.To); err != nil {
				return done, err
			}
		}
		done.Reports++
		if entry.heartbeat != nil {
			err = l.Heartbeat(ctx, *entry.heartbeat)
		} else {
			err = l.Health(ctx, *entry.health)
		}
		if err != nil {
			return done, err
		}
	}
	if done.Reports == 0 {
		err = fmt.Errorf("%w: it has no lines", ErrInvalid)
	}
	return done, err
}
