// Package audit keeps a log of who did what to a collector: sign-ins, refused
// tokens, tokens, settings, alerts, deletions, exports, and floods. Entries name
// tokens and apps, never addresses or installations.
//
// The settings of the collector keep the latest MaxEntries entries, and a file
// can receive all of them as JSON lines. An entry is durable within FlushAfter; a
// process that is killed loses those of that time. What repeats within a minute
// becomes one further entry with a count, and so does what one app's admins do
// more than maxDetails times a minute with different details. So a flood neither
// fills the log nor hides the rest.
package audit

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
)

// An Action is what somebody did.
type Action string

// The actions.
const (
	SignedIn       Action = "signed_in"
	SignedOut      Action = "signed_out"
	TokenRefused   Action = "token_refused" // an unknown token, of a program or at a sign-in
	TokenAdded     Action = "token_added"
	TokenRevoked   Action = "token_revoked"
	AppAdded       Action = "app_added"
	AppChanged     Action = "app_changed"
	AlertsChanged  Action = "alerts_changed" // rules, webhooks, and mail
	FaultTriaged   Action = "fault_triaged"
	ReleaseDated   Action = "release_dated"
	ReleaseSet     Action = "release_set"
	ReleaseRemoved Action = "release_removed"
	NoteAdded      Action = "note_added"
	NoteRemoved    Action = "note_removed"
	ListCleared    Action = "list_cleared" // what was turned away
	Declared       Action = "declared"     // facts and releases
	Deleted        Action = "installation_deleted"
	Exported       Action = "exported"
	Imported       Action = "imported"
	BackedUp       Action = "backed_up"
	Restored       Action = "restored" // from a backup, whose log this is
	IDRefused      Action = "id_refused"
	IDAllowed      Action = "id_allowed"
	DayConfirmed   Action = "day_confirmed"
	Flooded        Action = "flooded" // requests were refused because there were too many
)

// The actors that are no tokens.
const (
	CommandLine  = "command line" // somebody who can read the data directory
	Nobody       = "nobody"       // without a valid token
	Installation = "installation" // somebody who knows its ID
)

// An Entry is a line of the log.
type Entry struct {
	Time   time.Time `json:"time"`
	Action Action    `json:"action"`
	// Actor is the name of a token, or CommandLine or Nobody.
	Actor string `json:"actor"`
	// App is the key of the app; empty is the whole collector.
	App string `json:"app,omitzero"`
	// Detail is what was changed, in a few words.
	Detail string `json:"detail,omitzero"`
	// Count is how often it was repeated in the minute before; 0 if this is not
	// about repeats.
	Count int `json:"count,omitzero"`
}

// Changed returns the JSON names of the fields that differ between two values of
// a type.
func Changed(before, after any) string {
	fields := func(value any) map[string]any {
		var object map[string]any
		if data, err := json.Marshal(value); err == nil {
			_ = json.Unmarshal(data, &object) // what is no object has no fields
		}
		return object
	}
	x, y := fields(before), fields(after)
	names := slices.AppendSeq(slices.Collect(maps.Keys(x)), maps.Keys(y))
	slices.Sort(names)
	names = slices.DeleteFunc(slices.Compact(names), func(name string) bool { return reflect.DeepEqual(x[name], y[name]) })
	return strings.Join(names, ", ")
}

// The limits.
const (
	// MaxEntries is how many entries are kept.
	MaxEntries = chunks * chunkEntries
	// FlushAfter is how long an entry may be only in memory.
	FlushAfter = time.Second

	chunks       = 50
	chunkEntries = 200
	maxDetail    = 200 // bytes
	// maxDetails is how many different details of an action and app are kept in a
	// minute. Those of the command line do not count.
	maxDetails = 30
	// mergeTime is how long repeats are counted together.
	mergeTime = time.Minute
	// maxPending bounds the entries in memory. Beyond it, entries are dropped;
	// only a store that has failed for long leads there.
	maxPending   = 1000
	flushTimeout = 5 * time.Second
)

// Settings keep the log.
type Settings interface {
	Setting(ctx context.Context, app collector.AppNum, name string) (data []byte, ok bool, err error)
	PutSetting(ctx context.Context, app collector.AppNum, name string, data []byte) error
}

// A Log is an audit log. Create it with [New]. It is safe for concurrent use. A
// nil Log discards everything.
type Log struct {
	settings Settings
	lines    io.Writer // nil for none

	mu      sync.Mutex
	pending []Entry // not stored yet, oldest first
	// recent are the entries of the last minute, without time and count.
	recent map[Entry]*repeats

	// storing is held while chunks are read or written.
	storing sync.Mutex
	// current is the chunk that further entries go to; nil if it is not known
	// yet.
	current *chunk
}

// repeats count how often an entry was repeated since it was added.
type repeats struct {
	until time.Time
	count int
}

// A chunk is a part of the log, as it is stored.
type chunk struct {
	// Number counts the chunks from 0. The one that is chunks older has the
	// same setting and is overwritten.
	Number  int     `json:"number"`
	Entries []Entry `json:"entries"`
}

func settingName(number int) string { return fmt.Sprintf("audit.%02d", number%chunks) }

// New returns the log in the settings. It reads nothing yet. Lines, if not nil,
// also receives each entry as a line of JSON.
func New(settings Settings, lines io.Writer) *Log {
	return &Log{settings: settings, lines: lines, recent: make(map[Entry]*repeats)}
}

