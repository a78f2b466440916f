package sender

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/rollcall-dev/rollcall/internal/schedule"
)

const (
	heartbeatPath     = "/v1/heartbeat"
	healthPath        = "/v1/health"
	installationsPath = "/v1/installations/"
)

// SendIfDue sends a report if one is due, within ctx. It is for programs
// that do not run long: it does not wait for the moment, and fails with
// ErrNotDue. If the state cannot be saved it sends nothing and fails with
// ErrNotKept.
func (s *Sender) SendIfDue(ctx context.Context) error {
	return s.exclusive(ctx, func(ctx context.Context, phase schedule.Phase) error {
		if err := s.load(ctx); err != nil {
			return err
		}
		st, _ := s.current(false)
		now := time.Now()
		switch {
		case st.GoneAt(s.config.Endpoint) || !schedule.Plausible(now):
			return ErrNotDue
		case st.IsAhead(now):
			s.save(ctx, st.Restart(phase, now))
			return ErrNotDue
		case st.Due(phase, now).After(now):
			return ErrNotDue
		}
		return s.send(ctx, phase, false)
	})
}

// SendNow sends a report whether one is due or not, if consent stands. If
// an attempt failed, the error is an *[Error].
func (s *Sender) SendNow(ctx context.Context) error {
	return s.exclusive(ctx, func(ctx context.Context, phase schedule.Phase) error {
		if err := s.load(ctx); err != nil {
			s.config.Logger.Debug("Sending state not read", "error", err.Error())
		}
		return s.send(ctx, phase, true)
	})
}

// exclusive calls fn with the token, if consent stands then.
func (s *Sender) exclusive(ctx context.Context, fn func(ctx context.Context, phase schedule.Phase) error) error {
	ctx, leave, err := s.enter(ctx, true)
	if err != nil {
		return err
	}
	defer leave()
	release, err := s.acquire(ctx)
	if err != nil {
		return err
	}
	defer release()
	if !s.config.Allowed(ctx) {
		return ErrWithheld
	}
	id, settled := s.config.ID(ctx)
	if !settled {
		return ErrNoID
	}
	return fn(ctx, schedule.PhaseOf(id))
}

// Forget asks the collector to delete all it holds about the installation.
func (s *Sender) Forget(ctx context.Context, id string) error {
	return s.request(ctx, "DELETE", installationsPath+id, nil)
}

// Upload sends a heartbeat that was made elsewhere, where consent was given.
// It does not ask for consent here, and saves no state.
func (s *Sender) Upload(ctx context.Context, body []byte) error {
	return s.request(ctx, "POST", heartbeatPath+"?exported=true", body)
}

// request makes one request that does not concern the schedule.
func (s *Sender) request(ctx context.Context, method, path string, body []byte) error {
	ctx, leave, err := s.enter(ctx, false)
	if err != nil {
		return err
	}
	defer leave()
	do, failed := s.reach(ctx)
	if failed == nil {
		_, failed = do(ctx, Message{Method: method, URL: s.config.Endpoint + path, Body: body})
	}
	if failed != nil {
		return failed
	}
	return nil
}

// send makes one attempt and saves the outcome. blind sends even if the
// state cannot be saved. The caller holds the token.
func (s *Sender) send(ctx context.Context, phase schedule.Phase, blind bool) error {
	ctx, stop := whileAllowed(ctx, s.config.Allowed)
	defer stop()

	// The attempt is saved before it is made. It counts if the process ends
	// in the middle of it, and replicas see it.
	before, _ := s.current(false)
	saved := s.save(ctx, before.Begin(time.Now(), rand.Float64()))
	if !s.mayTry(saved || blind) {
		s.set(before)
		return ErrNotKept
	}

	do, failed := s.attempt(ctx)
	var err error
	switch {
	case failed == nil:
		st, _ := s.current(false)
		s.save(ctx, st.Succeeded(time.Now()))
	case errors.Is(ctx.Err(), context.Canceled):
		err = context.Cause(ctx) // by Stop, Withdraw or the caller: it is no failure of the collector
	case errors.Is(failed.Err, ErrWithheld):
		err = failed.Err // nor is this
	default:
		err = failed
		st, _ := s.current(false)
		s.save(ctx, st.Failed(phase, time.Now(), s.config.Endpoint, failed, rand.Float64()))
	}
	s.config.Ended(false, err)
	if err == nil {
		s.sendHealth(ctx, do)
	}
	return err
}

// mayTry reports whether an attempt may be made, and notes it if so. The
// first one of a process may only if it is known what was sent before.
func (s *Sender) mayTry(known bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !known && s.tried.IsZero() {
		return false
	}
	s.tried = time.Now()
	return true
}

// attempt makes the report and posts it, or asks.
func (s *Sender) attempt(ctx context.Context) (Requester, *Error) {
	do, failed := s.reach(ctx)
	if failed != nil {
		return nil, failed
	}
	if s.config.Ask != nil {
		return do, s.config.Ask(ctx, do)
	}
	about := s.about(ctx)
	body, err := s.config.Heartbeat(ctx)
	if err != nil {
		return nil, &Error{Text: schedule.Plain("the report could not be made: " + err.Error()), Err: err}
	}
	return do, s.post(ctx, do, heartbeatPath, body, about)
}

// about returns the ID that a report says which is made now, or "".
func (s *Sender) about(ctx context.Context) string {
	id, _ := s.config.ID(ctx)
	return id
}

// post sends a report. Before is what about returned before it was made.
func (s *Sender) post(ctx context.Context, do Requester, path string, body []byte, before string) *Error {
	m := Message{Method: "POST", URL: s.config.Endpoint + path, Body: body}
	if s.about(ctx) == before { // or the ID was replaced meanwhile
		m.About = before
	}
	_, failed := do(ctx, m)
	return failed
}

func (s *Sender) reach(ctx context.Context) (Requester, *Error) {
	do, err := s.connect(ctx)
	if err != nil {
		return nil, &Error{Text: schedule.Plain(err.Error()), Err: err}
	}
	return do, nil
}

// sendHealth sends the health report after an accepted heartbeat. A failure
// is only logged: counts are cumulative, so the next report makes up for it.
func (s *Sender) sendHealth(ctx context.Context, do Requester) {
	st, _ := s.current(false)
	if s.config.Health == nil || ctx.Err() != nil || st.HealthGoneAt(s.config.Endpoint) {
		return
	}
	about := s.about(ctx)
	body, sent := s.config.Health(ctx)
	if body == nil {
		return
	}
	if s.config.HealthAllowed != nil {
		var stop func()
		ctx, stop = whileAllowed(ctx, s.config.HealthAllowed)
		defer stop()
	}
	if err := s.post(ctx, do, healthPath, body, about); err != nil {
		s.config.Logger.Debug("Health report not sent", "error", err.Error())
		if err.Gone {
			s.save(ctx, st.WithHealthGone(s.config.Endpoint))
		}
		if errors.Is(ctx.Err(), context.Canceled) {
			s.config.Ended(true, context.Cause(ctx))
		} else {
			s.config.Ended(true, err)
		}
		return
	}
	if sent != nil {
		sent()
	}
	s.config.Ended(true, nil)
}
