// Package rollcall is opt-in telemetry for self-hosted software. It gives the
// program that embeds it, the host, an anonymous installation ID that survives
// restarts, and it never hangs, slows, crashes or surprises its host.
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
// [New] only checks its argument. [Service.Start] returns within
// Limits.StartTimeout (20 seconds by default) whatever the disk does, and at
// once with Config.Lazy. If the ID cannot be saved, one in memory serves, and
// the service keeps trying in the background, rarely. Every byte of a config
// except the one key stays as it is. No call panics, even on a nil Service, so
// a host can go on if New fails.
//
// An operation on a hung disk cannot be cancelled. It costs the host one
// goroutine, however often it is retried. But a thread that the kernel holds
// in an uninterruptible wait keeps its process from exiting, whatever anyone
// does. With Config.Isolate that thread belongs to a child process, and the
// host exits when it wants to.
package rollcall

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rollcall-dev/rollcall/installid"
	"github.com/rollcall-dev/rollcall/internal/consent"
	"github.com/rollcall-dev/rollcall/internal/flight"
	"github.com/rollcall-dev/rollcall/internal/idstore"
	"github.com/rollcall-dev/rollcall/internal/isolate"
	"github.com/rollcall-dev/rollcall/internal/keeper"
	"github.com/rollcall-dev/rollcall/internal/platform"
	"github.com/rollcall-dev/rollcall/internal/sender"
	"github.com/rollcall-dev/rollcall/report"
)

// A Service is the telemetry of one installation; create it with [New]. All
// methods are safe for concurrent use, and do nothing on a nil Service.
type Service struct {
	config     Config
	log        *slog.Logger
	store      keeper.Store
	keeper     *keeper.Keeper
	records    idstore.Records
	facts      *facts
	faults     *faultCounter
	sender     *sender.Sender // nil without an endpoint
	platform   platform.Detector
	client     func() report.Client // this library
	notCounted string               // why this is no installation to count; empty if it is one

	keys   consent.Keys
	place  consent.Source   // where the settings are
	latest consent.Versions // what a grant covers now
	asking flight.Flight    // of Config.Consent.Load
	// storeReadsConsent reports whether the store reads the config's consent
	// together with the ID.
	storeReadsConsent bool
	lastRead          atomic.Pointer[reading] // of the operator's decisions; never nil
	changes           atomic.Uint64           // how often this process changed them
	withdrawn         withdrawal              // of telemetry
	healthWithdrawn   withdrawal              // of health reports
	healthUnderWay    atomic.Bool             // whether the last report is a health report
}

