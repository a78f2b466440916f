package schedule

import "time"

const (
	// The first retry comes at a random moment from retryMin to retryMax
	// after a failure, each further one after twice that. A fleet then
	// recovers from an outage of six hours over the following half day, at
	// less than twice the usual rate, and from the longest one at less than
	// three times; see TestRecovery.
	retryMin = 3 * time.Hour
	retryMax = 12 * time.Hour

	// dailyAttempts bounds the attempts of a day (UTC), over restarts. After
	// slowAfter without a success it is one a day, and after verySlowAfter
	// one a week.
	dailyAttempts = 4
	slowAfter     = 14 * day
	verySlowAfter = 60 * day

	// longestWait is the longest wait that a failure can lead to.
	longestWait = maxRetryAfter + 2*retryMax
)

// An Error says how an attempt failed.
type Error struct {
	// Text says it in plain words: one short line, without secrets.
	Text string
	// Status is the HTTP status of the collector's answer; 0 if there was none.
	Status int
	// RetryAfter is how long the collector asked to wait, one minute to seven
	// days; 0 if it did not.
	RetryAfter time.Duration
	// Refused means that the same report would be refused again (4xx).
	Refused bool
	// Gone means that the endpoint never wants a report again (410).
	Gone bool
	// Err is the cause; nil if the collector answered. Its text may quote what
	// a server or a proxy said.
	Err error
}

func (e *Error) Error() string { return e.Text }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// retryWait returns the wait after a failed attempt. luck is random, from
// 0 to below 1.
func retryWait(first bool, asked time.Duration, luck float64) time.Duration {
	wait := retryMin + time.Duration(luck*float64(retryMax-retryMin))
	if !first {
		wait *= 2
	}
	return asked + wait
}

// Begin returns the state at the start of an attempt. luck is random, from
// 0 to below 1.
func (st State) Begin(now time.Time, luck float64) State {
	st = st.trusted(now)
	now = now.UTC().Truncate(time.Second)
	if !now.Truncate(day).Equal(st.Attempt.Truncate(day)) {
		st.Attempts = 0
	}
	st.Attempts++
	st.Attempt = now
	// Should the process end before it knows the outcome.
	st.Retry = now.Add(retryWait(st.Failing.IsZero(), 0, luck))
	return st
}

// Succeeded returns the state after an accepted report.
func (st State) Succeeded(now time.Time) State {
	st.Success = now.UTC().Truncate(time.Second)
	st.Since, st.Failing, st.Retry = time.Time{}, time.Time{}, time.Time{}
	st.Error, st.Gone = "", ""
	return st
}

// Failed returns the state after an attempt at the endpoint that failed.
// luck is random, from 0 to below 1.
func (st State) Failed(p Phase, now time.Time, endpoint string, e *Error, luck float64) State {
	now = now.UTC().Truncate(time.Second)
	first := st.Failing.IsZero()
	if first || st.Failing.After(now) {
		st.Failing = now
	}
	st.Error = Plain(e.Text)
	switch {
	case e.Gone:
		st.Gone = mark(endpoint)
	case e.Refused:
		st.Retry = p.Slot(now.Add(day))
	default:
		st.Retry = now.Add(retryWait(first, e.RetryAfter, luck))
	}
	return st
}

// budget returns the time until which no attempt is left.
func (st State) budget(p Phase) time.Time {
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
		return p.Slot(st.Attempt.Add(day)) // not midnight, when all others are back too
	}
	return time.Time{}
}
