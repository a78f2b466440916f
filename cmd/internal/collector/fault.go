package collector

import "errors"

// A FaultStatus is the maintainer's triage of a fault.
type FaultStatus string

// The values of [FaultStatus].
const (
	FaultOpen    FaultStatus = "open"
	FaultIgnored FaultStatus = "ignored"
	FaultFixed   FaultStatus = "fixed"
)

// MaxNoteLen bounds the note of a fault, in characters.
const MaxNoteLen = 500

// ErrFault means that no fault has that ID.
var ErrFault = errors.New("unknown fault")
