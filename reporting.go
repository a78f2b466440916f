package rollcall

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/rollcall-dev/rollcall/configfile"
	"github.com/rollcall-dev/rollcall/installid"
	"github.com/rollcall-dev/rollcall/internal/platform"
	"github.com/rollcall-dev/rollcall/internal/sender"
	"github.com/rollcall-dev/rollcall/report"
)

// Why a report is not sent.
var (
	// ErrWithheld says that the operator has not granted telemetry, or that this is not a program to be counted.
	ErrWithheld = sender.ErrWithheld
	// ErrNotDue says that today's report is sent already, or comes later today.
	ErrNotDue = sender.ErrNotDue
	// ErrNoEndpoint says that Config.Endpoint is empty.
	ErrNoEndpoint = errors.New("no collector is configured")
)

const (
	// unnamedApp stands in a preview for the App that a service without an endpoint may leave out.
	unnamedApp    = "unnamed"
	clientName    = "rollcall-go"
	clientModule  = "github.com/rollcall-dev/rollcall"
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
		Proxy:     s.config.Proxy,
		CAFile:    s.config.CAFile,
		UserAgent: clientName + "/" + clientVersion(),
		ID:        s.sendableID,
		Allowed:   func(ctx context.Context) bool { return s.withheld(s.decisions(ctx)) == "" },
		Heartbeat: func(ctx context.Context) ([]byte, error) {
			h := s.heartbeat(ctx, s.decisions(ctx), s.keeper.Status())
			return h.Marshal()
		},
		Health: s.healthBody,
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
	case s.notReal != "" && !s.config.ReportDevelopment:
		return "not counted: " + s.notReal
	}
	return ""
}

// heartbeat makes the report as it would be sent now, for an ID and for what the operator granted; without a grant, for
// all that is declared.
func (s *Service) heartbeat(ctx context.Context, d Decisions, st installid.Status) report.Heartbeat {
	schema, facts := d.Schema, s.facts.declaration
	if d.Telemetry.State == Granted {
		facts = facts.Until(d.Facts)
	} else {
		schema = report.SchemaVersion
	}
	info := platform.Detect(ctx)
	return report.Heartbeat{
		Schema:         schema,
		App:            cmp.Or(s.config.App, unnamedApp),
		InstallationID: st.ID.String(),
		IDPersistence:  persistence(st),
		SentAt:         time.Now().UTC().Truncate(time.Second),
		Version:        report.NormalizeVersion(s.config.Version),
		Platform:       report.Platform{System: info.System, Release: info.Release, Machine: info.Machine},
		Deployment:     report.Deployment(info.Deployment),
		Client:         report.Client{Name: clientName, Version: report.NormalizeVersion(clientVersion())},
		Facts:          facts.Encode(s.facts.collect(ctx)),
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
		Groups:         s.issues.list(),
	}
}

// healthBody gives the health report to send, or nil when there is none or it is not granted.
func (s *Service) healthBody(ctx context.Context) (body []byte, sent func()) {
	sent = func() {} // counts are cumulative: nothing is taken away by sending them
	d := s.decisions(ctx)
	if d.Health.State != Granted {
		s.issues.drop()
		return nil, sent
	}
	h := s.health(d, s.keeper.Status())
	if len(h.Groups) == 0 {
		return nil, sent
	}
	body, err := h.Marshal()
	if err != nil {
		s.log.Debug("Health report not made", "error", err.Error())
		return nil, sent
	}
	return body, sent
}

// clientVersion is this library's version as the host's build has it.
func clientVersion() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	if info.Main.Path == clientModule {
		return info.Main.Version
	}
	for _, dep := range info.Deps {
		if dep.Path == clientModule {
			return dep.Version
		}
	}
	return "unknown"
}

