package collector

import (
	"errors"
	"time"

	"github.com/rollcall-dev/rollcall/report"
)

// A Received is a heartbeat that package report has parsed, ready to count.
type Received struct {
	App       AppNum
	Heartbeat report.Heartbeat
	// Key, if not zero, stands for the installation ID, which the heartbeat then
	// need not have: a receiver has hashed it.
	Key     Key
	Dropped report.Dropped
	// Country is an ISO 3166-1 code, or empty if unknown.
	Country string
	// Legacy means that it came in the YA-WAMF wire format. If another sender
	// reports the installation too, it has the values of both.
	Legacy bool
	// Exported means that the report was written to a file, and is sent later: it
	// counts on the day that it was made, if that is one of the last 30.
	Exported bool
	// Prefix stands for the network that the report came from, by a keyed hash;
	// 0 is unknown. It bounds the new names and values from one network, shows
	// IDs that many networks share, and is never stored.
	Prefix uint64
}

// A ReceivedHealth is a health report that package report has parsed, ready to
// count.
type ReceivedHealth struct {
	App    AppNum
	Report report.HealthReport
	// Key and Legacy are as in Received.
	Key     Key
	Legacy  bool
	Dropped report.Dropped
	// Events, if the sender names them, identify the occurrences of each fault,
	// at most MaxEvents per fault. Known events are not counted again, and the
	// fault's own count is ignored.
	Events [][]string
	// Batch, if the sender names it and no Events, identifies the report. Counts
	// are those since the report before, and a known report is not counted again.
	Batch string
	// Prefix is as in Received.
	Prefix uint64
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

// Errors that refuse a report. The sender may retry after all but ErrGone and
// ErrRefusedID.
var (
	// ErrBusy means that the queue is full.
	ErrBusy = errors.New("too many reports are waiting")
	// ErrNewLimit means that the app accepts no more new installations today.
	ErrNewLimit = errors.New("too many new installations today")
	// ErrUnknownApp means that there is no such app.
	ErrUnknownApp = errors.New("unknown app")
	// ErrGone means that the app wants no more reports.
	ErrGone = errors.New("app is gone")
	// ErrRefusedID means that the app refuses the installation ID.
	ErrRefusedID = errors.New("installation ID is refused")
	// ErrClosed means that the collector is stopping or has stopped.
	ErrClosed = errors.New("collector is closed")
)

// A LimitError refuses what exceeds a limit of its sender.
type LimitError struct {
	// Reason is RefusedRate or RefusedNew.
	Reason string
	// Wait is when the sender may try again.
	Wait time.Duration
}

// Error implements error.
func (e *LimitError) Error() string { return "limit exceeded: " + e.Reason }

// Reasons for refusing a report, in addition to the codes of package report.
const (
	RefusedRate       = "rate_limited"
	RefusedNew        = "new_limited"
	RefusedUnknownApp = "unknown_app"
	RefusedGone       = "gone"
	RefusedByID       = "refused_id"
	RefusedBusy       = "busy"
	RefusedStore      = "store_unavailable"
	RefusedFaults     = "too_many_faults"
)