// Add adds an entry with the current time. It never waits for the store.
func (l *Log) Add(e Entry) {
	if l == nil {
		return
	}
	e.Time, e.Count = time.Time{}, 0
	e.Detail = printable(e.Detail[:min(len(e.Detail), maxDetail)])
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if r := l.recent[e]; r != nil && now.Before(r.until) {
		r.count++
		return
	}
	l.endRepeats(now)
	if e.Actor != CommandLine && l.details(e) >= maxDetails {
		e.Detail = "further ones"
	}
	if r := l.recent[e]; r != nil {
		r.count++
	} else if len(l.recent) < maxPending {
		l.recent[e] = &repeats{until: now.Add(mergeTime)}
		l.append(e, now)
	}
}

// printable returns a text that cannot pretend to be another line, or control a
// terminal.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, ""))
}

// details returns how many entries of the last minute have the action and app of
// e. The caller holds mu.
func (l *Log) details(e Entry) (n int) {
	for other := range l.recent {
		if other.Action == e.Action && other.App == e.App && other.Actor != CommandLine {
			n++
		}
	}
	return n
}

// append adds an entry to those to be stored. The caller holds mu.
func (l *Log) append(e Entry, now time.Time) {
	e.Time = now.UTC().Truncate(time.Second)
	if len(l.pending) < maxPending {
		l.pending = append(l.pending, e)
	}
}

// endRepeats adds an entry for the repeats whose minute ends by then. The
// caller holds mu.
func (l *Log) endRepeats(then time.Time) {
	now := time.Now()
	for e, r := range l.recent {
		if then.Before(r.until) {
			continue
		}
		delete(l.recent, e)
		if r.count > 0 {
			e.Count = r.count
			l.append(e, now)
		}
	}
}

// Run stores entries until ctx ends, and then what is left.
func (l *Log) Run(ctx context.Context) {
	ticker := time.NewTicker(FlushAfter)
	defer ticker.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-ticker.C:
			l.mu.Lock()
			l.endRepeats(time.Now())
			l.mu.Unlock()
			_ = l.flush(ctx) // the next round retries
		}
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushTimeout)
	defer cancel()
	_ = l.Flush(last)
}

// Flush stores everything. It waits no longer than ctx.
func (l *Log) Flush(ctx context.Context) error {
	if l == nil {
		return nil
	}
	l.mu.Lock()
	l.endRepeats(time.Now().Add(mergeTime))
	l.mu.Unlock()
	return l.flush(ctx)
}

// flush stores what is pending. What cannot be stored stays pending.
func (l *Log) flush(ctx context.Context) error {
	l.storing.Lock()
	defer l.storing.Unlock()
	l.mu.Lock()
	pending := l.pending
	l.pending = nil
	l.mu.Unlock()
	for len(pending) > 0 {
		n, err := l.store(ctx, pending)
		if err != nil {
			l.mu.Lock()
			l.pending = append(pending, l.pending...)
			l.mu.Unlock()
			return err
		}
		l.write(pending[:n])
		pending = pending[n:]
	}
	return nil
}

// store stores as many entries as fit into the current chunk. The caller holds
// storing.
func (l *Log) store(ctx context.Context, entries []Entry) (n int, err error) {
	if l.current == nil {
		all, err := l.read(ctx)
		if err != nil {
			return 0, err
		}
		l.current = &chunk{}
		if len(all) > 0 {
			l.current = &all[len(all)-1]
		}
	}
	next := *l.current
	if len(next.Entries) >= chunkEntries {
		next = chunk{Number: next.Number + 1}
	}
	n = min(len(entries), chunkEntries-len(next.Entries))
	next.Entries = slices.Concat(next.Entries, entries[:n])
	data, err := json.Marshal(next)
	if err == nil {
		err = l.settings.PutSetting(ctx, 0, settingName(next.Number), data)
	}
	if err != nil {
		return 0, fmt.Errorf("store audit log: %w", err)
	}
	l.current = &next
	return n, nil
}

// write appends entries to the lines. If that fails, they are in the store.
func (l *Log) write(entries []Entry) {
	if l.lines == nil {
		return
	}
	var text []byte
	for _, e := range entries {
		line, err := json.Marshal(e)
		if err == nil {
			text = append(append(text, line...), '\n')
		}
	}
	_, _ = l.lines.Write(text)
}

// read returns the stored chunks, oldest first.
func (l *Log) read(ctx context.Context) ([]chunk, error) {
	var all []chunk
	for i := range chunks {
		data, ok, err := l.settings.Setting(ctx, 0, settingName(i))
		var c chunk
		if err == nil && ok {
			err = json.Unmarshal(data, &c)
		}
		if err != nil {
			return nil, fmt.Errorf("read audit log: %w", err)
		}
		if ok {
			all = append(all, c)
		}
	}
	slices.SortFunc(all, func(a, b chunk) int { return cmp.Compare(a.Number, b.Number) })
	return all, nil
}

// Entries returns the entries about an app, or all if app is empty, newest
// first, also those that cannot be stored for now.
func (l *Log) Entries(ctx context.Context, app string) ([]Entry, error) {
	if l == nil {
		return nil, nil
	}
	_ = l.flush(ctx) // what cannot be stored stays pending
	l.storing.Lock()
	all, err := l.read(ctx)
	l.mu.Lock()
	all = append(all, chunk{Entries: slices.Clone(l.pending)})
	l.mu.Unlock()
	l.storing.Unlock()
	var found []Entry
	for _, c := range slices.Backward(all) {
		for _, e := range slices.Backward(c.Entries) {
			if app == "" || e.App == app {
				found = append(found, e)
			}
		}
	}
	return found, err
}
