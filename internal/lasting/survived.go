package lasting

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"time"

	"github.com/rollcall-dev/rollcall/internal/schedule"
)

// longEnough is how long something must have been in a doubtful place to be
// taken for something that stays there.
const longEnough = 30 * 24 * time.Hour

// A Survival says since when a text has been where it is. The zero value says
// nothing. The text itself is not kept, only a hash of it.
type Survival struct {
	since time.Time
	hash  string
}

// Begin returns the survival of a text that begins now. It is zero while the
// clock cannot be right, such as after a start without a battery.
func Begin(text string, now time.Time) Survival {
	if !schedule.Plausible(now) {
		return Survival{}
	}
	return Survival{now.UTC().Truncate(time.Second), hashOf(text)}
}

// Parse parses what [Survival.String] returned. Anything else is the zero value.
func Parse(line string) Survival {
	at, hash, _ := strings.Cut(line, " ")
	since, err := time.Parse(time.RFC3339, at)
	if err != nil || len(hash) != hashLen || !schedule.Plausible(since) {
		return Survival{}
	}
	return Survival{since, hash}
}

// String returns the survival as a line of text.
func (s Survival) String() string { return s.since.Format(time.RFC3339) + " " + s.hash }

// Of reports whether the survival is that of text, and began before now. One
// that begins in the future was written by a wrong clock.
func (s Survival) Of(text string, now time.Time) bool {
	return s.hash == hashOf(text) && !s.since.After(now)
}

// Long reports whether text has survived for 30 days. Nothing is remembered of
// it: when a clock that was wrong is set right, the answer is right again.
func (s Survival) Long(text string, now time.Time) bool {
	return s.Of(text, now) && schedule.Plausible(now) && now.Sub(s.since) >= longEnough
}

const hashLen = 16

func hashOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])[:hashLen]
}
