// Package rollcall is opt-in telemetry for self-hosted software. It provides the
// program that embeds it, the host, with an anonymous installation ID that
// survives restarts, and it never hangs, slows, crashes or surprises its host.
//
//	package main
//
//	import (
//		"context"
//		"log/slog"
//		"net/http"
//		"os"
//
//		"github.com/rollcall-dev/rollcall"
//		"github.com/rollcall-dev/rollcall/page"
//	)
//
//	var exports rollcall.Counter // exports.Add(1) where the program exports
//
//	func telemetry(logger *slog.Logger) rollcall.Config {
//		return rollcall.Config{
//			App: "my-app", Version: "v1.4.0", Endpoint: "https://telemetry.example.org",
//			ConfigPath: "config.json", // holds the ID, and telemetry.enabled, which is false at first
//			Facts: []rollcall.Fact{
//				rollcall.Environment("production"),
//				exports.Fact("exports.week", "Shows whether exports are in use.", 1, 10, 100),
//			},
//			Logger: logger,
//		}
//	}
//
//	func main() {
//		ctx, log := context.Background(), slog.NewTextHandler(os.Stderr, nil)
//		service, err := rollcall.New(telemetry(slog.New(log)))
//		if err != nil {
//			slog.Warn("No telemetry", "error", err) // a mistake in Config; a nil service is safe to use
//		}
//		service.AskConsent(ctx, rollcall.AskOptions{}) // if there is a terminal and nobody has decided
//		service.Start(ctx)
//		defer service.Stop(ctx)
//		slog.SetDefault(slog.New(rollcall.FaultHandler(service, log, rollcall.FaultHandlerOptions{Source: "log", Component: "main"})))
//		http.Handle("/telemetry/", page.Handler(service, page.Options{BasePath: "/telemetry"})) // shows what is sent
//		http.ListenAndServe("localhost:8080", nil)
//	}
//
// Nothing is sent until the operator agrees, at the terminal or in the config,
// or on the page if Options.Rights allow that. The directories examples and cmd/examples have a host for each way
// of keeping settings, and package rollcalltest prepares the tests of a host.
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
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
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
	config   Config
	log      *slog.Logger
	store    keeper.Store
	keeper   *keeper.Keeper
	records  idstore.Records
	facts    *facts
	faults   *faultCounter
	sender   *sender.Sender // nil without an endpoint
	updates  *updater       // nil without an endpoint or an update check
	platform platform.Detector
	client   func() report.Client        // this library
	version  atomic.Pointer[hostVersion] // never nil

	keys     consent.Keys
	place    consent.Source   // where the settings are
	latest   consent.Versions // what a grant covers now
	asking   flight.Flight    // of Config.Consent.Load
	deciding flight.Flight    // a decision from Load to Save
	// storeReadsConsent reports whether the store reads the config's consent
	// together with the ID.
	storeReadsConsent bool
	lastRead          atomic.Pointer[reading] // of the operator's decisions; never nil
	changes           atomic.Uint64           // how often this process changed them
	files             Files
	idVariable        string                       // of the environment, if the ID comes from there
	forgotten         atomic.Pointer[installid.ID] // by the collector; nil for none
	warned            subjectWarning
	healthWarned      subjectWarning
	updateWarned      subjectWarning
	withdrawn         withdrawal   // of telemetry
	forgetting        atomic.Int32 // deletions under way, which deny telemetry too
	healthWithdrawn   withdrawal   // of health reports
	updateWithdrawn   withdrawal   // of the update check
	healthUnderWay    atomic.Bool  // whether the last report is a health report
	saidReporting     atomic.Bool  // whether the log says that reports are sent

	observer  ReportObserver // nil for none
	observing sync.Mutex     // calls of the observer
	observed  *ReportingStatus
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
		config: config,
		log:    config.Logger,
		store:  store,
		faults: newFaultCounter(config.Reporting.FaultContext),
		client: sync.OnceValue(config.Reporting.client),
	}
	s.SetVersion(config.Version)
	if s.facts, err = newFacts(config.Facts); err != nil {
		return nil, err
	}
	if err := s.setUpConsent(location); err != nil {
		return nil, err
	}
	if s.records, err = config.records(location, store); err != nil {
		return nil, err
	}
	_, fixed := store.(*idstore.Fixed)
	options := keeper.Options{
		Attempts:       config.Limits.Attempts,
		AttemptTimeout: config.Limits.AttemptTimeout,
		StartTimeout:   config.Limits.StartTimeout,
		Backoff:        config.Limits.Backoff,
		Lazy:           config.Lazy,
		Look:           config.ID.Load == nil && !fixed,
		InStateFile:    location.StateFile != "",
		OnSettled:      s.onSettled,
		Logger:         config.Logger,
		Observer:       config.Observer,
	}
	if config.ID.AfterConsent {
		options.MayCreate = s.mayCreate
	}
	s.observer, _ = config.Observer.(ReportObserver)
	s.keeper = keeper.New(store, options)
	s.sender, s.updates = s.newSender(), s.newUpdater()
	return s, nil
}

