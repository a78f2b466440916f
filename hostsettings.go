package rollcall

import (
	"context"
	"fmt"

	"github.com/rollcall-dev/rollcall/internal/flight"
	"github.com/rollcall-dev/rollcall/internal/idstore"
)

// saveInHost saves a decision in the host's settings and keeps the others. If
// these cannot be read, a denial is saved for all of them. Concurrent decisions
// wait for each other, so that none overwrites another.
func (s *Service) saveInHost(ctx context.Context, subject idstore.Subject, decision Consent) error {
	_, err := flight.Do(ctx, &s.deciding, "save a decision in the host's settings", func(ctx context.Context) (struct{}, error) {
		return struct{}{}, s.replaceInHost(ctx, subject, decision)
	})
	return err
}

func (s *Service) replaceInHost(ctx context.Context, subject idstore.Subject, decision Consent) error {
	now, err := flight.Do(ctx, &s.asking, "ask the host for the consent", s.config.Consent.Load)
	switch {
	case err != nil && decision == Granted:
		return err
	case err != nil:
		now = Consents{Telemetry: Denied, Health: Denied, UpdateCheck: Denied}
	case subject == idstore.Health:
		now.Health = decision
	case subject == idstore.UpdateCheck:
		now.UpdateCheck = decision
	default:
		now.Telemetry = decision
	}
	_, err = flight.Do(ctx, &s.asking, "save the consent in the host's settings", func(ctx context.Context) (struct{}, error) {
		return struct{}{}, s.config.Consent.Save(ctx, now)
	})
	return err
}

// hostDecides says where only the host can change a decision.
func (s *Service) hostDecides() error {
	if s.place.Name == "" {
		return ErrHostDecides
	}
	return fmt.Errorf("%w: %s", ErrHostDecides, s.place.Name)
}

// ConsentChanged reads the operator's decisions anew and follows them at once,
// as [Service.SetConsent] does: a host calls it after it changed its own
// settings. Without the call a denial stops the next report all the same, since
// every report asks first; but the status stays as it was, and faults that
// happen before the next reading are lost. It does not end a denial made
// through Rollcall. Only SetConsent does, so a host's own switch for the
// operator calls that. It waits no longer than ctx and two seconds.
func (s *Service) ConsentChanged(ctx context.Context) Decisions {
	if s == nil {
		return s.Decisions(ctx)
	}
	s.changes.Add(1) // what was read before does not count
	d := s.Decisions(ctx)
	if s.checker() != nil {
		if d.UpdateCheck.State != Granted {
			s.checker().sender.Withdraw()
		}
		s.checker().sender.Wake() // also to forget
	}
	if s.sender == nil {
		return d
	}
	if d.Telemetry.State != Granted || d.Health.State != Granted && s.healthUnderWay.Load() {
		s.sender.Withdraw()
	} else {
		s.sender.Wake()
	}
	return d
}
