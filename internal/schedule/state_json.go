package schedule

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
	"time"

	"github.com/rollcall-dev/rollcall/internal/jsonedit"
)

// Marshal encodes the state: one line of JSON, at most MaxStateSize bytes.
func (st State) Marshal() []byte {
	data, err := json.Marshal(st)
	if err != nil {
		return []byte("{}") // a time after the year 9999, which no plausible clock shows
	}
	return data
}

var errInvalidState = errors.New("sending state: not valid")

// Parse decodes a state that [State.Marshal] encoded. The error does not
// quote the data.
func Parse(data []byte) (State, error) { return ParseWithin(data, MaxStateSize) }

// ParseWithin is [Parse] with another limit in bytes. The object may have other
// members too.
//
// The decoder of encoding/json would add 100 kB to a host that does not use it
// otherwise.
func ParseWithin(data []byte, most int) (State, error) {
	if len(data) > most {
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
	if v.IsAbsent() {
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
