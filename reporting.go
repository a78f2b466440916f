package rollcall

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/rollcall-dev/rollcall/installid"
	"github.com/rollcall-dev/rollcall/internal/jsonedit"
	"github.com/rollcall-dev/rollcall/internal/sender"
	"github.com/rollcall-dev/rollcall/report"
)

// Why a report is not sent.
var (
	// ErrWithheld says that the operator has not granted telemetry, or that this is not a program to be counted.
	ErrWithheld = sender.ErrWithheld
	// ErrNotDue says that today's report is sent already, or comes later today.
	ErrNotDue = sender.ErrNotDue
	// ErrNoID says that the installation ID is not known yet: a stored one could not be read so far.
	ErrNoID = sender.ErrNoID
	// ErrNotKept says that what is sent cannot be kept on disk, so that each start would send a report again.
	ErrNotKept = sender.ErrNotKept
	// ErrNoEndpoint says that Config.Endpoint is empty.
	ErrNoEndpoint = errors.New("no collector is configured")

	errNoSending = fmt.Errorf("this program was built without the ability to send (%w)", ErrNoEndpoint)
)

// A SendError says how a request to the collector failed.
type SendError = sender.Error

const (
	// unnamedApp stands in a preview for the App that a service without an endpoint may leave out.
	unnamedApp    = "unnamed"
	clientName    = "rollcall-go"
	clientModule  = "github.com/rollcall-dev/rollcall"
	devBuild      = "(devel)" // what Go calls a version that it does not know
	msgReporting  = "Telemetry reporting is on"
	keyEndpoint   = "endpoint"
	keyNote       = "note"
	reportingNote = "see what is sent with 'rollcall preview'; stop it with 'rollcall disable' or by setting the config's key to false"
)

// newSender gives the sender of a service that has an endpoint, and nil without one.
func (s *Service) newSender() *sender.Sender {
	if s.config.Endpoint == "" || !sender.Enabled {
		return nil
	}
	c := sender.Config{
		Endpoint:  s.config.Endpoint,
		Proxy:     s.config.Reporting.Proxy,
		CAFile:    s.config.Reporting.CAFile,
		UserAgent: s.client().Name + "/" + s.client().Version,
		ID:        s.sendableID,
		Allowed:   func(ctx context.Context) bool { return s.withheld(s.Decisions(ctx)) == "" },
		Heartbeat: s.heartbeatBody,
		Health:    s.healthBody,
		HealthAllowed: func(ctx context.Context) bool {
			return s.Decisions(ctx).Health.State == Granted
		},
		Load:   s.records.LoadState,
		Save:   s.records.SaveState,
		Logger: s.log,
	}
	return sender.New(c)
}

// sendableID gives the ID once nothing can take its place any more that was stored before.
func (s *Service) sendableID() (string, bool) {
	st := s.keeper.Status()
	return st.ID.String(), st.Settled && !st.Provisional && !st.ID.IsZero()
}

// withheld says why nothing is sent; empty when reports may be.
func (s *Service) withheld(d Decisions) string {
	switch {
	case d.Telemetry.State != Granted:
		return "telemetry is " + d.Telemetry.State.String() + " (" + d.Telemetry.Source + ")"
	case d.Schema < 1:
		return "the granted version of the report cannot be read"
	case s.notReal != "" && !s.config.Reporting.Development:
		return "not counted: " + s.notReal
	}
	return ""
}

// platformTimeout bounds a look at the platform, which reads a few files.
const platformTimeout = time.Second

// heartbeatBody gives the report to send.
func (s *Service) heartbeatBody(ctx context.Context) ([]byte, error) {
	d := s.Decisions(ctx)
	if reason := s.withheld(d); reason != "" {
		return nil, fmt.Errorf("%w: %s", ErrWithheld, reason) // since it was asked for the last time
	}
	s.healthUnderWay.Store(false)
	h := s.heartbeat(ctx, d, s.keeper.Status().Status)
	return h.Marshal()
}

// heartbeat makes the report as it would be sent now, for an ID and for what the operator granted; without a grant, for
// what one would cover now.
func (s *Service) heartbeat(ctx context.Context, d Decisions, st installid.Status) report.Heartbeat {
	schema, facts := d.Schema, d.Facts
	if d.Telemetry.State != Granted || schema < 1 {
		schema, facts = report.SchemaVersion, s.facts.declaration.Version()
	}
	limited, cancel := context.WithTimeout(ctx, platformTimeout)
	defer cancel()
	info := s.platform.Detect(limited)
	return report.Heartbeat{
		Schema:         schema,
		App:            cmp.Or(s.config.App, unnamedApp),
		InstallationID: st.ID.String(),
		IDPersistence:  persistence(st),
		SentAt:         time.Now().UTC().Truncate(time.Second),
		Version:        report.NormalizeVersion(s.config.Version),
		Platform:       report.Platform{System: info.System, Release: info.Release, Machine: info.Machine},
		Deployment:     report.Deployment(info.Deployment),
		Client:         s.client(),
		Facts:          s.facts.until(ctx, facts),
	}
}