// New checks the config and does nothing else: it opens no file, starts no
// goroutine and writes nothing. The error is a [*ConfigError].
func New(config Config) (*Service, error) {
	config = config.withDefaults()
	location, err := config.location()
	if err != nil {
		return nil, err
	}
	store, err := config.store(location)
	if err != nil {
		return nil, err
	}
	if err := config.check(); err != nil {
		return nil, err
	}
	s := &Service{
		config:     config,
		log:        config.Logger,
		store:      store,
		faults:     newFaultCounter(config.Reporting.FaultContext),
		client:     sync.OnceValue(thisClient),
		notCounted: consent.NotCounted(config.Version, os.Getenv, flag.Lookup("test.v") != nil),
	}
	if s.facts, err = newFacts(config.Facts); err != nil {
		return nil, err
	}
	if err := s.setUpConsent(location); err != nil {
		return nil, err
	}
	if s.records, err = config.records(location, store); err != nil {
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

// The errors of [Service.Start].
var (
	ErrStarted = keeper.ErrStarted // the service was started before
	ErrStopped = keeper.ErrStopped // the service was stopped before
)

// Start finds or creates the ID and begins the background work. It waits no
// longer than ctx and Limits.StartTimeout, and not at all with Config.Lazy.
// Failing to save the ID is not an error; see [Service.Status]. Start fails
// only with [ErrStarted] or [ErrStopped].
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

// Stop ends everything that Start began and waits for it, no longer than ctx.
// It does not wait for a file operation that hangs. Stop may be called more
// than once, and before Start, which then fails.
func (s *Service) Stop(ctx context.Context) error {
	if s == nil {
		return nil
	}
	if c, ok := s.records.(interface{ CloseIdle() }); ok {
		defer c.CloseIdle() // ends a child process that waits for work
	}
	var err error
	if s.sender != nil {
		err = s.sender.Stop(ctx)
	}
	return errors.Join(err, s.keeper.Stop(ctx))
}

// Run starts the service, waits until ctx ends, and stops the service. Stopping
// takes at most a second.
func (s *Service) Run(ctx context.Context) error {
	if s == nil {
		<-ctx.Done()
		return nil
	}
	if err := s.Start(ctx); err != nil {
		return err
	}
	<-ctx.Done()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	return s.Stop(ctx)
}

// ID returns the installation ID in use. It is zero before Start, and as long
// as ID.AfterConsent withholds it. It can still change after
// [Service.Settled]: when a stored ID that could not be read becomes readable,
// and when the operator resets it. ID takes no lock and does not allocate.
func (s *Service) ID() installid.ID {
	if s == nil {
		return installid.ID{}
	}
	return s.keeper.ID()
}

// Settled returns a channel that is closed once the ID is settled: found,
// saved, or serving from memory. Without Config.Lazy that is before Start
// returns. Stop closes it too, if Start was called. On a nil Service it is
// closed from the beginning.
func (s *Service) Settled() <-chan struct{} {
	if s == nil {
		closed := make(chan struct{})
		close(closed)
		return closed
	}
	return s.keeper.Settled()
}

// WaitSettled waits until [Service.Settled] is closed. If ctx ends first, it
// returns the cause.
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

// Status is the state of a [Service].
type Status struct {
	installid.Status
	// Consent is the operator's decision about telemetry, as last read.
	Consent Decision `json:"consent"`
	// Reporting is the state of sending.
	Reporting ReportingStatus `json:"reporting"`
}

// Status returns the state of the service. It does not wait for the disk.
func (s *Service) Status() Status {
	if s == nil {
		nobody := s.Decisions(context.Background())
		return Status{Consent: nobody.Telemetry, Reporting: ReportingStatus{Withheld: errNoService.Error(), Health: nobody.Health}}
	}
	kept := s.keeper.Status()
	known := s.known(kept)
	return Status{
		Status:    kept.Status,
		Consent:   known.Telemetry,
		Reporting: s.reportingStatus(known, kept.Status),
	}
}

// Reset creates a new ID and stores it in place of the old one, whether the
// service was started or not. The service uses it at once, and every other
// process that shares the storage within about an hour. If the new ID cannot
// be stored, the old one stays in use. With ID.AfterConsent, Reset fails as
// long as there is no ID.
func (s *Service) Reset(ctx context.Context) (installid.ID, error) {
	if s == nil {
		return installid.ID{}, fmt.Errorf("reset installation ID: %w", errNoService)
	}
	id, err := s.keeper.Reset(ctx)
	if err != nil {
		return installid.ID{}, fmt.Errorf("reset installation ID: %w", err)
	}
	return id, nil
}

const (
	msgStarted   = "Telemetry service started"
	msgReporting = "Telemetry reporting is on"

	keyEnabled         = "enabled"
	keyHasPersistentID = "has_persistent_id"
	keyEndpoint        = "endpoint"
	keyNote            = "note"

	reportingNote = "see what is sent with 'rollcall preview'; stop it with 'rollcall disable' or by setting the config's key to false"
)

// onSettled logs the end of a start.
func (s *Service) onSettled(ctx context.Context, st keeper.Status) {
	granted := s.settledDecision(ctx, st).State == Granted
	s.log.Info(msgStarted, keyEnabled, granted, keyHasPersistentID, st.Persisted)
	if granted && s.sender != nil && (s.notCounted == "" || s.config.Reporting.Development) {
		s.log.Info(msgReporting, keyEndpoint, s.config.Endpoint, keyNote, reportingNote)
	}
}

// RunChild must be called first in main by a host that uses Config.Isolate;
// otherwise [New] fails. Isolate starts the host's own binary again for the
// file work. In that child process RunChild does the work and exits. Anywhere
// else it returns at once.
//
// Isolate promises that the host exits when it wants to, even while the kernel
// holds a file operation in an uninterruptible wait: the wait is the child's.
// At most one child is left behind, and it exits as soon as the kernel lets go
// of it. BenchmarkIsolate shows the cost. Without Isolate, a hung operation
// costs one goroutine and can keep the process from exiting. It can also cost a
// signal: Linux delivers one to the main thread first, which may be the one
// that waits for the disk. To prevent that, call runtime.LockOSThread in a func
// init of package main.
func RunChild() { isolate.RunChild() }
