// Package rollcall is opt-in telemetry for self-hosted software: it gives the program that embeds it, the host, an
// anonymous installation ID that survives restarts, and never hangs, slows, crashes or surprises it.
//
//	service, err := rollcall.New(rollcall.Config{ConfigPath: "config/config.json", Logger: logger})
//	if err != nil {
//		return err // a mistake in Config; nothing was touched
//	}
//	service.Start(ctx)
//	defer service.Stop(context.Background())
//	fmt.Println(service.ID())
//
// # What is promised
//
// [New] does nothing but check. [Service.Start] returns within Config.Limits.StartTimeout (20 seconds unless configured),
// whatever the disk does, and at once with Config.Lazy; when the ID cannot be saved, one in memory serves, and the
// service goes on trying rarely. Every byte of a config but the one key stays as it is. No call panics, also on a nil
// Service, so that a host can go on with telemetry that failed to be made.
//
// An operation on a hung disk cannot be cancelled. In the process of the host it costs one goroutine, however often it
// is tried; but a thread that the kernel holds in an uninterruptible wait keeps its process from ending, whatever
// anybody does. With Config.Isolate that thread belongs to a child process, and the host ends when it wants to.
package rollcall

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rollcall-dev/rollcall/installid"
	"github.com/rollcall-dev/rollcall/internal/flight"
	"github.com/rollcall-dev/rollcall/internal/idstore"
	"github.com/rollcall-dev/rollcall/internal/keeper"
	"github.com/rollcall-dev/rollcall/internal/platform"
	"github.com/rollcall-dev/rollcall/internal/sender"
	"github.com/rollcall-dev/rollcall/report"
)

// stopTimeout is how long Run waits for Stop.
const stopTimeout = time.Second

const (
	msgStarted = "Telemetry service started"

	keyEnabled         = "enabled"
	keyHasPersistentID = "has_persistent_id"
)

// A Service is the telemetry of one installation. Make it with [New]. All methods are safe for concurrent use, and do
// nothing on a nil Service.
type Service struct {
	config  Config
	log     *slog.Logger
	store   keeper.Store
	keeper  *keeper.Keeper
	records idstore.Records
	keys    consentKeys
	facts   *facts
	faults  *faults
	sender  *sender.Sender       // nil without an endpoint
	asking  flight.Flight        // of Config.Consent.Load
	notReal string               // why this is no program to be counted; empty when it is one
	client  func() report.Client // this library

	storeReadsConsent bool // whether the store reads the config's consent together with the ID
	platform          platform.Detector
	lastRead          atomic.Pointer[reading] // of the operator's decisions; nil before the first
	changes           atomic.Uint64           // how often they were changed here
	withdrawn         withdrawal              // of telemetry
	healthWithdrawn   withdrawal              // of health reports
	healthUnderWay    atomic.Bool             // whether the last report is a health report
}

// New checks the config and does nothing else: it opens no file, starts no
// goroutine and writes nothing. The error is a [*ConfigError].
func New(config Config) (*Service, error) {
	config = config.withDefaults()
	store, err := config.store()
	if err != nil {
		return nil, err
	}
	if err := config.check(); err != nil {
		return nil, err
	}
	s := &Service{
		config: config,
		log:    config.Logger,
		store:  store,
		faults: newFaults(config.Reporting.FaultContext),
		client: sync.OnceValue(thisClient),
	}
	if s.facts, err = newFacts(config.Facts); err != nil {
		return nil, err
	}
	enabled, err := parseKey("Consent.Key", config.Consent.Key)
	if err != nil {
		return nil, err
	}
	s.keys = newConsentKeys(enabled)
	_, fixed := store.(*idstore.Fixed)
	s.storeReadsConsent = config.ConfigPath != "" && !fixed
	s.notReal, _ = notReal(config.Version, os.Getenv)
	if s.records, err = config.records(store); err != nil {
		return nil, err
	}
	options := keeper.Options{
		Attempts:       config.Limits.Attempts,
		AttemptTimeout: config.Limits.AttemptTimeout,
		StartTimeout:   config.Limits.StartTimeout,
		Backoff:        config.Limits.Backoff,
		Lazy:           config.Lazy,
		OnSettled:      s.onSettled,
		Logger:         config.Logger,
		Observer:       config.Observer,
	}
	if config.ID.AfterConsent {
		options.MayCreate = s.mayCreate
	}
	s.keeper = keeper.New(store, options)
	s.sender = s.newSender()
	return s, nil
}

