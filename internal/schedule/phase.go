package schedule

import (
	"crypto/sha256"
	"encoding/binary"
	"time"
)

// A Phase is the time of day, in UTC, at which an installation reports.
type Phase time.Duration

// quiet is the end of the day (UTC), in which no slot lies. A report that
// comes up to MaxJitter after its slot still counts for that day, even if
// the clocks of both ends differ by a few minutes.
const quiet = 10 * time.Minute

// PhaseOf returns the phase of an installation, a whole second. Phases of
// random IDs are spread evenly and reveal nothing about the ID.
func PhaseOf(id string) Phase {
	sum := sha256.Sum256([]byte("rollcall heartbeat phase " + id))
	const seconds = uint64((day - quiet) / time.Second)
	return Phase(time.Duration(binary.BigEndian.Uint64(sum[:8])%seconds) * time.Second)
}

// Slot returns the moment of the day (UTC) at which the report is due.
func (p Phase) Slot(of time.Time) time.Time {
	return of.UTC().Truncate(day).Add(time.Duration(p))
}
