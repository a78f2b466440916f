package rollcall

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/rollcall-dev/rollcall/internal/consent"
	"github.com/rollcall-dev/rollcall/internal/flight"
	"github.com/rollcall-dev/rollcall/internal/idstore"
	"github.com/rollcall-dev/rollcall/internal/jsonedit"
	"github.com/rollcall-dev/rollcall/internal/keeper"
	"github.com/rollcall-dev/rollcall/report"
)

// consentTimeout bounds one read of the operator's decisions. What is not
// known by then is denied.
const consentTimeout = 2 * time.Second

var (
	errNoService   = errors.New("no service")
	errHostDecides = errors.New("the decision is kept in the host's own settings; change it there")
)

// A reading is what the places of the operator's decisions said.
type reading struct {
	policy   consent.Policy
	settings consent.Settings
	enabled  jsonedit.Value // the config's own value of the consent to telemetry
	err      error          // why the settings could not be read
}

// setUpConsent prepares the reading of the operator's decisions.
func (s *Service) setUpConsent(location idstore.Location) error {
	key, err := parseKey("Consent.Key", s.config.Consent.Key)
	if err != nil {
		return err
	}
	s.keys = consent.NewKeys(key)
	s.latest = consent.Versions{Schema: report.SchemaVersion, Facts: max(s.facts.declaration.Version(), 1)}
	switch {
	case s.config.Consent.Load != nil:
		s.place.Kind = consent.Host
	case s.config.ConfigPath != "":
		s.place.Kind = consent.Config
	default:
		s.place = consent.Source{Kind: consent.ConsentFile, Name: location.DecisionsPath()}
	}
	_, fixed := s.store.(*idstore.Fixed)
	s.storeReadsConsent = s.config.ConfigPath != "" && !fixed
	undecided := consent.HostSettings(consent.Unset, consent.Unset, consent.Versions{Schema: 1, Facts: 1})
	s.lastRead.Store(&reading{policy: s.unreadPolicy(), settings: undecided})
	return nil
}

// Decisions reads what the operator decided, as of now. An error, a torn file
// or a timeout reads as denied. It waits no longer than ctx and two seconds.
func (s *Service) Decisions(ctx context.Context) Decisions {
	if s == nil {
		nobody := Decision{Source: Source{Kind: SourceNobody}}
		return Decisions{Telemetry: nobody, Health: nobody}
	}
	return s.readAndDecide(ctx, s.readAll)
}

// readAndDecide reads within the time limit, remembers what was read, and decides.
func (s *Service) readAndDecide(ctx context.Context, read func(context.Context) reading) Decisions {
	limited, cancel := context.WithTimeout(ctx, consentTimeout)
	defer cancel()
	var r reading
	for again := true; again; {
		before := s.changes.Load()
		r = read(limited)
		// A change made meanwhile must not be undone by what was read before.
		again = before != s.changes.Load() && limited.Err() == nil
	}
	if ctx.Err() == nil { // else the reading says nothing about the disk
		s.remember(&r)
	}
	return s.decide(&r)
}

// readAll reads the settings and the policy.
func (s *Service) readAll(ctx context.Context) reading { return s.read(ctx, s.keys.InPolicy()) }

// readIfGranted reads the settings, and the policy only if they grant: at a
// start, a host that keeps its own settings sees no file opened otherwise.
func (s *Service) readIfGranted(ctx context.Context) reading {
	r := s.read(ctx, nil)
	if r.settings.Telemetry.State == consent.Granted && ctx.Err() == nil {
		r.setPolicy(s.records.ReadDecisions(ctx, nil, s.keys.InPolicy()))
	}
	return r
}

