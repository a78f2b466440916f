package rollcall

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/rollcall-dev/rollcall/installid"
	"github.com/rollcall-dev/rollcall/internal/configfile"
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

// Why a decision is not saved.
var (
	// ErrNoService means that the *Service is nil.
	ErrNoService = errors.New("no service")
	// ErrHostDecides means that the host keeps the decision, and that only the
	// host can change it, because it has no Consent.Save.
	ErrHostDecides = errors.New("the decision is kept in the host's own settings; change it there")
)

// A reading is what the places of the operator's decisions said.
type reading struct {
	policy      consent.Policy
	withdrawals consent.Withdrawals
	settings    consent.Settings
	enabled     jsonedit.Value // the config's own value of the consent to telemetry
	err         error          // why the settings could not be read
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
		s.place = consent.Source{Kind: consent.Host, Name: s.config.Consent.Where}
	case s.config.ConfigPath != "":
		s.place.Kind = consent.Config
	default:
		s.place = consent.Source{Kind: consent.ConsentFile, Name: location.DecisionsPath()}
	}
	if _, fixed := s.store.(*idstore.Fixed); fixed {
		s.idVariable = s.config.ID.Variable
	}
	s.files = s.filesAt(location)
	s.storeReadsConsent = s.place.Kind == consent.Config && s.idVariable == ""
	undecided := consent.HostSettings(consent.Unset, consent.Unset, consent.Unset, s.place.Name, consent.Versions{Schema: 1, Facts: 1})
	s.lastRead.Store(&reading{policy: s.unreadPolicy(), withdrawals: s.unreadWithdrawals(), settings: undecided})
	return nil
}

// Decisions reads what the operator decided, as of now. An error, a torn file
// or a timeout reads as denied. It waits no longer than ctx and two seconds.
func (s *Service) Decisions(ctx context.Context) Decisions {
	if s == nil {
		nobody := Decision{Source: Source{Kind: SourceNobody}}
		return Decisions{Telemetry: nobody, Health: nobody, UpdateCheck: nobody}
	}
	id := s.keeper.ID()
	if id.IsZero() && s.idVariable != "" { // not started, and known nevertheless
		rec, _ := s.store.Load(ctx) // which reads no file
		id = rec.ID
	}
	return s.decisionsOn(ctx, id)
}

