package rollcall

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"runtime/debug"
	"time"

	"github.com/rollcall-dev/rollcall/installid"
	"github.com/rollcall-dev/rollcall/internal/consent"
	"github.com/rollcall-dev/rollcall/internal/idstore"
	"github.com/rollcall-dev/rollcall/internal/sender"
	"github.com/rollcall-dev/rollcall/report"
)

// Why a report is not sent.
var (
	// ErrWithheld means that the operator has not granted telemetry, or that
	// this is no installation to count.
	ErrWithheld = sender.ErrWithheld
	// ErrNotDue means that today's report was sent already, or is due later
	// today.
	ErrNotDue = sender.ErrNotDue
	// ErrNoID means that the installation ID is not known yet: a stored one
	// could not be read so far.
	ErrNoID = sender.ErrNoID
	// ErrNotKept means that the state of sending cannot be kept on disk, so
	// that each start would send a report again.
	ErrNotKept = sender.ErrNotKept
	// ErrNoEndpoint means that Config.Endpoint is empty.
	ErrNoEndpoint = errors.New("no collector is configured")

	errNoSending = fmt.Errorf("this program was built without the ability to send (%w)", ErrNoEndpoint)
)

// A SendError is a failed request to the collector.
type SendError struct {
	// Text says what went wrong: one short line, without secrets.
	Text string
	// Status is the HTTP status of the collector's answer; 0 if it did not
	// answer.
	Status int
	// RetryAfter is the wait that the collector asked for, between a minute
	// and a week; 0 if it asked for none.
	RetryAfter time.Duration
	// Refused reports that the same report would be refused again.
	Refused bool
	// Gone reports that the endpoint wants no report ever again.
	Gone bool
	// Err is the cause; nil if the collector answered. Its text may quote a
	// server or a proxy.
	Err error
}

func (e *SendError) Error() string { return e.Text }

// Unwrap returns e.Err.
func (e *SendError) Unwrap() error { return e.Err }

// sendError returns an error of package sender as a public one.
func sendError(err error) error {
	var failed *sender.Error
	if !errors.As(err, &failed) {
		if errors.Is(err, sender.ErrStopped) {
			return ErrStopped
		}
		return err
	}
	return &SendError{failed.Text, failed.Status, failed.RetryAfter, failed.Refused, failed.Gone, failed.Err}
}

const (
	// unnamedApp is the App in a preview of a service that has none.
	unnamedApp   = "unnamed"
	clientName   = "rollcall-go"
	clientModule = "github.com/rollcall-dev/rollcall"
	devBuild     = "(devel)" // Go's name for a version that it does not know
)

// newSender returns the sender of a service, or nil without an endpoint.
func (s *Service) newSender() *sender.Sender {
	if s.config.Endpoint == "" || !sender.Enabled {
		return nil
	}
	c := s.senderConfig()
	c.Ended, c.Heartbeat, c.Health = s.reportEnded, s.heartbeatBody, s.healthBody
	c.ID = func(context.Context) (string, bool) { return s.sendableID() }
	c.Allowed = func(ctx context.Context) bool { return s.withheld(s.Decisions(ctx)) == nil }
	c.HealthAllowed = func(ctx context.Context) bool { return s.Decisions(ctx).Health.State == Granted }
	c.Load = func(ctx context.Context) ([]byte, error) { return s.records.LoadNote(ctx, idstore.StateNote) }
	c.Save = func(ctx context.Context, state []byte) error {
		return s.records.SaveNote(ctx, idstore.StateNote, state)
	}
	return sender.New(c)
}

// senderConfig returns what reports and the update check have in common.
func (s *Service) senderConfig() sender.Config {
	return sender.Config{
		Endpoint:  s.config.Endpoint,
		Proxy:     s.config.Reporting.Proxy,
		CAFile:    s.config.Reporting.CAFile,
		Transport: s.config.Reporting.Transport,
		UserAgent: s.client().Name + "/" + s.client().Version,
		Logger:    s.log,
	}
}

// sendableID returns the ID, and false as long as a stored one may still
// replace it.
func (s *Service) sendableID() (string, bool) {
	st := s.keeper.Status()
	return st.ID.String(), st.Settled && !st.Provisional && !st.ID.IsZero()
}