// SetConsent writes the operator's decision about telemetry to the config and follows it at once: when it is denied,
// what waits is dropped and a request under way is cancelled. A grant covers all that is declared now. What goes before
// the config, a policy or the environment, still holds: see the status. It waits no longer than ctx.
func (s *Service) SetConsent(ctx context.Context, granted bool) error {
	if s == nil {
		return errNoService
	}
	if s.config.Consent != nil {
		return errHostDecides
	}
	if !granted && s.sender != nil {
		defer s.sender.Withdraw()
		s.issues.drop()
	}
	writes := []consentWrite{{s.keys.enabled, fmt.Sprint(granted)}}
	if granted {
		writes = append(s.coverage(ctx), writes...) // what a grant covers is known before it counts
	}
	if err := s.write(ctx, writes); err != nil {
		return fmt.Errorf("save consent: %w", err)
	}
	s.decisions(ctx)
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
	if s.config.Consent != nil {
		return errHostDecides
	}
	if !granted {
		s.issues.drop()
	}
	if err := s.write(ctx, []consentWrite{{s.keys.health, fmt.Sprint(granted)}}); err != nil {
		return fmt.Errorf("save consent: %w", err)
	}
	s.decisions(ctx)
	return nil
}

var (
	errNoService   = errors.New("no service")
	errHostDecides = errors.New("the decision is kept in the host's own settings; change it there")
)

type consentWrite struct {
	key     configfile.Key
	literal string
}

// coverage gives what has to be written for a grant to cover all that is declared now. A grant that does not say covers
// the first version, so that as a rule nothing has to be.
func (s *Service) coverage(ctx context.Context) []consentWrite {
	values, err := s.records.ReadValues(ctx, s.keys.all())
	if err != nil {
		return nil // the write that follows says what is wrong
	}
	var writes []consentWrite
	if version(values[2], report.SchemaVersion) != report.SchemaVersion {
		writes = append(writes, consentWrite{s.keys.schema, fmt.Sprint(report.SchemaVersion)})
	}
	if latest := s.facts.declaration.Version(); latest > 1 && version(values[3], latest) != latest {
		writes = append(writes, consentWrite{s.keys.facts, fmt.Sprint(latest)})
	}
	return writes
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
	if s == nil || s.sender == nil {
		return ErrNoEndpoint
	}
	if reason := s.withheld(s.decisions(ctx)); reason != "" {
		return fmt.Errorf("%w: %s", ErrWithheld, reason)
	}
	return send(s.sender, ctx)
}

// Upload sends a heartbeat that [Service.Preview] gave on another machine, which has no network. The consent was given
// there.
func (s *Service) Upload(ctx context.Context, heartbeat []byte) error {
	if s == nil || s.sender == nil {
		return ErrNoEndpoint
	}
	if _, _, err := report.ParseHeartbeat(heartbeat); err != nil {
		return fmt.Errorf("not a heartbeat: %w", err)
	}
	return s.sender.Upload(ctx, heartbeat)
}

// Forget asks the collector to delete all it holds about this installation. When it has, telemetry is denied and a new
// ID, which was never sent, takes the place of the one that is forgotten.
func (s *Service) Forget(ctx context.Context) error {
	if s == nil || s.sender == nil {
		return ErrNoEndpoint
	}
	id, err := s.storedID(ctx)
	if err != nil {
		return fmt.Errorf("forget: %w", err)
	}
	if err := s.sender.Forget(ctx, id.String()); err != nil {
		return fmt.Errorf("forget: %w", err)
	}
	if err := s.SetConsent(ctx, false); err != nil && !errors.Is(err, errHostDecides) {
		return fmt.Errorf("the collector has forgotten the installation, but: %w", err)
	}
	if _, err := s.Reset(ctx); err != nil {
		return fmt.Errorf("the collector has forgotten the installation, but: %w", err)
	}
	return nil
}

// storedID gives the ID in use, or before Start the one that is stored.
func (s *Service) storedID(ctx context.Context) (installid.ID, error) {
	if id := s.keeper.ID(); !id.IsZero() {
		return id, nil
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
}

func (s *Service) reportingStatus(consent Decision) ReportingStatus {
	st := ReportingStatus{Health: Decision{Unset, notDecided}}
	d := Decisions{Telemetry: consent, Health: st.Health, Schema: 1, Facts: 1}
	if last := s.decided.Load(); last != nil {
		d.Health, d.Schema, d.Facts = last.Health, last.Schema, last.Facts
	}
	if consent.State != Granted {
		d.Health = consent
	}
	st.Health = d.Health
	st.Withheld = s.withheld(d)
	switch {
	case s.sender != nil:
		st.Status = s.sender.Status()
	case st.Withheld == "":
		st.Withheld = ErrNoEndpoint.Error()
	}
	return st
}
