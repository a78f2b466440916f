package sender

import (
	"encoding/json"
	"errors"
	"time"
)

// maxState bounds the state file.
const maxState = 4 << 10

// State is what outlives a process. The zero value is that of an installation that never reported.
type State struct {
	// Success is when a report was accepted last.
	Success time.Time `json:"last_success,omitzero"`
	// Attempt is when sending was tried last, and Attempts how often on that day.
	Attempt  time.Time `json:"last_attempt,omitzero"`
	Attempts int       `json:"attempts_today,omitempty"`
	// Failing is when the first attempt after the last success failed.
	Failing time.Time `json:"failing_since,omitzero"`
	// Retry is when the next attempt after a failure may be made.
	Retry time.Time `json:"retry_after,omitzero"`
	// Error says in plain words how the last attempt failed; empty after a success.
	Error string `json:"last_error,omitempty"`
	// Gone is the endpoint that said it is gone for good.
	Gone string `json:"gone,omitempty"`
}

// ParseState reads a state file.
func ParseState(data []byte) (State, error) {
	var st State
	if len(data) > maxState {
		return State{}, errors.New("sending state: too large")
	}
	if err := json.Unmarshal(data, &st); err != nil {
		return State{}, errors.New("sending state: not valid") // the error could quote it
	}
	return st, nil
}

// Marshal gives the state file, one line.
func (st State) Marshal() []byte {
	data, err := json.Marshal(st)
	if err != nil {
		panic(err) // times of years beyond 9999, which no clock here gives
	}
	return data
}

// believable gives t, or now if t lies further in the future than clocks differ: then the clock was set back since, and
// what it said before is not waited for.
func believable(t, now time.Time) time.Time {
	if t.After(now.Add(day + time.Hour)) {
		return now
	}
	return t.UTC()
}

func (st State) lastSuccess(now time.Time) time.Time { return believable(st.Success, now) }

// retryAt gives when a failed attempt may be followed by the next. It is never further away than the longest wait that
// there is.
func (st State) retryAt(now time.Time) time.Time {
	if st.Retry.Sub(now) > maxRetryAfter+retryMax {
		return now.Add(retryMax)
	}
	return st.Retry
}

// budgetAt gives when the budget of attempts allows one.
func (st State) budgetAt(now time.Time) time.Time {
	last := believable(st.Attempt, now)
	if last.IsZero() {
		return time.Time{}
	}
	nextDay := last.Truncate(day).Add(day)
	failing := time.Duration(0)
	if !st.Failing.IsZero() {
		failing = last.Sub(st.Failing)
	}
	switch {
	case failing > verySlowAfter:
		return last.Add(7 * day)
	case failing > slowAfter:
		return last.Add(day)
	case st.Attempts >= dailyAttempts:
		return nextDay
	}
	return time.Time{}
}

// begin counts an attempt, before it is made.
func (st State) begin(now time.Time) State {
	now = now.UTC().Truncate(time.Second)
	if !now.Truncate(day).Equal(st.Attempt.UTC().Truncate(day)) {
		st.Attempts = 0
	}
	st.Attempts++
	st.Attempt = now
	st.Retry = now.Add(retryDelay(0)) // should the process end before it knows
	return st
}

// succeeded is the state after an accepted report.
func (st State) succeeded(now time.Time) State {
	st.Success = now.UTC().Truncate(time.Second)
	st.Failing, st.Retry, st.Error, st.Gone = time.Time{}, time.Time{}, "", ""
	return st
}

// failed is the state after an attempt that was not accepted.
func (st State) failed(now time.Time, endpoint string, err *Error) State {
	now = now.UTC().Truncate(time.Second)
	if st.Failing.IsZero() || st.Failing.After(now) {
		st.Failing = now
	}
	st.Error = err.Error()
	switch {
	case err.Gone:
		st.Gone = endpoint
	case err.Refused:
		st.Retry = now.Truncate(day).Add(day) // the same report would be refused again
	default:
		st.Retry = now.Add(retryDelay(err.RetryAfter))
	}
	return st
}