// decisionsOn is Decisions for reports about an ID, which may have been retired.
func (s *Service) decisionsOn(ctx context.Context, id installid.ID) Decisions {
	return s.readAndDecide(ctx, func(ctx context.Context) reading {
		r := s.read(ctx, s.keys.InPolicy())
		r.withdrawals = s.readWithdrawals(ctx, id)
		return r
	})
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

// readIfGranted reads the settings, and the policy and the withdrawals only if
// they grant: at a start, a host that keeps its own settings sees no file
// opened otherwise. An ID from the environment may be a retired one, which is
// worth knowing in any case.
func (s *Service) readIfGranted(ctx context.Context, id installid.ID) reading {
	r := s.read(ctx, nil)
	granted := r.settings.Telemetry.State == consent.Granted || r.settings.UpdateCheck.State == consent.Granted
	if granted && ctx.Err() == nil {
		r.setPolicy(s.records.ReadDecisions(ctx, nil, s.keys.InPolicy()))
	}
	if granted || s.idVariable != "" {
		r.withdrawals = s.readWithdrawals(ctx, id)
	}
	return r
}

// read reads the settings, and then the policy at the keys, if there are any.
func (s *Service) read(ctx context.Context, policyKeys []jsonedit.Key) reading {
	r := reading{policy: s.unreadPolicy(), withdrawals: s.unreadWithdrawals()}
	configKeys := s.keys.InSettings()
	if s.config.Consent.Load != nil {
		configKeys = nil
		var host Consents
		host, r.err = flight.Do(ctx, &s.asking, "ask the host for the consent", s.config.Consent.Load)
		r.settings = consent.HostSettings(
			consent.State(host.Telemetry), consent.State(host.Health), consent.State(host.UpdateCheck), s.place.Name, s.latest)
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
	d := s.decide(r)
	s.warnOfWithdrawals(d)
	s.observeReporting()
	if s.checker() != nil && d.UpdateCheck.State != Granted && d.UpdateCheck.isKnown() {
		s.checker().forget()
	}
	if r.withdrawals.RetiredIn != "" && s.idVariable == "" {
		s.keeper.LookSoon() // another process has stored the new one
	}
	unknown := d.Telemetry.Source.Kind == SourceWithdrawal && d.Telemetry.Source.Problem != ""
	if r.err != nil || r.policy.Problem == consent.Unreadable || unknown {
		return // denied for now, which nobody decided
	}
	s.faults.setGranted(d.Health.State == Granted)
}

// decide applies the rules of consent to a reading.
func (s *Service) decide(r *reading) Decisions {
	d := consent.Decide(consent.Evidence{
		Policy:            r.policy,
		Variable:          consent.DenyingVariable(os.Getenv, s.config.Consent.DenyVariable),
		TelemetryDenied:   s.withdrawn.Load() != 0 || s.forgetting.Load() > 0,
		HealthDenied:      s.healthWithdrawn.Load() != 0,
		UpdateCheckDenied: s.updateWithdrawn.Load() != 0,
		Withdrawals:       r.withdrawals,
		Settings:          r.settings,
	})
	return Decisions{
		Telemetry:   s.decisionOf(d.Telemetry),
		Health:      s.decisionOf(d.Health),
		UpdateCheck: s.decisionOf(d.UpdateCheck),
		Schema:      d.Covers.Schema,
		Facts:       d.Covers.Facts,
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
		s.remember(&reading{policy: s.unreadPolicy(), withdrawals: s.unreadWithdrawals(), settings: s.unreadSettings(), err: err})
		return s.known(st).Telemetry
	}
	return s.readAndDecide(ctx, func(ctx context.Context) reading { return s.readIfGranted(ctx, st.ID) }).Telemetry
}

// mayCreate reports whether consent allows creating an ID, given the config's
// value that was just read.
func (s *Service) mayCreate(ctx context.Context, enabled jsonedit.Value) bool {
	return s.settledDecision(ctx, keeper.Status{Enabled: enabled}).State == Granted
}

// SetConsent saves the operator's decision about telemetry and follows it at
// once. A denial drops what waits and cancels a request under way. It is
// recorded beside the ID as well as saved in the config, so that no old copy of
// the config undoes it, and holds in this process even if neither works. It has
// succeeded if it is recorded, even if the config cannot be written; its
// [Decision.Setting] then still grants. [OrderedBy] says who ordered it.
//
// A denial of telemetry is one of the update check too, if that is granted, so
// that nothing leaves the machine; [Service.SetUpdateConsent] grants that again
// on its own.
//
// A grant covers everything that is declared now, and ends a recorded denial. A
// policy or a variable still takes precedence: see the status. With
// Consent.Load and without Consent.Save a grant ends the record only, and fails
// with [ErrHostDecides] unless the host's settings grant too. SetConsent waits
// no longer than ctx.
func (s *Service) SetConsent(ctx context.Context, granted bool) error {
	if s == nil {
		return ErrNoService
	}
	writes := []consentWrite{{s.keys.Telemetry, strconv.FormatBool(granted)}}
	if granted && s.place.Kind != consent.Host {
		covered, err := s.coverage(ctx)
		if err != nil {
			return fmt.Errorf("save consent: %w", s.notGranted(ctx, idstore.Telemetry, err))
		}
		writes = append(covered, writes...) // what a grant covers is saved before the grant
	}
	err := s.setConsent(ctx, idstore.Telemetry, granted, writes)
	if !granted {
		err = errors.Join(err, s.denyUpdateCheckToo(ctx))
	}
	if err == nil && granted && s.sender != nil {
		s.sender.Wake()
	}
	return err
}

// CheckGrant returns why [Service.SetConsent] could not grant now, as far as that
// is known without writing: the config is read-only, say, or not valid, or only
// the host can grant. It returns nil if nothing is known against it, also if
// the disk does not answer within ctx.
func (s *Service) CheckGrant(ctx context.Context) error {
	switch {
	case s == nil:
		return ErrNoService
	case s.place.Kind == consent.Host:
		if s.config.Consent.Save == nil {
			return s.hostDecides()
		}
		return nil
	}
	if err := s.records.CheckWrite(ctx, s.keys.Telemetry); err != nil && configfile.Permanent(err) {
		return err
	}
	return nil
}

// SetHealthConsent does the same for health reports, which also need the
// consent to telemetry.
func (s *Service) SetHealthConsent(ctx context.Context, granted bool) error {
	if s == nil {
		return ErrNoService
	}
	return s.setConsent(ctx, idstore.Health, granted, []consentWrite{{s.keys.Health, strconv.FormatBool(granted)}})
}

func (s *Service) setConsent(ctx context.Context, subject idstore.Subject, granted bool, writes []consentWrite) error {
	w := [...]*withdrawal{idstore.Telemetry: &s.withdrawn, idstore.Health: &s.healthWithdrawn, idstore.UpdateCheck: &s.updateWithdrawn}[subject]
	mark := w.Load()
	save := s.saveGrant
	if !granted {
		mark, save = s.withdraw(w), s.saveDenial
	}
	err := save(ctx, subject, writes)
	if err == nil {
		w.CompareAndSwap(mark, 0) // unless it was withdrawn again
	}
	s.changes.Add(1)
	if !granted {
		s.cancelReports(w) // also those that began, by an earlier reading, before the denial was saved
	}
	d := s.Decisions(ctx)
	if err == nil && granted && s.config.Consent.Load != nil {
		now := [...]Decision{idstore.Telemetry: d.Telemetry, idstore.Health: d.Health, idstore.UpdateCheck: d.UpdateCheck}[subject]
		if now.Setting != Granted {
			err = s.hostDecides()
		}
	}
	if err != nil {
		return fmt.Errorf("save consent: %w", err)
	}
	return nil
}

// saveGrant saves a grant. The recorded denial ends last, so that it stands if
// this is cut off.
func (s *Service) saveGrant(ctx context.Context, subject idstore.Subject, writes []consentWrite) error {
	if s.place.Kind == consent.Host {
		if s.config.Consent.Save != nil {
			if err := s.saveInHost(ctx, subject, Granted); err != nil {
				return err
			}
		}
	} else if err := s.write(ctx, writes); err != nil {
		return s.notGranted(ctx, subject, err)
	}
	return s.records.Grant(ctx, subject, idstore.Denial{})
}

// notGranted adds to the error of a grant, which may name the edit to make by
// hand, that the recorded denial has to go too.
func (s *Service) notGranted(ctx context.Context, subject idstore.Subject, err error) error {
	if w, readErr := s.records.ReadWithdrawals(ctx, installid.ID{}); readErr == nil && w.Of(subject).Denied {
		return fmt.Errorf("%w; then remove %s, which records the denial", err, s.files.Denial)
	}
	return err
}

// saveDenial records a denial, and then saves it.
func (s *Service) saveDenial(ctx context.Context, subject idstore.Subject, writes []consentWrite) error {
	recordErr := s.records.Deny(ctx, subject, newDenial(ctx))
	var err error
	switch {
	case s.place.Kind != consent.Host:
		err = s.write(ctx, writes)
	case s.config.Consent.Save != nil:
		err = s.saveInHost(ctx, subject, Denied)
	case errors.Is(recordErr, idstore.ErrNoPlace):
		return s.hostDecides()
	default:
		return recordErr
	}
	switch {
	case recordErr == nil:
		if err != nil {
			s.log.Debug("Denial recorded, and not saved in the config", "error", err.Error())
		}
		return nil
	case err != nil:
		return err
	case s.place.Kind == consent.Host && errors.Is(recordErr, idstore.ErrNoPlace):
		return nil // the host's settings are the only place
	}
	return fmt.Errorf("saved in the config, but not recorded beside it, so that an old copy of the config would undo it: %w", recordErr)
}

func newDenial(ctx context.Context) idstore.Denial {
	return idstore.Denial{Denied: true, Since: time.Now().UTC().Truncate(time.Second), By: orderedBy(ctx)}
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
	if w == &s.updateWithdrawn {
		if s.checker() != nil {
			s.checker().sender.Withdraw()
			s.checker().forget()
		}
		return
	}
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
	for i, w := range writes {
		err := s.records.WriteValue(ctx, w.key, w.literal)
		if err != nil && s.place.Kind == consent.Config && configfile.Permanent(err) {
			err = fmt.Errorf("%w; the edit to make by hand is %s", err, byHand(writes[i:]))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// byHand returns the writes, whose keys have the same parents, as JSON.
func byHand(writes []consentWrite) string {
	var members []string
	for _, w := range writes {
		members = append(members, fmt.Sprintf("%q: %s", w.key[len(w.key)-1], w.literal))
	}
	text := "{" + strings.Join(members, ", ") + "}"
	parents := writes[0].key[:len(writes[0].key)-1]
	for _, parent := range slices.Backward(parents) {
		text = fmt.Sprintf("{%q: %s}", parent, text)
	}
	return text
}