// A withheldError says why reports are withheld. It is an [ErrWithheld].
type withheldError string

func (e withheldError) Error() string { return string(e) }

func (withheldError) Is(target error) bool { return target == ErrWithheld }

// withheld returns why the decisions allow no report; nil if they do.
func (s *Service) withheld(d Decisions) error {
	switch {
	case d.Telemetry.State != Granted:
		return withheldError(fmt.Sprintf("telemetry is %v (%v)", d.Telemetry.State, d.Telemetry.Source))
	case d.Schema < 1:
		return withheldError("the granted version of the report cannot be read")
	}
	if why := s.version.Load().notCounted; why != nil {
		return why
	}
	return nil
}

// A NotCountedError says why this process is no installation to count: it
// reports nothing, even if the operator granted telemetry. It is an
// [ErrWithheld]. Reporting.Development makes it report anyway.
type NotCountedError struct {
	// Variable is the environment variable that a build server sets for its
	// jobs; empty if none is set.
	Variable string
	// Development reports that Version, which is Config.Version, is a
	// development version.
	Development bool
	Version     string
}

func (e *NotCountedError) Error() string {
	switch {
	case e.Variable != "":
		return "not counted: environment variable " + e.Variable + " marks a job of CI; unset it where this runs for good"
	case e.Development && e.Version == "":
		return "not counted: no version of the host is set"
	case e.Development:
		return "not counted: development version " + e.Version
	default:
		return "not counted: a test binary"
	}
}

// Is reports whether target is [ErrWithheld].
func (e *NotCountedError) Is(target error) bool { return target == ErrWithheld }

// notCounted returns why a process with this config is no installation to
// count; nil if it is one.
func notCounted(c Config) *NotCountedError {
	x := consent.NotCounted(c.Version, os.Getenv, flag.Lookup("test.v") != nil)
	if c.Reporting.Development || x == (consent.Exclusion{}) {
		return nil
	}
	return &NotCountedError{x.Variable, x.Development, c.Version}
}

// noSender returns why there is no sender; nil if there is one.
func (s *Service) noSender() error {
	if s != nil && s.sender != nil {
		return nil
	}
	return s.noEndpoint()
}

// noEndpoint returns why there is nobody to send to or to ask.
func (s *Service) noEndpoint() error {
	if !sender.Enabled {
		return errNoSending
	}
	return ErrNoEndpoint
}

// obstacle returns why nothing is sent at present; nil if reports are.
func (s *Service) obstacle(d Decisions, id installid.Status) error {
	if err := s.withheld(d); err != nil {
		return err
	}
	if err := s.noSender(); err != nil {
		return err
	}
	if id.Provisional {
		return ErrNoID
	}
	return nil
}

// platformTimeout bounds the detection of the platform, which reads a few
// files.
const platformTimeout = time.Second

// heartbeatBody returns the heartbeat to send.
func (s *Service) heartbeatBody(ctx context.Context) ([]byte, error) {
	d := s.Decisions(ctx)
	if err := s.withheld(d); err != nil {
		return nil, err // withdrawn since the sender asked
	}
	s.healthUnderWay.Store(false)
	st := s.keeper.Status().Status
	h, missing := s.heartbeat(ctx, d, st)
	s.facts.log(s.log, missing)
	body, err := h.Marshal()
	if err == nil { // facts took their time, and the next step connects
		err = s.withheld(s.decisionsOn(ctx, st.ID))
	}
	return body, err
}