// read reads the settings, and then the policy at the keys, if there are any.
func (s *Service) read(ctx context.Context, policyKeys []jsonedit.Key) reading {
	r := reading{policy: s.unreadPolicy()}
	configKeys := s.keys.InSettings()
	if s.config.Consent.Load != nil {
		configKeys = nil
		var host Consents
		host, r.err = flight.Do(ctx, &s.asking, "ask the host for the consent", s.config.Consent.Load)
		r.settings = consent.HostSettings(consent.State(host.Telemetry), consent.State(host.Health), s.latest)
	}
	if ctx.Err() == nil { // else a hung disk is not asked again
		d := s.records.ReadDecisions(ctx, configKeys, policyKeys)
		r.setPolicy(d)
		if configKeys != nil {
			if r.err = d.ConfigErr; r.err == nil {
				r.enabled = d.Config[0]
				r.settings = s.keys.ParseSettings(d.Config, s.place.Kind, s.place.Name, s.latest)
			}
		}
	}
	if r.err == nil {
		r.err = ctx.Err()
	}
	if r.err != nil {
		r.settings = s.unreadSettings()
	}
	return r
}

// setPolicy takes over the policy, if it was read.
func (r *reading) setPolicy(d idstore.Decisions) {
	switch {
	case d.PolicyErr != nil:
		r.policy.Problem = consent.Unreadable
	case d.Policy != nil:
		r.policy = consent.ParsePolicy(r.policy.Path, d.Policy)
	}
}

func (s *Service) unreadPolicy() consent.Policy {
	return consent.Policy{Path: s.config.Consent.PolicyPath, Problem: consent.NotRead}
}

func (s *Service) unreadSettings() consent.Settings {
	return consent.UnreadSettings(s.place.Kind, s.place.Name)
}

// remember keeps a reading for the status. If the consent to health reports
// changed, it restarts the count of faults: what happened without consent is
// never sent.
func (s *Service) remember(r *reading) {
	s.lastRead.Store(r)
	if s.storeReadsConsent {
		s.keeper.NoteEnabled(r.enabled, r.err)
	}
	if r.err != nil || r.policy.Problem == consent.Unreadable {
		return // denied for now, which nobody decided
	}
	s.faults.setGranted(s.decide(r).Health.State == Granted)
}

// decide applies the rules of consent to a reading.
func (s *Service) decide(r *reading) Decisions {
	d := consent.Decide(consent.Evidence{
		Policy:          r.policy,
		Variable:        consent.DenyingVariable(os.Getenv, s.config.Consent.DenyVariable),
		TelemetryDenied: s.withdrawn.Load() != 0,
		HealthDenied:    s.healthWithdrawn.Load() != 0,
		Settings:        r.settings,
	})
	return Decisions{
		Telemetry: decisionOf(d.Telemetry),
		Health:    decisionOf(d.Health),
		Schema:    d.Covers.Schema,
		Facts:     d.Covers.Facts,
	}
}

// known returns the decisions as far as they are known without reading the
// disk. The keeper may have read the config since the last reading.
func (s *Service) known(st keeper.Status) Decisions {
	r := *s.lastRead.Load()
	if s.storeReadsConsent {
		if st.Unread {
			r.settings = s.unreadSettings()
		} else {
			r.settings.Telemetry = s.keys.ParseTelemetry(st.Enabled, s.place.Kind, s.place.Name)
		}
	}
	return s.decide(&r)
}

// settledDecision returns the decision about telemetry at the end of a start.
// The store has read the config's; it is read again only if that grants.
func (s *Service) settledDecision(ctx context.Context, st keeper.Status) Decision {
	if s.storeReadsConsent {
		if d := s.known(st).Telemetry; st.Unread || d.Setting != Granted {
			return d
		}
	}
	if st.Stuck != "" && s.config.ID.Load == nil && s.config.Consent.Load == nil {
		err := errors.New("the storage does not answer")
		s.remember(&reading{policy: s.unreadPolicy(), settings: s.unreadSettings(), err: err})
		return s.known(st).Telemetry
	}
	return s.readAndDecide(ctx, s.readIfGranted).Telemetry
}