func persistence(st installid.Status) report.Persistence {
	if st.Persisted {
		return report.Persisted
	}
	return report.InMemory
}

// health makes the health report as it would be sent now.
func (s *Service) health(d Decisions, st installid.Status) report.HealthReport {
	return report.HealthReport{
		Schema:         max(d.Schema, 1),
		App:            cmp.Or(s.config.App, unnamedApp),
		InstallationID: st.ID.String(),
		IDPersistence:  persistence(st),
		SentAt:         time.Now().UTC().Truncate(time.Second),
		Version:        report.NormalizeVersion(s.config.Version),
		Faults:         s.faults.list(),
	}
}

// healthBody gives the health report to send, or nil when there is none or it is not granted.
func (s *Service) healthBody(ctx context.Context) (body []byte, sent func()) {
	sent = func() {} // counts are cumulative: nothing is taken away by sending them
	d := s.Decisions(ctx)
	if d.Health.State != Granted {
		return nil, sent
	}
	h := s.health(d, s.keeper.Status().Status)
	if len(h.Faults) == 0 {
		return nil, sent
	}
	body, err := h.Marshal()
	if err != nil {
		s.log.Debug("Health report not made", "error", err.Error())
		return nil, sent
	}
	s.healthUnderWay.Store(true)
	return body, sent
}

// thisClient is this library, in the version that the host's build has.
func thisClient() report.Client {
	version := ""
	if info, ok := debug.ReadBuildInfo(); ok {
		if info.Main.Path == clientModule {
			version = info.Main.Version
		}
		for _, dep := range info.Deps {
			if dep.Path == clientModule {
				version = dep.Version
			}
		}
	}
	return report.Client{Name: clientName, Version: report.NormalizeVersion(cmp.Or(version, devBuild))}
}

// SetConsent writes the operator's decision about telemetry to the config and follows it at once: when it is denied,
// what waits is dropped and a request under way is cancelled, and should it not be possible to write it, then it holds
// in this process all the same. A grant covers all that is declared now. What goes before the config, a policy or the
// environment, still holds: see the status. It waits no longer than ctx.
func (s *Service) SetConsent(ctx context.Context, granted bool) error {
	if s == nil {
		return errNoService
	}
	if s.config.Consent.Load != nil {
		return errHostDecides
	}
	writes := []consentWrite{{s.keys.enabled, strconv.FormatBool(granted)}}
	if granted {
		covered, err := s.coverage(ctx)
		if err != nil {
			return fmt.Errorf("save consent: %w", err)
		}
		writes = append(covered, writes...) // what a grant covers is known before it counts
	}
	if err := s.setConsent(ctx, &s.withdrawn, granted, writes); err != nil {
		return err
	}
	if granted && s.sender != nil {
		s.sender.Look()
	}
	return nil
}

// SetHealthConsent does the same for health reports, which are sent only if telemetry is granted too.
func (s *Service) SetHealthConsent(ctx context.Context, granted bool) error {
	if s == nil {
		return errNoService
	}
	if s.config.Consent.Load != nil {
		return errHostDecides
	}
	return s.setConsent(ctx, &s.healthWithdrawn, granted, []consentWrite{{s.keys.health, strconv.FormatBool(granted)}})
}

func (s *Service) setConsent(ctx context.Context, w *withdrawal, granted bool, writes []consentWrite) error {
	mark := w.Load()
	if !granted {
		mark = s.withdraw(w)
	}
	err := s.write(ctx, writes)
	if err == nil {
		w.CompareAndSwap(mark, 0) // unless it was withdrawn once more
	}
	s.changes.Add(1)
	if !granted {
		s.cancelReports(w) // those too that began before it was written, by what was read before
	}
	s.Decisions(ctx)
	if err != nil {
		return fmt.Errorf("save consent: %w", err)
	}
	return nil
}

// A withdrawal is a number while consent is withdrawn in this process and that is not saved, and 0 otherwise. Each has
// another number.
type withdrawal struct{ atomic.Uint64 }

// withdraw denies at once, and stops what is under way.
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

var (
	errNoService   = errors.New(noService)
	errHostDecides = errors.New("the decision is kept in the host's own settings; change it there")
)

type consentWrite struct {
	key     jsonedit.Key
	literal string
}

