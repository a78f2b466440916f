package engine

import (
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
)

const (
	// maxStep is how far the clock may step while the collector runs, and how
	// far back at any time, without another day being doubted: time servers step
	// less. What the clock reads within the day being counted never matters.
	maxStep = time.Hour
	// maxDowntime is how long the collector may have been stopped without the
	// day being doubted: a long weekend.
	maxDowntime = 72 * time.Hour
)

// A clock judges what the computer's clock reads by the last reading that was
// trusted. It belongs to the writer.
type clock struct {
	wall func() time.Time
	// trusted is the last trusted reading; at is when that was, on the monotonic
	// clock. stored means that the reading is from the store, so that the
	// collector was stopped for a while that only the clock knows.
	trusted, at time.Time
	stored      bool
	// saved is when a checkpoint last wrote it.
	saved time.Time
}

// read returns what the clock reads, without the monotonic clock.
func (c *clock) read() time.Time { return c.wall().Round(0) }

func (c *clock) trust(wall time.Time) {
	c.trusted, c.at, c.stored = wall, time.Now(), false
}

// restore begins with a reading from the store.
func (c *clock) restore(wall time.Time) {
	c.trusted, c.at, c.stored = wall.Round(0), time.Now(), true
}

// expected returns what the clock should read, if the collector was not stopped.
func (c *clock) expected() time.Time { return c.trusted.Add(time.Since(c.at)) }

// plausible reports whether a reading follows from the last trusted one.
func (c *clock) plausible(wall time.Time) bool {
	ahead := maxStep
	if c.stored {
		ahead = maxDowntime
	}
	jump := wall.Sub(c.expected())
	return -maxStep <= jump && jump <= ahead
}

// asExpected reports whether a reading is within maxStep of the expected one.
// That ends a doubt. A long downtime, which plausible allows for, does not: the
// doubt began with a step of the clock.
func (c *clock) asExpected(wall time.Time) bool {
	return wall.Sub(c.expected()).Abs() <= maxStep
}

// A clockRecord is what is stored of the clock.
type clockRecord struct {
	Trusted time.Time `json:"trusted"`
	// Held means that each app has put a day aside, and For is how long ago that
	// was, without the time that the collector was stopped.
	Held bool          `json:"held,omitzero"`
	For  time.Duration `json:"for,omitzero"`
}

// clockRecord returns the record of the clock. While the clock is not trusted,
// it has what the clock is expected to read.
func (e *Engine) clockRecord() collector.Record {
	r := clockRecord{Trusted: e.clock.trusted.UTC()}
	if e.held != nil {
		r = clockRecord{Trusted: e.clock.expected().UTC(), Held: true, For: e.held.duration()}
	}
	return jsonRecord(collector.RecordKey{Kind: kindClock}, r)
}

// clockDay returns the day that the clock reads; the one being counted while the
// clock is not trusted.
func (e *Engine) clockDay() collector.Day {
	if !e.Clock().Trusted {
		return e.Clock().Day
	}
	return collector.DayOf(e.clock.read())
}

// Clock says whether the clock is trusted.
func (e *Engine) Clock() collector.Clock {
	return *e.clockState.Load()
}

// publishClock updates what Clock returns.
func (e *Engine) publishClock(wall time.Time) {
	state := &collector.Clock{Trusted: true, Day: e.day}
	if h := e.held; h != nil {
		*state = collector.Clock{
			Day: e.day, Reads: wall.UTC().Truncate(time.Second), Expected: e.clock.expected().UTC().Truncate(time.Second),
			Agree: len(h.agree), Against: len(h.against), Needed: h.needed(),
		}
	}
	e.clockState.Store(state)
}
