package engine

import (
	"cmp"
	"context"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
)

const (
	// knownFor is how many days ago an installation that is known for long was
	// first seen. It is also established.
	knownFor = 14
	// votesNeeded is how many of these have to agree with a day: all of them, if
	// there are fewer. After a day one is enough: nearly all have reported by
	// then. After a week none is: nobody is left to be harmed, and the purge
	// still takes little by little. More must always agree than contradict.
	votesNeeded = 3
	fewVotes    = 24 * time.Hour
	noVotes     = 7 * 24 * time.Hour
	// believedFor is how long after a downtime nothing is purged, if known
	// installations neither agree nor contradict.
	believedFor = 6 * time.Hour
	// maxVoters bounds those that are remembered on each side. The day is
	// decided long before, unless the sides are equal.
	maxVoters = 10_000
)

// A holding is a time of provisional counting, because the clock is not trusted; or the first hours after a downtime that only the clock knows of.
type holding struct {
	// since is when it began on the monotonic clock, and before how long it had
	// lasted when the collector was started. Base is what the clock should have
	// read then, if the collector had not been stopped.
	since  time.Time
	before time.Duration
	base   time.Time
	// reads is what the clock read at the moment at.
	reads, at time.Time
	// need is the number of votes that decide at once. Young means that no
	// installation is known for long: all that are known vote.
	need  int
	young bool
	// agree and against are the installations whose clocks agree with ours, and
	// those that contradict it.
	agree, against map[ref]struct{}
}

// newHolding returns a holding with no votes.
func (e *Engine) newHolding(wall time.Time, before time.Duration) *holding {
	h := &holding{since: time.Now(), before: before, base: e.clock.expected()}
	var long, known uint64
	for _, f := range e.sorted() {
		long += f.established.CountRange(0, uint32(f.knownForLong()))
		known += uint64(f.knownBefore())
	}
	h.young = long == 0
	if h.young {
		long = known
	}
	h.need = int(min(votesNeeded, max(1, long)))
	h.reset(wall)
	return h
}

// knownForLong returns the number of the first installation that is not known for
// long: those with smaller numbers were first seen long ago.
func (f *fleet) knownForLong() collector.Num { return f.numAt(f.today - knownFor + 1) }

// knownBefore returns the number of the first installation that was first seen
// after the clock jumped, or today.
func (f *fleet) knownBefore() collector.Num {
	if f.aside != nil {
		return f.aside.Next
	}
	return f.numAt(f.today)
}

func (h *holding) reset(wall time.Time) {
	h.reads, h.at = wall, time.Now()
	h.agree, h.against = make(map[ref]struct{}), make(map[ref]struct{})
}

// follow forgets the votes if the clock has jumped again: they were about
// another time.
func (h *holding) follow(wall time.Time) {
	if wall.Sub(h.reads.Add(time.Since(h.at))).Abs() > maxStep {
		h.reset(wall)
	}
}

// duration returns how long it has lasted.
func (h *holding) duration() time.Duration { return h.before + time.Since(h.since) }

// needed returns how many installations have to agree by now.
func (h *holding) needed() int {
	switch d := h.duration(); {
	case d >= noVotes:
		return 0
	case d >= fewVotes:
		return 1
	}
	return h.need
}

// decided reports whether installations have confirmed what the clock reads.
func (h *holding) decided() bool {
	agree, against := len(h.agree), len(h.against)
	return agree >= h.needed() && (agree > against || against == 0)
}

// contradicted reports whether installations have contradicted what the clock
// reads.
func (h *holding) contradicted() bool {
	return len(h.against) >= h.need && len(h.against) > len(h.agree)
}

// voting returns the holding that reports vote in, or nil.
func (e *Engine) voting() *holding { return cmp.Or(e.held, e.believed) }

// vote takes the time that a report was made by its sender's clock as a vote for
// or against ours, if the sender has one. A clock that is behind the last trusted
// reading is one that does not work, and says nothing.
func (e *Engine) vote(f *fleet, num collector.Num, sentAt, wall time.Time) {
	h := e.voting()
	if num >= f.knownBefore() || !h.young && (num >= f.knownForLong() || !f.established.Has(uint32(num))) {
		return
	}
	voter := ref{f.num, num}
	delete(h.agree, voter)
	delete(h.against, voter)
	switch {
	case wall.Sub(sentAt).Abs() <= maxClockSkew:
		if len(h.agree) < maxVoters {
			h.agree[voter] = struct{}{}
		}
	case sentAt.After(h.base.Add(time.Since(h.since) - 24*time.Hour)):
		if len(h.against) < maxVoters {
			h.against[voter] = struct{}{}
		}
	}
}

// countVotes counts what durable reports say about the clock.
func (e *Engine) countVotes(ctx context.Context, t *tx) {
	h := e.voting()
	if h == nil {
		return
	}
	for _, v := range t.votes {
		e.vote(v.fleet, v.num, v.sentAt, t.now)
	}
	e.publishClock(t.now)
	if h.decided() || h.contradicted() && h == e.believed {
		// The reports are durable whether or not this works at once.
		if err := e.rollover(ctx); err != nil {
			e.complain("Day cannot be closed yet", err)
		}
	}
}