// Start makes the ID ready and begins the background work. It waits no longer than ctx and Config.Limits.StartTimeout, and not
// at all with Config.Lazy. That the ID could not be saved is not an error; see [Service.Status]. The only error is that
// of a service that was started or stopped before.
func (s *Service) Start(ctx context.Context) error {
	if s == nil {
		return nil
	}
	if err := s.keeper.Start(ctx); err != nil {
		return fmt.Errorf("start telemetry service: %w", err)
	}
	if s.sender != nil {
		s.sender.Start()
	}
	return nil
}

// Stop ends all that Start began and waits for it, no longer than ctx. A file operation that hangs is not waited for.
// Stop may be called more than once, and before Start, which then fails.
func (s *Service) Stop(ctx context.Context) error {
	if s == nil {
		return nil
	}
	if s.sender != nil {
		if err := s.sender.Stop(ctx); err != nil {
			return errors.Join(err, s.keeper.Stop(ctx))
		}
	}
	return s.keeper.Stop(ctx)
}

// Run starts the service, waits until ctx ends, and stops it. Stopping takes at most a second.
func (s *Service) Run(ctx context.Context) error {
	if s == nil {
		<-ctx.Done()
		return nil
	}
	if err := s.Start(ctx); err != nil {
		return err
	}
	<-ctx.Done()
	stopCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	return s.Stop(stopCtx)
}

// ID is the installation ID in use: the zero ID before Start, and while Config.ID.AfterConsent holds it back. It can still
// change once [Service.Settled] is closed, when a stored ID that could not be read comes to light or when the operator
// resets it. It takes no lock and does not allocate.
func (s *Service) ID() installid.ID {
	if s == nil {
		return installid.ID{}
	}
	return s.keeper.ID()
}

// Settled is closed when the first decision about the ID has been taken: found, saved, or serving from memory. Without
// Config.Lazy that is before Start returns. Stop closes it too, once Start was called. It is closed from the beginning on
// a nil Service.
func (s *Service) Settled() <-chan struct{} {
	if s == nil {
		closed := make(chan struct{})
		close(closed)
		return closed
	}
	return s.keeper.Settled()
}

// WaitSettled waits until [Service.Settled] is closed or ctx ends, and then returns the context's cause.
func (s *Service) WaitSettled(ctx context.Context) error {
	select {
	case <-s.Settled():
		return nil
	case <-ctx.Done():
	}
	select {
	case <-s.Settled():
		return nil // at the same time
	default:
		return fmt.Errorf("wait for the installation ID: %w", context.Cause(ctx))
	}
}

// Status tells how the service is. It does not wait for the disk.
func (s *Service) Status() Status {
	if s == nil {
		return Status{Consent: Unset, ConsentSource: noService, Reporting: ReportingStatus{Withheld: noService}}
	}
	kept := s.keeper.Status()
	st, known := Status{Status: kept.Status, ConfigGrants: isTrue(kept.Enabled)}, s.known(kept)
	st.Consent, st.ConsentSource = known.Telemetry.State, known.Telemetry.Source
	st.Reporting = s.reportingStatus(known, st.Status)
	return st
}

// Reset makes a new ID and stores it in place of the old one. The service adopts it, and so does every other process
// that shares the storage, within about an hour. When it cannot be stored the old ID stays in use.
func (s *Service) Reset(ctx context.Context) (installid.ID, error) {
	if s == nil {
		return installid.ID{}, errors.New("reset installation ID: no service")
	}
	id, err := s.keeper.Reset(ctx)
	if err != nil {
		return installid.ID{}, fmt.Errorf("reset installation ID: %w", err)
	}
	return id, nil
}

// Status is how a [Service] is.
type Status struct {
	installid.Status
	// Consent is what the operator decided, and ConsentSource what decided it.
	Consent       Consent `json:"consent"`
	ConsentSource string  `json:"consent_source"`
	// ConfigGrants reports whether the config itself grants telemetry,
	// whatever takes precedence over it.
	ConfigGrants bool `json:"-"`
	// Reporting tells what is sent and how that goes.
	Reporting ReportingStatus `json:"reporting"`
}

// onSettled is the end of a start.
func (s *Service) onSettled(ctx context.Context, st keeper.Status) {
	granted := s.settledDecision(ctx, st).State == Granted
	s.log.Info(msgStarted, keyEnabled, granted, keyHasPersistentID, st.Persisted)
	if granted && s.sender != nil && (s.notReal == "" || s.config.Reporting.Development) {
		s.log.Info(msgReporting, keyEndpoint, s.config.Endpoint, keyNote, reportingNote)
	}
}
