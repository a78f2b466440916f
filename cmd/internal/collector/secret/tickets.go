package secret

import "github.com/rollcall-dev/rollcall/cmd/internal/collector"

// TicketDays is how many days a TLS session ticket is accepted: its own day, and
// the two days when the installation is likely to report next.
const TicketDays = 3

// TicketKeys returns the keys for session tickets of TLS on a day. All owners of
// the secret have the same, so that any of them resumes what another one began.
// The first encrypts; the others decrypt tickets of the days before, and of the
// next one, which a clock elsewhere may have reached.
func (s *Secret) TicketKeys(day collector.Day) (keys [][32]byte) {
	of := func(day collector.Day) [32]byte { return [32]byte(s.Derive("session tickets of " + day.String())) }
	keys = append(keys, of(day), of(day+1))
	for before := 1; before < TicketDays; before++ {
		keys = append(keys, of(day-collector.Day(before)))
	}
	return keys
}
