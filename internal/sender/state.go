package sender

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"strings"
	"time"
	"unicode"
)

const (
	// maxState bounds what is kept on disk; see TestStateSize.
	maxState = 1000
	// maxText bounds the words about a failure in it, in bytes.
	maxText = 200
	// ahead is how far in the future a time may lie that was kept: clocks differ, and are set. What lies further away
	// comes from a clock that was wrong.
	ahead = day + time.Hour
)

// State is what outlives a process. The zero value is that of an installation that never reported.
type State struct {
	// Since is when the first report became due; it says nothing any more after a success.
	Since time.Time `json:"due_since,omitzero"`
	// Success is when a report was accepted last.
	Success time.Time `json:"last_success,omitzero"`
	// Present is the last slot that a process was there for, the report of that day having been sent before.
	Present time.Time `json:"present,omitzero"`
	// Attempt is when sending was tried last, and Attempts how often on that day.
	Attempt  time.Time `json:"last_attempt,omitzero"`
	Attempts int       `json:"attempts_today,omitempty"`
	// Failing is when the first attempt after the last success failed.
	Failing time.Time `json:"failing_since,omitzero"`
	// Retry is when the next attempt after a failure may be made.
	Retry time.Time `json:"retry_after,omitzero"`
	// Error says in plain words how the last attempt failed; empty after a success.
	Error string `json:"last_error,omitempty"`
	// Gone is the mark of the endpoint that said it is gone for good, and HealthGone of one that wants no health reports.
	Gone       string `json:"gone,omitempty"`
	HealthGone string `json:"health_gone,omitempty"`
}

// markLength is how long the mark of an endpoint is, in bytes.
const markLength = 16

// mark stands for an endpoint, which may be long.
func mark(endpoint string) string {
	sum := sha256.Sum256([]byte(endpoint))
	return hex.EncodeToString(sum[:markLength/2])
}

// ParseState reads what Marshal gave.
func ParseState(data []byte) (State, error) {
	var st State
	if len(data) > maxState {
		return State{}, errors.New("sending state: too large")
	}
	if err := json.Unmarshal(data, &st); err != nil || st.Attempts < 0 {
		return State{}, errors.New("sending state: not valid") // the error could quote it
	}
	for _, t := range st.times() {
		*t = t.UTC().Truncate(time.Second)
	}
	st.Error = plain(st.Error)
	for _, m := range []*string{&st.Gone, &st.HealthGone} {
		if len(*m) != markLength {
			*m = ""
		}
	}
	return st, nil
}

// Marshal gives the state as it is kept: one line of JSON, at most 1,000 bytes.
func (st State) Marshal() []byte {
	data, err := json.Marshal(st)
	if err != nil {
		return []byte("{}") // a time beyond the year 9999, which no plausible clock gives
	}
	return data
}

func (st *State) times() []*time.Time {
	return []*time.Time{&st.Since, &st.Success, &st.Present, &st.Attempt, &st.Failing, &st.Retry}
}

// isAhead tells whether the state was written by a clock that was far ahead of the one that says now.
func (st State) isAhead(now time.Time) bool { return st.upTo(now) != st }

// upTo leaves out the times that only a wrong clock can have given, as far as the clock knows that says now.
func (st State) upTo(now time.Time) State {
	retry := st.Retry
	for _, t := range st.times() {
		if t.After(now.Add(ahead)) {
			*t = time.Time{}
		}
	}
	if retry.Sub(now) <= maxRetryAfter+2*retryMax { // the longest wait there is
		st.Retry = retry
	}
	if st.Attempt.IsZero() {
		st.Attempts = 0
	}
	return st
}

// next gives when the report after the last accepted one is due: at the slot of the next day. An installation whose
// report came before the slot of its day, and that was not there at the slot, is one that does not run all day: it
// reports a day after its last report.
func (st State) next(phase time.Duration) time.Time {
	midnight := st.Success.Truncate(day)
	if today := slot(phase, midnight); st.Success.Before(today) && st.Present.Before(today) {
		// A minute less than a day, for programs that are started once a day.
		return latest(midnight.Add(day), st.Success.Add(day-time.Minute))
	}
	return slot(phase, midnight.Add(day))
}

// budget gives until when the budget of attempts is used up.
func (st State) budget(phase time.Duration) time.Time {
	var failing time.Duration
	if !st.Failing.IsZero() {
		failing = st.Attempt.Sub(st.Failing)
	}
	switch {
	case failing > verySlowAfter:
		return st.Attempt.Add(7 * day)
	case failing > slowAfter:
		return st.Attempt.Add(day)
	case st.Attempts >= dailyAttempts:
		return slot(phase, st.Attempt.Add(day)) // not at midnight, which is the same for all
	}
	return time.Time{}
}

// seen is the state once a process that has been running for a time has looked at it.
func (st State) seen(phase time.Duration, now time.Time, age time.Duration) State {
	if st.Success.IsZero() && st.Since.IsZero() {
		st.Since = now.UTC().Truncate(time.Second)
	}
	today := slot(phase, now)
	isThere := !today.After(now) && !today.Before(now.Add(-age))
	reported := st.Success.Before(today) && st.Success.Truncate(day).Equal(today.Truncate(day))
	if isThere && reported && st.Present.Before(today) {
		st.Present = today
	}
	return st
}

// begin counts an attempt, before it is made.
func (st State) begin(now time.Time) State {
	st = st.upTo(now)
	now = now.UTC().Truncate(time.Second)
	if !now.Truncate(day).Equal(st.Attempt.Truncate(day)) {
		st.Attempts = 0
	}
	st.Attempts++
	st.Attempt = now
	st.Retry = now.Add(retryDelay(st.Failing.IsZero(), 0)) // should the process end before it knows
	return st
}

// succeeded is the state after an accepted report.
func (st State) succeeded(now time.Time) State {
	st.Success = now.UTC().Truncate(time.Second)
	st.Since, st.Failing, st.Retry = time.Time{}, time.Time{}, time.Time{}
	st.Error, st.Gone = "", ""
	return st
}

// failed is the state after an attempt that was not accepted.
func (st State) failed(phase time.Duration, now time.Time, endpoint string, err *Error) State {
	now = now.UTC().Truncate(time.Second)
	first := st.Failing.IsZero()
	if first || st.Failing.After(now) {
		st.Failing = now
	}
	st.Error = plain(err.Text)
	switch {
	case err.Gone:
		st.Gone = mark(endpoint)
	case err.Refused:
		st.Retry = slot(phase, now.Add(day)) // the same report would be refused again
	default:
		st.Retry = now.Add(retryDelay(first, err.RetryAfter))
	}
	return st
}

// plain makes one short line, without anything that JSON or HTML escapes, of words that may come from elsewhere.
func plain(text string) string {
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
