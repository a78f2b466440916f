// Package agent is the process around one service: the local HTTP server through which programs in any language get
// their installation ID, and the talk with the service manager.
//
// The server answers from the first moment, before the ID is made and while the disk hangs. It is meant for programs on
// the same machine: it listens on loopback unless told otherwise, and refuses what a web page could send to it, by a
// name that resolves to loopback (DNS rebinding) or directly.
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
	"github.com/rollcall-dev/rollcall/cmd/internal/notify"
)

// What the end of [Agent.Run] may take: requests in flight and the service together, and then the last words to the
// service manager.
const (
	stopTimeout  = 600 * time.Millisecond
	drainTimeout = 100 * time.Millisecond
)

// A Service is what an agent runs: a [rollcall.Service].
type Service interface {
	Start(ctx context.Context) error
	Stop(ctx context.Context) error
	Status() rollcall.Status
	Settled() <-chan struct{}
}

var _ Service = (*rollcall.Service)(nil)

// Options say how an [Agent] works.
type Options struct {
	// Listen is the TCP address of the local server, host:port; empty for no server.
	Listen string
	// AllowHosts are further names by which clients may address the server; see [Agent.Handler].
	AllowHosts []string
	// Version is the program's, for the status.
	Version string
	// Metrics are served at /metrics; nil for no such endpoint.
	Metrics prometheus.Gatherer
	// Page is the operator's page, for all other paths; nil for none. It need not look at the Host header.
	Page http.Handler
	// Persisted wakes the agent when Status().Persisted may have changed, so that the service manager hears of it; nil
	// for never.
	Persisted <-chan struct{}
	// Logger gets the log lines; nil discards them.
	Logger *slog.Logger
}

// An Agent runs one service. Make it with [New].
type Agent struct {
	service Service
	opts    Options
	log     *slog.Logger
	began   time.Time
	hosts   hosts
	// stopping ends when the agent does, so that no request waits longer.
	stopping context.Context
	stop     context.CancelFunc
}

// New gives an agent for service; it opens nothing and starts nothing.
func New(service Service, opts Options) (*Agent, error) {
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	a := &Agent{service: service, opts: opts, log: opts.Logger, began: time.Now()}
	if opts.Listen != "" {
		var err error
		if a.hosts, err = newHosts(opts.Listen, opts.AllowHosts); err != nil {
			return nil, err
		}
	}
	a.stopping, a.stop = context.WithCancel(context.Background())
	return a, nil
}

// Run listens, starts the service and serves until ctx ends; then it stops both, which takes no longer than a second
// whatever hangs. It fails when it cannot listen, before the service does anything. An agent runs once.
func (a *Agent) Run(ctx context.Context) error {
	defer a.stop()
	// Listening comes first: the ID can take as long as the disk does, and someone may be waiting to ask how it goes.
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

// serve keeps the service manager informed until ctx ends or something fails.
func (a *Agent) serve(ctx context.Context, manager *notify.Manager, failed <-chan error) error {
	manager.Ready(a.statusText())
	// The pings come from here, which never waits for the disk: a hung disk is no reason to restart the agent, since a
	// restart would hang as well.
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

// shutDown ends the server and the service, within stopTimeout.
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

// listen opens the server's address; it gives nil when there is to be no server.
func (a *Agent) listen(ctx context.Context) (net.Listener, error) {
	if a.opts.Listen == "" {
		return nil, nil
	}
	listener, err := listen(ctx, a.opts.Listen)
	if err != nil {
		return nil, err
	}
	address := listener.Addr().String()
	if !isLoopback(listener.Addr()) {
		a.log.Warn("Listening on an address that other machines may reach, without authentication", "address", address)
	}
	// Where it was told to listen is no news to anyone, but a port that the system chose is.
	level := slog.LevelDebug
	if choosesPort(a.opts.Listen) {
		level = slog.LevelInfo
	}
	a.log.Log(ctx, level, "Listening", "address", address)
	return listener, nil
}

// statusText is the line that the service manager shows.
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
