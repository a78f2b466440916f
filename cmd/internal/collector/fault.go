package collector

import "errors"

// A FaultStatus is what the maintainer says of a fault.
type FaultStatus string

// The values of [FaultStatus].
const (
	FaultOpen    FaultStatus = "open"
	FaultIgnored FaultStatus = "ignored"
	FaultFixed   FaultStatus = "fixed"
)

// MaxNoteLen bounds the note of a fault, in characters.
const MaxNoteLen = 500

// ErrFault says that there is no fault of that ID.
var ErrFault = errors.New("unknown fault")