// mayCreate reports whether consent allows creating an ID, given the config's
// value that was just read.
func (s *Service) mayCreate(ctx context.Context, enabled jsonedit.Value) bool {
	return s.settledDecision(ctx, keeper.Status{Enabled: enabled}).State == Granted
}

// SetConsent saves the operator's decision about telemetry and follows it at
// once. A denial drops what waits and cancels a request under way, and holds
// in this process even if it cannot be saved. A grant covers everything that
// is declared now. A policy or a variable still takes precedence: see the
// status. It waits no longer than ctx.
func (s *Service) SetConsent(ctx context.Context, granted bool) error {
	if s == nil {
		return errNoService
	}
	if s.config.Consent.Load != nil {
		return errHostDecides
	}
	writes := []consentWrite{{s.keys.Telemetry, strconv.FormatBool(granted)}}
	if granted {
		covered, err := s.coverage(ctx)
		if err != nil {
			return fmt.Errorf("save consent: %w", err)
		}
		writes = append(covered, writes...) // what a grant covers is saved before the grant
	}
	if err := s.setConsent(ctx, &s.withdrawn, granted, writes); err != nil {
		return err
	}
	if granted && s.sender != nil {
		s.sender.Wake()
	}
	return nil
}

// SetHealthConsent does the same for health reports, which also need the
// consent to telemetry.
func (s *Service) SetHealthConsent(ctx context.Context, granted bool) error {
	if s == nil {
		return errNoService
	}
	if s.config.Consent.Load != nil {
		return errHostDecides
	}
	writes := []consentWrite{{s.keys.Health, strconv.FormatBool(granted)}}
	return s.setConsent(ctx, &s.healthWithdrawn, granted, writes)
}

func (s *Service) setConsent(ctx context.Context, w *withdrawal, granted bool, writes []consentWrite) error {
	mark := w.Load()
	if !granted {
		mark = s.withdraw(w)
	}
	err := s.write(ctx, writes)
	if err == nil {
		w.CompareAndSwap(mark, 0) // unless it was withdrawn again
	}
	s.changes.Add(1)
	if !granted {
		s.cancelReports(w) // also those that began, by an earlier reading, before the denial was saved
	}
	s.Decisions(ctx)
	if err != nil {
		return fmt.Errorf("save consent: %w", err)
	}
	return nil
}

// A withdrawal is a denial in this process that is not saved: a number that no
// other one has, or 0 for none.
type withdrawal struct{ atomic.Uint64 }

// withdraw denies at once and cancels what is under way.
func (s *Service) withdraw(w *withdrawal) (mark uint64) {
	mark = s.changes.Add(1)
	w.Store(mark)
	s.cancelReports(w)
	return mark
}

func (s *Service) cancelReports(w *withdrawal) {
	s.faults.drop()
	if s.sender != nil && (w == &s.withdrawn || s.healthUnderWay.Load()) {
		s.sender.Withdraw()
	}
}

type consentWrite struct {
	key     jsonedit.Key
	literal string
}

// coverage returns what to write so that a grant covers everything declared
// now. A grant without versions covers the first ones, so that as a rule there
// is nothing to write.
func (s *Service) coverage(ctx context.Context) (writes []consentWrite, err error) {
	d := s.records.ReadDecisions(ctx, s.keys.InSettings(), nil)
	if d.ConfigErr != nil {
		return nil, d.ConfigErr
	}
	covered := s.keys.ParseSettings(d.Config, s.place.Kind, s.place.Name, s.latest).Covers
	if covered.Schema != s.latest.Schema {
		writes = append(writes, consentWrite{s.keys.Schema, strconv.Itoa(s.latest.Schema)})
	}
	if covered.Facts != s.latest.Facts {
		writes = append(writes, consentWrite{s.keys.Facts, strconv.Itoa(s.latest.Facts)})
	}
	return writes, nil
}

func (s *Service) write(ctx context.Context, writes []consentWrite) error {
	for _, w := range writes {
		if err := s.records.WriteValue(ctx, w.key, w.literal); err != nil {
			return err
		}
	}
	return nil
}
