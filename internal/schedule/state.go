package schedule

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"time"
	"unicode"
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

func (st *State) times() []*time.Time {
	return []*time.Time{&st.Since, &st.Success, &st.Present, &st.Attempt, &st.Failing, &st.Retry}
}

// IsAhead reports whether a clock far ahead of now wrote the state.
func (st State) IsAhead(now time.Time) bool { return st.trusted(now) != st }

// trusted returns the state without times that, if it is now, only a wrong
// clock can have written.
func (st State) trusted(now time.Time) State {
	retry, limit := st.Retry, now.Add(maxAhead)
	wrong := st.Attempt.After(limit) // then so is the retry, which followed from the attempt
	for _, t := range st.times() {
		if t.After(limit) {
			*t = time.Time{}
		}
	}
	if !wrong && retry.Sub(now) <= longestWait {
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
