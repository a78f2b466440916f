package collector

import (
	"errors"

	"github.com/rollcall-dev/rollcall/report"
)

// A Received is a heartbeat that package report has parsed, ready to count.
type Received struct {
	App       AppNum
	Heartbeat report.Heartbeat
	Dropped   report.Dropped
	// Country is an ISO 3166-1 code, or empty if unknown.
	Country string
}

// A ReceivedHealth is a health report that package report has parsed, ready to
// count.
type ReceivedHealth struct {
	App     AppNum
	Report  report.HealthReport
	Dropped report.Dropped
	// Events, if the sender names them, identify the occurrences of each fault,
	// at most MaxEvents per fault. Known events are not counted again, and the
	// fault's own count is ignored.
	Events [][]string
}

// MaxEvents bounds the events of a health report in the YA-WAMF wire format.
const MaxEvents = 250

// A Receipt describes a report that was accepted and is durable.
type Receipt struct {
	// Repeated means that the same report was counted before; nothing changed.
	Repeated bool
	// New means that the installation was seen for the first time.
	New bool
	// Counted and Known are the occurrences in a health report that were
	// counted now, and those that were counted before.
	Counted, Known int
}

// Errors that refuse a report. The sender may retry after all but ErrGone.
var (
	// ErrBusy means that the queue is full.
	ErrBusy = errors.New("too many reports are waiting")
	// ErrNewLimit means that the app accepts no more new installations today.
	ErrNewLimit = errors.New("too many new installations today")
	// ErrUnknownApp means that there is no such app.
	ErrUnknownApp = errors.New("unknown app")
	// ErrGone means that the app wants no more reports.
	ErrGone = errors.New("app is gone")
	// ErrClosed means that the collector is stopping or has stopped.
	ErrClosed = errors.New("collector is closed")
)

// Reasons for refusing a report, in addition to the codes of package report.
const (
	RefusedRate       = "rate_limited"
	RefusedNew        = "new_limited"
	RefusedUnknownApp = "unknown_app"
	RefusedGone       = "gone"
	RefusedBusy       = "busy"
	RefusedStore      = "store_unavailable"
	RefusedFaults     = "too_many_faults"
)
