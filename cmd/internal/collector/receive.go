package collector

import (
	"errors"
	"time"

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

// Held is everything that a collector holds about one installation of one app.
type Held struct {
	App         string `json:"app"`
	FirstSeen   Day    `json:"first_seen"`
	LastSeen    Day    `json:"last_seen"`
	Days        []Day  `json:"days"`
	Established bool   `json:"established"`
	// InMemory says that the ID is not persisted, and Excluded that it runs a development version of an app that excludes
	// those: it is held for today only then.
	InMemory bool              `json:"in_memory,omitzero"`
	Excluded bool              `json:"excluded,omitzero"`
	Values   map[string]string `json:"values"` // by dimension
	Faults   []HeldFault       `json:"faults"`
}

// A HeldFault is one fault of an installation.
type HeldFault struct {
	Source    string `json:"source"`
	Component string `json:"component"`
	Reason    string `json:"reason"`
	Stage     string `json:"stage"`
	Severity  string `json:"severity"`
	// Count is how often it happened in all, Since when the counting that was last reported began, and Last the day of
	// the last report that had something new.
	Count uint64    `json:"count"`
	Since time.Time `json:"since,omitzero"`
	Last  Day       `json:"last"`
}

// A Deletion is the receipt for deleting an installation.
type Deletion struct {
	// Deleted is from how many apps it was deleted: 0 when nothing was held.
	Deleted int       `json:"deleted"`
	At      time.Time `json:"at"`
}
