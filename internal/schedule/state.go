package schedule

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/rollcall-dev/rollcall/internal/jsonedit"
)

const (
	// MaxStateSize bounds an encoded [State], in bytes.
	MaxStateSize = 1000
	// maxText bounds [State.Error], in bytes.
	maxText = 200
	// maxAhead is how far in the future a saved time may lie, since clocks
	// differ and are set. One that lies further ahead is from a wrong clock.
	maxAhead = day + time.Hour
)

// A State is what outlives a process. The zero value is that of an
// installation that never reported. Times are in UTC and whole seconds.
type State struct {
	// Since is when the first report became due. Zero after a success.
	Since time.Time `json:"due_since,omitzero"`
	// Success is when a report was last accepted.
	Success time.Time `json:"last_success,omitzero"`
	// Present is the last slot that a process was running at, on a day
	// whose report had been sent before the slot.
	Present time.Time `json:"present,omitzero"`
	// Attempt is when the last attempt began, and Attempts how many began
	// on that day (UTC).
	Attempt  time.Time `json:"last_attempt,omitzero"`
	Attempts int       `json:"attempts_today,omitempty"`
	// Failing is when the first attempt after the last success failed.
	Failing time.Time `json:"failing_since,omitzero"`
	// Retry is the earliest time of the next attempt after a failure.
	Retry time.Time `json:"retry_after,omitzero"`
	// Error says in plain words how the last attempt failed. Empty after a
	// success.
	Error string `json:"last_error,omitempty"`
	// Gone is the mark of the endpoint that wants no reports any more, and
	// HealthGone of one that wants no health reports.
	Gone       string `json:"gone,omitempty"`
	HealthGone string `json:"health_gone,omitempty"`
}

// markLength is the length of a mark, in bytes.
const markLength = 16

// mark stands for an endpoint, whose URL may be long.
func mark(endpoint string) string {
	sum := sha256.Sum256([]byte(endpoint))
	return hex.EncodeToString(sum[:markLength/2])
}

// GoneAt reports whether the endpoint wants no reports any more.
func (st State) GoneAt(endpoint string) bool { return st.Gone == mark(endpoint) }

// HealthGoneAt reports whether the endpoint wants no health reports any more.
func (st State) HealthGoneAt(endpoint string) bool { return st.HealthGone == mark(endpoint) }

// WithHealthGone returns the state after the endpoint said that it wants no
// health reports any more.
func (st State) WithHealthGone(endpoint string) State {
	st.HealthGone = mark(endpoint)
	return st
}

var errInvalidState = errors.New("sending state: not valid")

// Parse decodes a state that [State.Marshal] encoded. The error does not
// quote the data.
//
// The decoder of encoding/json would add 100 kB to a host that does not use it
// otherwise.
func Parse(data []byte) (State, error) {
	if len(data) > MaxStateSize {
		return State{}, errors.New("sending state: too large")
	}
	if string(bytes.TrimSpace(data)) == "null" {
		return State{}, nil
	}
	values, err := jsonedit.Scan(data, stateKeys)
	if err != nil {
		return State{}, errInvalidState
	}
	var st State
	d := decoder{values: values}
	for _, t := range st.times() {
		d.time(t)
	}
	d.count(&st.Attempts)
	for _, text := range []*string{&st.Error, &st.Gone, &st.HealthGone} {
		d.text(text)
	}
	if d.bad {
		return State{}, errInvalidState
	}
	st.Error = Plain(st.Error)
	for _, m := range []*string{&st.Gone, &st.HealthGone} {
		if len(*m) != markLength {
			*m = ""
		}
	}
	return st, nil
}

// stateKeys are the keys of State in the order of Parse.
var stateKeys = []jsonedit.Key{
	{"due_since"}, {"last_success"}, {"present"}, {"last_attempt"}, {"failing_since"}, {"retry_after"},
	{"attempts_today"},
	{"last_error"}, {"gone"}, {"health_gone"},
}

// A decoder decodes values one after the other. Absent and null leave the
// target as it is.
type decoder struct {
	values []jsonedit.Value
	bad    bool
}

// next returns the text of the next value, and whether there is one of the
// kind.
func (d *decoder) next(kind jsonedit.Kind) (text string, ok bool) {
	v := d.values[0]
	d.values = d.values[1:]
	if v.Kind == jsonedit.Absent || v.Kind == jsonedit.Null {
		return "", false
	}
	d.bad = d.bad || v.Kind != kind
	return v.Text, v.Kind == kind
}

func (d *decoder) time(t *time.Time) {
	if text, ok := d.next(jsonedit.String); ok {
		parsed, err := time.Parse(time.RFC3339, text)
		*t, d.bad = parsed.UTC().Truncate(time.Second), d.bad || err != nil
	}
}

func (d *decoder) count(n *int) {
	if text, ok := d.next(jsonedit.Number); ok {
		parsed, err := strconv.Atoi(text)
		*n, d.bad = parsed, d.bad || err != nil || parsed < 0
	}
}

func (d *decoder) text(s *string) {
	if text, ok := d.next(jsonedit.String); ok {
		*s = text
	}
}

// Marshal encodes the state: one line of JSON, at most MaxStateSize bytes.
func (st State) Marshal() []byte {
	data, err := json.Marshal(st)
	if err != nil {
		return []byte("{}") // a time after the year 9999, which no plausible clock shows
	}
	return data
}

func (st *State) times() []*time.Time {
	return []*time.Time{&st.Since, &st.Success, &st.Present, &st.Attempt, &st.Failing, &st.Retry}
}

// IsAhead reports whether a clock far ahead of now wrote the state.
func (st State) IsAhead(now time.Time) bool { return st.trusted(now) != st }

// trusted returns the state without times that, if it is now, only a wrong
// clock can have written.
func (st State) trusted(now time.Time) State {
	retry, limit := st.Retry, now.Add(maxAhead)
	for _, t := range st.times() {
		if t.After(limit) {
			*t = time.Time{}
		}
	}
	if retry.Sub(now) <= longestWait {
		st.Retry = retry
	}
	if st.Attempt.IsZero() {
		st.Attempts = 0
	}
	return st
}

// Plain returns text as one line of at most 200 bytes that neither JSON nor
// HTML has to escape. The text may come from elsewhere.
func Plain(text string) string {
	text = strings.Map(func(r rune) rune {
		switch {
		case strings.ContainsRune(`"\<>&`, r):
			return '\''
		case !unicode.IsPrint(r):
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
	if len(text) <= maxText {
		return text
	}
	const more = "..."
	return strings.ToValidUTF8(text[:maxText-len(more)], "") + more
}
