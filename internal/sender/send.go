package sender

import (
	"context"
	"errors"
	"sync"
	"time"
)

const (
	// withdrawnEvery is how often consent is looked at while a request is under way.
	withdrawnEvery = 250 * time.Millisecond

	heartbeatPath = "/v1/heartbeat"
	healthPath    = "/v1/health"
	installPath   = "/v1/installations/"
)

// SendIfDue sends if a report is due, within ctx: for programs that do not run long. It does not wait for the moment,
// and fails with ErrNotDue. Where nothing can be kept on disk it sends nothing and fails with ErrNotKept.
func (s *Sender) SendIfDue(ctx context.Context) error {
	return s.withTurn(ctx, func(ctx context.Context, phase time.Duration) error {
		if err := s.reload(ctx); err != nil {
			return err
		}
		st, _ := s.current(false)
		now := time.Now()
		switch {
		case s.isGone(st.Gone) || !plausible(now):
			return ErrNotDue
		case st.isAhead(now):
			// The clock was wrong, or is: begin anew, and not before tomorrow.
			st = st.upTo(now).seen(phase, now, 0)
			st.Retry = slot(phase, now.Add(day))
			s.keep(ctx, st)
			return ErrNotDue
		case due(phase, st, now).After(now):
			return ErrNotDue
		}
		return s.send(ctx, phase, false)
	})
}

// SendNow sends whether a report is due or not; only consent is asked for. The error of an attempt is an *Error.
func (s *Sender) SendNow(ctx context.Context) error {
	return s.withTurn(ctx, func(ctx context.Context, phase time.Duration) error {
		if err := s.reload(ctx); err != nil {
			s.config.Logger.Debug("Sending state not read", "error", err.Error())
		}
		return s.send(ctx, phase, true)
	})
}

// withTurn calls fn when it is its turn and if consent stands then.
func (s *Sender) withTurn(ctx context.Context, fn func(ctx context.Context, phase time.Duration) error) error {
	ctx, leave, err := s.enter(ctx, true)
	if err != nil {
		return err
	}
	defer leave()
	giveBack, err := s.takeTurn(ctx)
	if err != nil {
		return err
	}
	defer giveBack()
	if !s.config.Allowed(ctx) {
		return ErrWithheld
	}
	id, settled := s.config.ID()
	if !settled {
		return ErrNoID
	}
	return fn(ctx, phaseOf(id))
}

// Forget asks the collector to delete all it holds about the installation.
func (s *Sender) Forget(ctx context.Context, id string) error {
	return s.request(ctx, func(ctx context.Context, p poster) *Error {
		return p.remove(ctx, s.config.Endpoint+installPath+id)
	})
}

// Upload sends a heartbeat that was made elsewhere, as `send FILE` does. It neither asks for consent, which was given
// where the report was made, nor keeps a state.
func (s *Sender) Upload(ctx context.Context, body []byte) error {
	return s.request(ctx, func(ctx context.Context, p poster) *Error {
		return p.post(ctx, s.config.Endpoint+heartbeatPath, body)
	})
}

// request makes one request that has nothing to do with the schedule.
func (s *Sender) request(ctx context.Context, fn func(context.Context, poster) *Error) error {
	ctx, leave, err := s.enter(ctx, false)
	if err != nil {
		return err
	}
	defer leave()
	p, failed := s.reach(ctx)
	if failed == nil {
		failed = fn(ctx, p)
	}
	if failed != nil {
		return failed
	}
	return nil
}

// send makes one attempt and keeps what came of it. blind allows it although that cannot be kept. The caller has the
// turn.
func (s *Sender) send(ctx context.Context, phase time.Duration, blind bool) error {
	ctx, end := whileAllowed(ctx, s.config.Allowed)
	defer end()

	// It is kept before it is made, so that a restart in the midst of it counts, and replicas see it.
	before, _ := s.current(false)
	kept := s.keep(ctx, before.begin(time.Now()))
	if !s.mayTry(kept || blind) {
		s.set(before)
		return ErrNotKept
	}

	p, failed := s.attempt(ctx)
	switch {
	case failed == nil:
	case errors.Is(ctx.Err(), context.Canceled):
		return context.Cause(ctx) // by Stop, by Withdraw or by the caller: it says nothing about the collector
	case errors.Is(failed.Err, ErrWithheld):
		return failed.Err // nor does this
	}
	st, _ := s.current(false)
	if failed != nil {
		s.keep(ctx, st.failed(phase, time.Now(), s.config.Endpoint, failed))
		return failed
	}
	s.keep(ctx, st.succeeded(time.Now()))
	s.sendHealth(ctx, p)
	return nil
}

// mayTry tells whether an attempt may be made, and notes that it is. It may when what was sent before is known, also from
// this process alone.
func (s *Sender) mayTry(known bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !known && s.tried.IsZero() {
		return false
	}
	s.tried = time.Now()
	return true
}

// attempt makes the report and posts it.
func (s *Sender) attempt(ctx context.Context) (poster, *Error) {
	p, failed := s.reach(ctx)
	if failed != nil {
		return nil, failed
	}
	body, err := s.config.Heartbeat(ctx)
	if err != nil {
		return nil, &Error{Text: plain("the report could not be made: " + err.Error()), Err: err}
	}
	return p, p.post(ctx, s.config.Endpoint+heartbeatPath, body)
}

func (s *Sender) reach(ctx context.Context) (poster, *Error) {
	p, err := s.open(ctx)
	if err != nil {
		return nil, &Error{Text: plain(err.Error()), Err: err}
	}
	return p, nil
}

// sendHealth follows an accepted heartbeat. That it fails is no more than a debug line: its counts are cumulative, so
// that the next one says it all.
func (s *Sender) sendHealth(ctx context.Context, p poster) {
	st, _ := s.current(false)
	if s.config.Health == nil || ctx.Err() != nil || s.isGone(st.HealthGone) {
		return
	}
	body, sent := s.config.Health(ctx)
	if body == nil {
		return
	}
	if s.config.HealthAllowed != nil {
		var end func()
		ctx, end = whileAllowed(ctx, s.config.HealthAllowed)
		defer end()
	}
	if err := p.post(ctx, s.config.Endpoint+healthPath, body); err != nil {
		s.config.Logger.Debug("Health report not sent", "error", err.Error())
		if err.Gone {
			st.HealthGone = mark(s.config.Endpoint)
			s.keep(ctx, st)
		}
		return
	}
	if sent != nil {
		sent()
	}
}

// whileAllowed gives a context that ends with errWithdrawn when consent no longer stands. end waits for a look at it that
// is under way.
func whileAllowed(ctx context.Context, allowed func(context.Context) bool) (_ context.Context, end func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	var looking sync.Mutex
	looking.Lock()
	defer looking.Unlock()
	var timer *time.Timer
	timer = time.AfterFunc(withdrawnEvery, func() {
		looking.Lock()
		defer looking.Unlock()
		if ctx.Err() != nil {
			return
		}
		if !allowed(ctx) {
			cancel(errWithdrawn) // which changes nothing if that is because ctx has ended
			return
		}
		timer.Reset(withdrawnEvery)
	})
	return ctx, func() {
		cancel(nil)
		looking.Lock()
		defer looking.Unlock()
		timer.Stop()
	}
}
