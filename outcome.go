package rollcall

import (
	"errors"
	"time"

	"github.com/rollcall-dev/rollcall/installid"
	"github.com/rollcall-dev/rollcall/internal/sender"
)

// Transport is an http.RoundTripper, except in a build with the tag
// rollcall_nosend, which links no package net/http.
type Transport = sender.RoundTripper

// A ReportOutcome is how an attempt to send a report ended.
type ReportOutcome struct {
	Kind   ReportKind
	Result ReportResult
	// At is when it ended.
	At time.Time
	// Err is nil if the report was sent. It is a [*SendError] if a request
	// failed, an [ErrWithheld], or the cause that ended the context.
	Err error
}

// A ReportKind is what was to be sent.
type ReportKind string

// The kinds of reports.
const (
	KindHeartbeat ReportKind = "heartbeat"
	KindHealth    ReportKind = "health"
)

// ReportKinds returns all kinds.
func ReportKinds() []ReportKind { return []ReportKind{KindHeartbeat, KindHealth} }

// A ReportResult is how an attempt to send ended.
type ReportResult string

// The results of attempts to send.
const (
	ReportSent     ReportResult = "sent"     // the collector accepted it
	ReportRefused  ReportResult = "refused"  // the collector would refuse it again, or wants none
	ReportFailed   ReportResult = "failed"   // no answer, or one that asks to try again
	ReportWithheld ReportResult = "withheld" // the operator has not granted it, or withdrew it meanwhile
)

// ReportResults returns all results, for callers that export a series for each.
func ReportResults() []ReportResult {
	return []ReportResult{ReportSent, ReportRefused, ReportFailed, ReportWithheld}
}

// A ReportObserver is an Observer that is told of reports too. Calls of its own
// methods are serialized with each other, but not with the other ones. A panic
// is ignored.
type ReportObserver interface {
	installid.Observer
	// ReportEnded is called after each attempt to send a report.
	ReportEnded(ReportOutcome)
	// ReportingChanged is called when it is first known whether reports are
	// withheld and when one was last accepted, and when either changes. The
	// service notices at the latest 15 minutes after a start and after a change
	// of the settings.
	ReportingChanged(ReportingStatus)
}

// reportEnded tells the host how an attempt ended.
func (s *Service) reportEnded(health bool, err error) {
	o := ReportOutcome{Kind: KindHeartbeat, Result: ReportSent, At: time.Now().UTC(), Err: sendError(err)}
	if health {
		o.Kind = KindHealth
	}
	failed, _ := o.Err.(*SendError)
	switch {
	case err == nil:
	case errors.Is(err, ErrWithheld):
		o.Result = ReportWithheld
	case failed != nil && (failed.Refused || failed.Gone):
		o.Result = ReportRefused
	default:
		o.Result = ReportFailed
	}
	if s.config.Reporting.Ended != nil {
		ignoringPanic(func() { s.config.Reporting.Ended(o) })
	}
	if s.observer != nil {
		s.observing.Lock()
		ignoringPanic(func() { s.observer.ReportEnded(o) })
		s.observing.Unlock()
		s.observeReporting()
	}
}

// observeReporting tells the observer of the state of sending if it has changed.
func (s *Service) observeReporting() {
	if s.observer == nil {
		return
	}
	st := s.Status().Reporting
	s.observing.Lock()
	defer s.observing.Unlock()
	if last := s.observed; last != nil && last.Withheld == st.Withheld && last.LastSuccess.Equal(st.LastSuccess) {
		return
	}
	s.observed = &st
	ignoringPanic(func() { s.observer.ReportingChanged(st) })
}

func ignoringPanic(call func()) {
	defer func() { _ = recover() }()
	call()
}