// heartbeat creates the heartbeat as it would be sent now, and says why it lacks
// facts. Without a grant, it has what a grant would cover now.
func (s *Service) heartbeat(ctx context.Context, d Decisions, st installid.Status) (report.Heartbeat, leftOut) {
	schema, facts := d.Schema, d.Facts
	if d.Telemetry.State != Granted || schema < 1 {
		schema, facts = report.SchemaVersion, s.facts.declaration.Version()
	}
	limited, cancel := context.WithTimeout(ctx, platformTimeout)
	defer cancel()
	info := s.platform.Detect(limited)
	values, missing := s.facts.until(ctx, facts)
	return report.Heartbeat{
		Schema:         schema,
		App:            cmp.Or(s.config.App, unnamedApp),
		InstallationID: st.ID.String(),
		IDPersistence:  persistence(st),
		SentAt:         time.Now().UTC().Truncate(time.Second),
		Version:        report.NormalizeVersion(s.version.Load().text),
		Platform:       report.Platform{System: info.System, Release: info.Release, Machine: info.Machine},
		Deployment:     report.Deployment(info.Deployment),
		Client:         s.client(),
		Facts:          values,
	}, missing
}

func persistence(st installid.Status) report.Persistence {
	if st.Persisted {
		return report.Persisted
	}
	return report.InMemory
}

// health creates the health report as it would be sent now.
func (s *Service) health(d Decisions, st installid.Status) report.HealthReport {
	return report.HealthReport{
		Schema:         max(d.Schema, 1),
		App:            cmp.Or(s.config.App, unnamedApp),
		InstallationID: st.ID.String(),
		IDPersistence:  persistence(st),
		SentAt:         time.Now().UTC().Truncate(time.Second),
		Version:        report.NormalizeVersion(s.version.Load().text),
		Faults:         s.faults.list(),
	}
}

