package collector

import (
	"errors"

	"github.com/rollcall-dev/rollcall/report"
)

// A Received heartbeat is one that was read, judged by package report, and awaits being counted.
type Received struct {
	App       AppNum
	Heartbeat report.Heartbeat
	Dropped   report.Dropped
	// Country is an ISO 3166-1 code, or empty for not known.
	Country string
}

// A ReceivedHealth report is one that was read, judged by package report, and awaits being counted.
type ReceivedHealth struct {
	App     AppNum
	Report  report.HealthReport
	Dropped report.Dropped
	// Events, where the sender names them, are opaque identities of what happened: at most MaxEvents a group. An event
	// that is known already is not counted again, and the group's own count is not used.
	Events [][]string
}

// MaxEvents bounds the events of a health report of the YA-WAMF wire format.
const MaxEvents = 250

// A Receipt says what became of a report that was accepted. By then it is durable.
type Receipt struct {
	// Repeated says that nothing changed: the same report was counted before.
	Repeated bool
	// New says that the installation was seen for the first time.
	New bool
	// Counted and Known are how many events of a health report were counted, and were known already.
	Counted, Known int
}

// Errors with which a report is refused. With all but ErrGone the sender may try again later.
var (
	// ErrBusy says that too much waits to be written.
	ErrBusy = errors.New("too much to do")
	// ErrNewLimit says that no more new installations are taken today.
	ErrNewLimit = errors.New("too many new installations today")
	// ErrUnknownApp says that there is no such app.
	ErrUnknownApp = errors.New("unknown app")
	// ErrGone says that nothing more is wanted from the app.
	ErrGone = errors.New("app is gone")
	// ErrClosed says that the collector stops or has stopped.
	ErrClosed = errors.New("collector is closed")
)

// Reasons of refusal beside the codes of package report.
const (
	RefusedRate       = "rate_limited"
	RefusedNew        = "new_limited"
	RefusedUnknownApp = "unknown_app"
	RefusedGone       = "gone"
	RefusedBusy       = "busy"
	RefusedStore      = "store_unavailable"
	RefusedFaults     = "too_many_faults"
)