// coverage gives what has to be written for a grant to cover all that is declared now. A grant that does not say covers
// the first version, so that as a rule nothing has to be.
func (s *Service) coverage(ctx context.Context) (writes []consentWrite, err error) {
	d := s.records.ReadDecisions(ctx, s.keys.all(), nil)
	if d.ConfigErr != nil {
		return nil, d.ConfigErr
	}
	values := d.Config
	if version(values[2], report.SchemaVersion) != report.SchemaVersion {
		writes = append(writes, consentWrite{s.keys.schema, fmt.Sprint(report.SchemaVersion)})
	}
	if latest := max(s.facts.declaration.Version(), 1); version(values[3], latest) != latest {
		writes = append(writes, consentWrite{s.keys.facts, fmt.Sprint(latest)})
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

// SendIfDue sends today's report if it is due and has not been sent, within ctx: for programs that do not run long. It
// fails with ErrNotDue or ErrWithheld without any request.
func (s *Service) SendIfDue(ctx context.Context) error {
	return s.sendBy(ctx, (*sender.Sender).SendIfDue)
}

// SendNow sends a report whether one is due or not, if the operator granted it. The error says what the collector
// answered.
func (s *Service) SendNow(ctx context.Context) error {
	return s.sendBy(ctx, (*sender.Sender).SendNow)
}

func (s *Service) sendBy(ctx context.Context, send func(*sender.Sender, context.Context) error) error {
	if err := s.cannotSend(); err != nil {
		return err
	}
	if reason := s.withheld(s.Decisions(ctx)); reason != "" {
		return fmt.Errorf("%w: %s", ErrWithheld, reason)
	}
	return send(s.sender, ctx)
}

// cannotSend says why there is no sender; nil when there is one.
func (s *Service) cannotSend() error {
	switch {
	case s != nil && s.sender != nil:
		return nil
	case !sender.Enabled:
		return errNoSending
	}
	return ErrNoEndpoint
}

// Upload sends a heartbeat that [Service.Preview] gave on another machine, which has no network. The consent was given
// there.
func (s *Service) Upload(ctx context.Context, heartbeat []byte) error {
	if err := s.cannotSend(); err != nil {
		return err
	}
	if _, _, err := report.ParseHeartbeat(heartbeat); err != nil {
		return fmt.Errorf("not a heartbeat: %w", err)
	}
	return s.sender.Upload(ctx, heartbeat)
}

// Forget asks the collector to delete all it holds about this installation, which is the one request that is made
// without consent. When it has, telemetry is denied and a new ID, which was never sent, takes the place of the one that
// is forgotten. With Config.Consent it is denied in this process only: the host notes it in its settings.
func (s *Service) Forget(ctx context.Context) error {
	if err := s.cannotSend(); err != nil {
		return err
	}
	id, err := s.storedID(ctx)
	if err != nil {
		return fmt.Errorf("forget: %w", err)
	}
	mark := s.withdraw(&s.withdrawn) // a report that comes after the deletion would undo it
	if err := s.sender.Forget(ctx, id.String()); err != nil {
		s.withdrawn.CompareAndSwap(mark, 0)
		s.changes.Add(1)
		return fmt.Errorf("forget: %w", err)
	}
	if err = s.SetConsent(ctx, false); errors.Is(err, errHostDecides) {
		err = nil
	}
	if _, resetErr := s.Reset(ctx); err != nil || resetErr != nil {
		return fmt.Errorf("the collector has forgotten the installation, but: %w", errors.Join(err, resetErr))
	}
	return nil
}

// storedID gives the ID in use, or before Start the one that is stored.
func (s *Service) storedID(ctx context.Context) (installid.ID, error) {
	if st := s.keeper.Status(); st.Provisional {
		return installid.ID{}, ErrNoID // the collector has never heard of this one
	} else if !st.ID.IsZero() {
		return st.ID, nil
	}
	rec, err := s.store.Load(ctx)
	return rec.ID, err
}

// ReportingStatus is how sending reports stands.
type ReportingStatus struct {
	sender.Status
	// Withheld says why nothing is sent at present; empty when reports are.
	Withheld string `json:"withheld,omitempty"`
	// Health is the decision about health reports.
	Health Decision `json:"health"`
	// FaultsLeftOut is how many faults were not counted, since their codes are not valid or a report has no room for
	// them.
	FaultsLeftOut int64 `json:"faults_left_out,omitempty"`
}

func (s *Service) reportingStatus(d Decisions, id installid.Status) ReportingStatus {
	st := ReportingStatus{Withheld: s.notSent(d, id), Health: d.Health, FaultsLeftOut: s.faults.countLeftOut()}
	if s.sender != nil {
		st.Status = s.sender.Status()
	}
	return st
}

// notSent says why nothing is sent at present; empty when reports are.
func (s *Service) notSent(d Decisions, id installid.Status) string {
	if reason := s.withheld(d); reason != "" {
		return reason
	}
	if err := s.cannotSend(); err != nil {
		return err.Error()
	}
	if id.Provisional {
		return ErrNoID.Error()
	}
	return ""
}