// healthBody returns the health report to send; nil if there is none, or if it
// is not granted. Counts are cumulative, so there is nothing to do after
// sending.
func (s *Service) healthBody(ctx context.Context) (body []byte, sent func()) {
	sent = func() {}
	d := s.Decisions(ctx)
	if d.Health.State != Granted {
		return nil, sent
	}
	st := s.keeper.Status().Status
	h := s.health(d, st)
	if len(h.Faults) == 0 || s.decisionsOn(ctx, st.ID).Health.State != Granted {
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

// client returns what makes the reports: the configured program, or else this
// library in the version that the host's build has.
func (r ReportingConfig) client() report.Client {
	c := r.Client
	if c.Name == "" {
		c.Name = clientName
		if info, ok := debug.ReadBuildInfo(); ok {
			c.Version = libraryVersion(info)
		}
	}
	c.Version = report.NormalizeVersion(cmp.Or(c.Version, devBuild))
	return c
}

// libraryVersion returns the version of this module in a build, or "".
func libraryVersion(info *debug.BuildInfo) string {
	for _, module := range append(info.Deps, &info.Main) {
		if module.Path == clientModule {
			return module.Version
		}
	}
	return ""
}

// SendIfDue sends today's report if it is due and was not sent yet, within
// ctx. It is for programs that do not run long. It fails with [ErrNotDue] or
// [ErrWithheld] without any request. An attempt that failed is a [*SendError].
func (s *Service) SendIfDue(ctx context.Context) error {
	return s.sendBy(ctx, (*sender.Sender).SendIfDue)
}

// SendNow sends a report, due or not, if the operator granted it. An attempt
// that failed is a [*SendError], with the collector's answer.
func (s *Service) SendNow(ctx context.Context) error {
	return s.sendBy(ctx, (*sender.Sender).SendNow)
}

func (s *Service) sendBy(ctx context.Context, send func(*sender.Sender, context.Context) error) error {
	if err := s.noSender(); err != nil {
		return err
	}
	if err := s.withheld(s.Decisions(ctx)); err != nil {
		s.reportEnded(false, err)
		return err
	}
	return sendError(send(s.sender, ctx))
}

// Upload sends a heartbeat that [Service.Preview] created on a machine without
// a network. It asks for no consent: that was given there. An attempt that
// failed is a [*SendError].
func (s *Service) Upload(ctx context.Context, heartbeat []byte) error {
	if err := s.noSender(); err != nil {
		return err
	}
	h, _, err := report.ParseHeartbeat(heartbeat)
	if err != nil {
		return fmt.Errorf("not a heartbeat: %w", err)
	}
	if id, err := installid.Parse(h.InstallationID); err == nil {
		switch w, err := s.records.ReadWithdrawals(ctx, id); {
		case err != nil:
			return withheldError("whether its installation ID was reset or forgotten here could not be read: " + w.Unread)
		case w.Retired:
			return withheldError("its installation ID was reset or forgotten here")
		}
	}
	return sendError(s.sender.Upload(ctx, heartbeat))
}

// Forget asks the collector to delete everything it holds about this
// installation, which is the one request that needs no consent. If the
// collector does, telemetry is denied, as by [Service.SetConsent], the ID is
// never used again, wherever a copy of it turns up, and a new one, which was
// never sent, replaces it. If the collector does not, nothing changes. With
// Consent.Load and no StateDir the denial lasts as long as the process: the
// host must save it in its settings.
func (s *Service) Forget(ctx context.Context) error {
	if err := s.noSender(); err != nil {
		return err
	}
	id, err := s.storedID(ctx)
	if err != nil {
		return fmt.Errorf("forget: %w", err)
	}
	s.forgetting.Add(1) // a report after the deletion would undo it
	defer func() {
		s.forgetting.Add(-1)
		s.changes.Add(1)
	}()
	s.changes.Add(1)
	s.cancelReports(&s.withdrawn)
	undo := s.recordForgetting(ctx)
	if err := s.sender.Forget(ctx, id.String()); err != nil {
		undo()
		return fmt.Errorf("forget: %w", sendError(err))
	}
	s.forgotten.Store(&id)
	retireErr := s.records.Retire(ctx, id)
	if errors.Is(retireErr, idstore.ErrNoPlace) {
		retireErr = nil
	}
	consentErr := s.SetConsent(ctx, false)
	if errors.Is(consentErr, ErrHostDecides) {
		consentErr = nil
	}
	_, resetErr := s.Reset(ctx)
	if err := errors.Join(retireErr, consentErr, resetErr); err != nil {
		return fmt.Errorf("the collector has forgotten the installation, but: %w", err)
	}
	return nil
}

// storedID returns the ID in use, or before Start the stored one.
func (s *Service) storedID(ctx context.Context) (installid.ID, error) {
	if st := s.keeper.Status(); st.Provisional {
		return installid.ID{}, ErrNoID // the collector has never heard of this one
	} else if !st.ID.IsZero() {
		return st.ID, nil
	}
	rec, err := s.store.Load(ctx)
	return rec.ID, err
}

// ReportingStatus is the state of sending reports.
type ReportingStatus struct {
	// Endpoint is the collector's URL; empty if there is none.
	Endpoint string `json:"endpoint,omitempty"`
	// LastSuccess is when the collector last accepted a heartbeat, and
	// LastAttempt when sending one was last tried; zero for never.
	LastSuccess time.Time `json:"last_success,omitzero"`
	LastAttempt time.Time `json:"last_attempt,omitzero"`
	// LastError is why the last attempt failed; empty after a success.
	LastError string `json:"last_error,omitempty"`
	// Gone reports that the collector wants no more reports.
	Gone bool `json:"gone,omitempty"`
	// Kept reports whether the state of sending is kept on disk.
	Kept bool `json:"kept"`
	// NextDue is when the next heartbeat is due; zero if that is not known.
	NextDue time.Time `json:"next_due,omitzero"`
	// Withheld says why nothing is sent at present; empty if reports are.
	Withheld string `json:"withheld,omitempty"`
	// Health is the operator's decision about health reports, as last read.
	Health Decision `json:"health"`
	// FaultsLeftOut counts the faults that were not counted, because their
	// codes are invalid or a report has no room for more.
	FaultsLeftOut int64 `json:"faults_left_out,omitempty"`
}

func (s *Service) reportingStatus(d Decisions, id installid.Status) ReportingStatus {
	st := ReportingStatus{Health: d.Health, FaultsLeftOut: s.faults.countLeftOut()}
	if s.sender != nil {
		sent := s.sender.Status()
		st.Endpoint, st.LastSuccess, st.LastAttempt = sent.Endpoint, sent.LastSuccess, sent.LastAttempt
		st.LastError, st.Gone, st.Kept, st.NextDue = sent.LastError, sent.Gone, sent.Kept, sent.NextDue
	}
	if err := s.obstacle(d, id); err != nil {
		st.Withheld = err.Error()
	}
	return st
}
