package collector

import (
	"errors"
	"time"
)

// A FaultStatus is the maintainer's triage of a fault.
type FaultStatus string

// The values of [FaultStatus].
const (
	FaultOpen    FaultStatus = "open"
	FaultIgnored FaultStatus = "ignored"
	FaultFixed   FaultStatus = "fixed"
)

// A Triage is what a maintainer said of a fault.
type Triage struct {
	Status FaultStatus `json:"status"`
	// FixedIn is a version. It is for FaultFixed, and may be empty.
	FixedIn string `json:"fixed_in"`
	Note    string `json:"note"`
	// By names who said it, and At says when: the collector sets At.
	By string    `json:"by"`
	At time.Time `json:"at"`
}

// MaxTriage bounds the triage that is kept of a fault: the latest.
const MaxTriage = 50

// MaxNoteLen bounds the note of a fault, in characters.
const MaxNoteLen = 500

// ErrNotPublic means that the public may not ask a question.
var ErrNotPublic = errors.New("the answer is not public")

// ErrVersion means that the version was never seen.
var ErrVersion = errors.New("unknown version")

// ErrFault means that no fault has that ID.
var ErrFault = errors.New("unknown fault")
