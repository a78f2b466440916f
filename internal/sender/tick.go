package sender

import (
	"cmp"
	"context"
	"time"

	"github.com/rollcall-dev/rollcall/internal/schedule"
)

// pollEvery bounds how long the sender sleeps. A clock may be set, or run
// on while the machine is suspended.
const pollEvery = 15 * time.Minute

// tick runs when the timer fires. It sends a report if one is due, and
// sets the timer again.
func (s *Sender) tick() {
	ctx, leave, err := s.enter(context.Background(), true)
	if err != nil {
		return
	}
	defer leave()
	s.mu.Lock()
	s.wakes++
	mine := s.wakes
	s.mu.Unlock()

	var next time.Time
	again := time.Now().Add(pollEvery)
	if release, err := s.acquire(ctx); err == nil {
		defer release()
		next, again = s.check(ctx)
	}

	s.mu.Lock()
	defer s.mu.Unlock()
	if ctx.Err() == nil {
		s.next = next.UTC().Truncate(time.Second)
	}
	if s.life.Err() == nil && s.wakes == mine {
		s.timer.Reset(min(time.Until(again), pollEvery))
	}
}

// check sends a report if one is due. It returns when the next one is,
// zero if that is unknown, and when to check again. The caller holds the
// token.
func (s *Sender) check(ctx context.Context) (next, again time.Time) {
	later := time.Now().Add(pollEvery)
	if !s.config.Allowed(ctx) {
		return time.Time{}, later
	}
	id, settled := s.config.ID(ctx)
	now := time.Now()
	if !settled || !schedule.Plausible(now) {
		return time.Time{}, now.Add(schedule.FirstDelay)
	}
	phase, unread := schedule.PhaseOf(id), s.load(ctx) != nil
	st, process := s.current(unread)
	if st.GoneAt(s.config.Endpoint) {
		return time.Time{}, later
	}
	if seen := st.Seen(phase, now, process.Age); seen != st {
		if unread {
			s.set(seen)
		} else {
			s.save(ctx, seen)
		}
		st, process = s.current(unread)
	}
	if next = process.Next(phase, st, now); next.After(now) {
		return next, next
	}
	if err := s.send(ctx, phase, process.Blind); err != nil {
		s.config.Logger.Debug(cmp.Or(s.config.Failed, "Heartbeat not sent"), "error", err.Error())
	}
	st, process = s.current(unread)
	now = time.Now()
	if next = process.Next(phase, st, now); next.After(now) {
		return next, next
	}
	return next, now.Add(schedule.FirstDelay) // no tight loop, whatever went wrong
}

// current returns the state, and this process as the schedule sees it.
// unread means that the state on disk could not be read.
func (s *Sender) current(unread bool) (schedule.State, schedule.Process) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	p := schedule.Process{Age: now.Sub(s.started), Jitter: s.jitter, Blind: s.state.IsAhead(now)}
	if p.Idle = p.Age; s.tried.IsZero() {
		p.Blind = p.Blind || unread || !s.saved
	} else {
		p.Idle = now.Sub(s.tried)
	}
	return s.state, p
}
