// Package agent runs one service in a process of its own. A local HTTP
// server lets programs in any language get their installation ID, and the
// service manager is kept informed.
//
// The server answers from the first moment, before there is an ID and
// while the disk hangs. It is meant for programs on the same machine: it
// listens on loopback unless told otherwise, and refuses what web pages
// may send to it, directly or through a name that resolves to loopback
// (DNS rebinding).
package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rollcall-dev/rollcall"
	"github.com/rollcall-dev/rollcall/cmd/internal/listen"
	"github.com/rollcall-dev/rollcall/cmd/internal/notify"
	"github.com/rollcall-dev/rollcall/internal/guard"
	"github.com/rollcall-dev/rollcall/internal/loopback"
)

// The end of [Agent.Run] takes at most stopTimeout for requests in flight
// and the service together, and drainTimeout for the last messages to the
// service manager.
const (
	stopTimeout  = 600 * time.Millisecond
	drainTimeout = 100 * time.Millisecond
)

// A Service is what an agent runs, such as a [rollcall.Service].
type Service interface {
	Start(ctx context.Context) error
	Stop(ctx context.Context) error
	Status() rollcall.Status
	Settled() <-chan struct{}
	Decisions(ctx context.Context) rollcall.Decisions
	SetConsent(ctx context.Context, granted bool) error
	SetHealthConsent(ctx context.Context, granted bool) error
}

var _ Service = (*rollcall.Service)(nil)

// Options configure an [Agent].
type Options struct {
	// Listen is the TCP address, host:port. Empty means no server.
	Listen string
	// AllowHosts are further names by which clients may address the
	// server; see [Agent.Handler].
	AllowHosts []string
	// Version is the program's version, which the status includes.
	Version string
	// Metrics are served at /metrics. Nil means no such endpoint.
	Metrics prometheus.Gatherer
	// Page is the operator's page, which gets all other paths. Nil means
	// none. It need not check the Host header.
	Page http.Handler
	// Persisted, if not nil, is received from when Status().Persisted may
	// have changed, to inform the service manager.
	Persisted <-chan struct{}
	// Logger receives the log lines; nil discards them.
	Logger *slog.Logger
}

// An Agent runs one service. Create it with [New].
type Agent struct {
	service Service
	opts    Options
	log     *slog.Logger
	began   time.Time
	hosts   guard.Hosts // the names by which clients may address the server
	// stopping ends when the agent stops, and with it all waits.
	stopping context.Context
	stop     context.CancelFunc
}

// New returns an agent for service. It opens and starts nothing.
func New(service Service, opts Options) (*Agent, error) {
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	a := &Agent{service: service, opts: opts, log: opts.Logger, began: time.Now()}
	if opts.Listen != "" {
		host, err := listen.Host(opts.Listen)
		if err != nil {
			return nil, err
		}
		a.hosts.AnyIP = host == "" // it listens on all addresses
		if host != "" {
			a.hosts.Add(host)
		}
		a.hosts.Add(opts.AllowHosts...)
	}
	a.stopping, a.stop = context.WithCancel(context.Background())
	return a, nil
}

// Run listens, starts the service and serves until ctx ends. Then it
// stops both within a second, whatever hangs. If it cannot listen, it
// returns an error before the service does anything. An agent runs once.
func (a *Agent) Run(ctx context.Context) error {
	defer a.stop()
	// Listen first: making the ID can take as long as the disk hangs, and
	// clients may want to ask for the state.
	listener, err := a.listen(ctx)
	if err != nil {
		return err
	}
	server := a.newServer()
	failed := make(chan error, 2)
	if listener != nil {
		go func() {
			if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
				failed <- fmt.Errorf("serve: %w", err)
			}
		}()
	}
	startCtx, cancelStart := context.WithCancel(ctx)
	defer cancelStart()
	started := make(chan struct{})
	go func() {
		defer close(started)
		if err := a.service.Start(startCtx); err != nil {
			failed <- err
		}
	}()

	manager := notify.New(a.log)
	err = a.serve(ctx, manager, failed)
	manager.Stopping()
	cancelStart()
	a.shutDown(server, started)
	manager.Close(drainTimeout)
	return err
}

// serve informs the service manager until ctx ends or something fails.
func (a *Agent) serve(ctx context.Context, manager *notify.Manager, failed <-chan error) error {
	manager.Ready(a.statusText())
	// This goroutine, which sends the pings, never waits for the disk. A
	// hung disk is no reason to restart the agent, which would only hang
	// again.
	watchdog := time.NewTicker(manager.PingEvery())
	defer watchdog.Stop()
	settled := a.service.Settled()
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-failed:
			return err
		case <-watchdog.C:
			manager.Ping()
		case <-settled:
			settled = nil
			manager.Status(a.statusText())
		case <-a.opts.Persisted:
			manager.Status(a.statusText())
		}
	}
}

// shutDown stops the server and the service within stopTimeout.
func (a *Agent) shutDown(server *http.Server, started <-chan struct{}) {
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	a.stop()
	if err := server.Shutdown(ctx); err != nil {
		server.Close()
	}
	select {
	case <-started:
	case <-ctx.Done():
	}
	if err := a.service.Stop(ctx); err != nil {
		a.log.Debug("Service did not end in time", "error", err.Error())
	}
}

// listen returns nil if there is to be no server.
func (a *Agent) listen(ctx context.Context) (net.Listener, error) {
	if a.opts.Listen == "" {
		return nil, nil
	}
	listener, err := listen.TCP(ctx, a.opts.Listen)
	if err != nil {
		return nil, err
	}
	address := listener.Addr().String()
	if !loopback.IsAddr(listener.Addr()) {
		a.log.Warn("Listening on an address that other machines may reach, without authentication", "address", address)
	}
	// The operator does not know a port that the system chose.
	level := slog.LevelDebug
	if listen.ChoosesPort(a.opts.Listen) {
		level = slog.LevelInfo
	}
	a.log.Log(ctx, level, "Listening", "address", address)
	return listener, nil
}

// writeTimeout bounds a response. One that waits on purpose extends its own
// deadline.
const writeTimeout = 10 * time.Second

func (a *Agent) newServer() *http.Server {
	return &http.Server{
		Handler:                      a.Handler(),
		ReadHeaderTimeout:            5 * time.Second,
		ReadTimeout:                  10 * time.Second,
		WriteTimeout:                 writeTimeout,
		IdleTimeout:                  60 * time.Second,
		MaxHeaderBytes:               16 << 10,
		DisableGeneralOptionsHandler: true, // so that the guard sees "OPTIONS *" too
		ErrorLog:                     slog.NewLogLogger(a.log.Handler(), slog.LevelDebug),
	}
}

// statusText returns the line that the service manager shows.
func (a *Agent) statusText() string {
	switch st := a.service.Status(); {
	case !st.Settled:
		return "Making the installation ID ready"
	case st.ID.IsZero():
		return "No installation ID: " + st.Reason
	case st.Persisted:
		return "Installation ID persisted"
	default:
		return "Installation ID in memory: " + st.Reason
	}
}