// The errors of [Service.Start].
var (
	ErrStarted = keeper.ErrStarted // the service was started before
	ErrStopped = keeper.ErrStopped // the service was stopped before; also of Send
)

// Start finds or creates the ID and begins the background work. It waits no
// longer than ctx and Limits.StartTimeout, and not at all with Config.Lazy.
// Failing to save the ID is not an error; see [Service.Status]. Start fails
// only with [ErrStarted] or [ErrStopped].
func (s *Service) Start(ctx context.Context) error {
	if s == nil {
		return nil
	}
	if err := s.config.notIsolated; err != nil {
		s.log.Warn(msgNotIsolated, keyError, err.Error())
	}
	if err := s.keeper.Start(ctx); err != nil {
		return fmt.Errorf("start telemetry service: %w", err)
	}
	if s.sender != nil {
		s.sender.Start()
	}
	if s.checker() != nil {
		s.checker().sender.Start()
	}
	return nil
}

// Stop ends everything that Start began and waits for it, no longer than ctx.
// It does not wait for a file operation that hangs. Stop may be called more
// than once, and before Start, which then fails.
//
// A stopped service does not start again. To reload, create another one with the
// new Config and the same Observer; if New accepts it, stop the old one and
// start the new one. What is on disk, such as when the last report was sent,
// carries over. Counted faults do not.
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
	if s.checker() != nil {
		err = errors.Join(err, s.checker().sender.Stop(ctx))
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
	// Updates is the state of the update check.
	Updates UpdateStatus `json:"updates"`
}

// Status returns the state of the service. It does not wait for the disk.
func (s *Service) Status() Status {
	if s == nil {
		nobody := s.Decisions(context.Background())
		return Status{
			Consent: nobody.Telemetry, Reporting: ReportingStatus{Withheld: ErrNoService.Error(), Health: nobody.Health},
			Updates: s.updateStatus(nobody),
		}
	}
	kept := s.keeper.Status()
	known := s.known(kept)
	return Status{
		Status:    kept.Status,
		Consent:   known.Telemetry,
		Reporting: s.reportingStatus(known, kept.Status),
		Updates:   s.updateStatus(known),
	}
}

// Reset creates a new ID and stores it in place of the old one, whether the
// service was started or not. The service uses it at once, and every other
// process that shares the storage within about a minute, or with ID.Load an
// hour; none of them sends the old one again. A hash of the old ID is recorded
// first, so that no old copy of the config brings it back. If that is not
// possible, the old one stays in use. If only the new one cannot be stored, it
// serves from memory until it can, and the error says why. With
// ID.AfterConsent, Reset fails as long as there is no ID.
func (s *Service) Reset(ctx context.Context) (installid.ID, error) {
	if s == nil {
		return installid.ID{}, fmt.Errorf("reset installation ID: %w", ErrNoService)
	}
	id, err := s.keeper.Reset(ctx)
	if err != nil {
		return installid.ID{}, fmt.Errorf("reset installation ID: %w", err)
	}
	return id, nil
}

// CheckReset returns why [Service.Reset] cannot work: the ID comes from an
// environment variable.
func (s *Service) CheckReset() error {
	switch {
	case s == nil:
		return ErrNoService
	case s.idVariable != "":
		return errors.New("the installation ID comes from the environment variable " + s.idVariable + "; change it there")
	}
	return nil
}

const (
	msgStarted     = "Telemetry service started"
	msgReporting   = "Telemetry reporting is on"
	msgNotIsolated = "File work is not isolated, so a hung disk can delay the exit"

	keyEnabled         = "enabled"
	keyError           = "error"
	keyHasPersistentID = "has_persistent_id"
	keyEndpoint        = "endpoint"
	keyNote            = "note"
)

// onSettled logs the end of a start.
func (s *Service) onSettled(ctx context.Context, st keeper.Status) {
	granted := s.settledDecision(ctx, st).State == Granted
	s.log.Info(msgStarted, keyEnabled, granted, keyHasPersistentID, st.Persisted)
	s.logReporting(granted)
}

// logReporting says once that reports are sent, if they are.
func (s *Service) logReporting(granted bool) {
	if granted && s.sender != nil && s.version.Load().notCounted == nil && s.saidReporting.CompareAndSwap(false, true) {
		s.log.Info(msgReporting, keyEndpoint, s.config.Endpoint, keyNote, cmp.Or(s.config.Consent.Hint, s.hint()))
	}
}

// hint says how to stop reports, for a host that does not say it. It names no
// command, since a host has none of the program's.
func (s *Service) hint() string {
	if s.place.Kind == consent.Host {
		return "to stop it, change the host's settings" + suffixed(": ", s.place.Name)
	}
	place := s.keys.Telemetry.String() + " in " + cmp.Or(s.place.Name, s.config.ConfigPath)
	return "to stop it, set " + place + " to false"
}

// suffixed returns text after a separator, or nothing without one.
func suffixed(separator, text string) string {
	if text == "" {
		return ""
	}
	return separator + text
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
