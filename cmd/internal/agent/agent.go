// Package agent runs one service in a process of its own. A local HTTP
// server lets programs in any language get their installation ID, and the
// service manager is kept informed.
//
// The server answers from the first moment, before there is an ID and
// while the disk hangs. It is meant for programs on the same machine: it
// listens on loopback unless told otherwise, and refuses what web pages
// may send to it, directly or through a name that resolves to loopback
// (DNS rebinding). Everyone who reaches it may read, everyone on this
// machine may deny, and only the operator may change anything else; package
// operator recognizes them.
package agent

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rollcall-dev/rollcall"
	"github.com/rollcall-dev/rollcall/cmd/internal/listen"
	"github.com/rollcall-dev/rollcall/cmd/internal/notify"
	"github.com/rollcall-dev/rollcall/cmd/internal/operator"
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
	SetUpdateConsent(ctx context.Context, granted bool) error
	Preview(ctx context.Context) (rollcall.Preview, error)
	SendNow(ctx context.Context) error
	CheckUpdate(ctx context.Context) (rollcall.Update, error)
	ReportFault(fault rollcall.Fault)
	Files() rollcall.Files
	HostStore
}

var _ Service = (*rollcall.Service)(nil)

// Options configure an [Agent].
type Options struct {
	// Listen are the addresses: host:port for TCP, and unix:PATH for a Unix
	// socket. None means no server.
	Listen []string
	// SocketMode is the mode of Unix sockets. Zero means 0600.
	SocketMode fs.FileMode
	// Gate knows who may change something. Nil means nobody.
	Gate *operator.Gate
	// AllowHosts are further names by which clients may address the
	// server; see [Agent.Handler].
	AllowHosts []string
	// Host is what the host says about itself. Its facts are those of the
	// service, and the agent calls its Use. Nil means a host that declares none.
	Host *Host
	// FaultContext are the keys that the context of a fault may have, the same
	// as those of the service.
	FaultContext []string
	// Version is the program's version, which the status includes.
	Version string
	// Metrics are served at /metrics. Nil means no such endpoint.
	Metrics prometheus.Gatherer
	// Page is the operator's page, which gets all other paths. Nil means
	// none. It need not check the Host header, but the rights of each request,
	// with the same Gate.
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
	// background is what Run began besides the server and the service.
	background sync.WaitGroup

	counting sync.Mutex // of one fault at a time, to see whether it was counted

	freshening sync.Mutex
	fresh      <-chan struct{} // closed when the last reading of the decisions is over
	freshAt    time.Time       // when it began
}

// New returns an agent for service. It opens and starts nothing.
func New(service Service, opts Options) (*Agent, error) {
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	if opts.Host == nil {
		opts.Host = NewHost(nil, "")
	}
	opts.Host.Use(service)
	a := &Agent{service: service, opts: opts, log: opts.Logger, began: time.Now()}
	for _, address := range opts.Listen {
		if path, ok := listen.UnixPath(address); ok {
			if err := listen.CheckUnix(path); err != nil {
				return nil, err
			}
			continue
		}
		host, err := listen.Host(address)
		if err != nil {
			return nil, err
		}
		if host == "" {
			a.hosts.AnyIP = true // it listens on all addresses
		} else {
			a.hosts.Add(host)
		}
	}
	a.hosts.Add(opts.AllowHosts...)
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
	listeners, err := a.listen(ctx)
	if err != nil {
		return err
	}
	server := a.newServer()
	failed := make(chan error, len(listeners)+1)
	for _, listener := range listeners {
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
			a.background.Go(a.loadHost)
			if a.opts.Gate != nil && len(a.opts.Listen) > 0 {
				a.background.Go(func() { a.opts.Gate.Prepare(a.stopping, a.log) })
			}
		case <-a.opts.Persisted:
			manager.Status(a.statusText())
		}
	}
}

// loadHost reads what the host set before, soon again as long as the disk does
// not answer, and otherwise once an hour, because another agent may share the
// file.
func (a *Agent) loadHost() {
	const most = time.Hour
	for pause := time.Second; ; pause = min(2*pause, most) {
		ctx, cancel := context.WithTimeout(a.stopping, keepTimeout)
		err := a.opts.Host.Load(ctx)
		cancel()
		if err == nil {
			pause = most
		} else {
			a.log.Debug("What the host set was not read", "error", err.Error())
		}
		select {
		case <-time.After(pause):
		case <-a.stopping.Done():
			return
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
	ended := make(chan struct{})
	go func() {
		<-started
		a.background.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-ctx.Done():
	}
	if err := a.service.Stop(ctx); err != nil {
		a.log.Debug("Service did not end in time", "error", err.Error())
	}
}

// listen opens all addresses, or none.
func (a *Agent) listen(ctx context.Context) (listeners []net.Listener, err error) {
	for _, address := range a.opts.Listen {
		var listener net.Listener
		if path, ok := listen.UnixPath(address); ok {
			listener, err = listen.Unix(ctx, path, cmp.Or(a.opts.SocketMode, 0o600))
		} else {
			listener, err = listen.TCP(ctx, address)
		}
		if err != nil {
			for _, opened := range listeners {
				opened.Close()
			}
			return nil, err
		}
		listeners = append(listeners, listener)
	}
	for i, listener := range listeners {
		a.announce(ctx, a.opts.Listen[i], listener.Addr())
	}
	return listeners, nil
}

// announce logs an address that is listened on.
func (a *Agent) announce(ctx context.Context, configured string, opened net.Addr) {
	if _, ok := listen.UnixPath(configured); ok {
		a.log.Debug("Listening", "address", configured)
		return
	}
	address := opened.String()
	if !loopback.IsAddr(opened) {
		a.log.Warn("Listening on an address that other machines may reach", "address", address,
			"note", "anyone who can reach it can read the installation ID, and use it to report as this installation or delete its data from the collector; changes need the operator's token")
	}
	// The operator does not know a port that the system chose.
	level := slog.LevelDebug
	if listen.ChoosesPort(configured) {
		level = slog.LevelInfo
	}
	a.log.Log(ctx, level, "Listening", "address", address)
}

// writeTimeout bounds a response. One that waits on purpose extends its own
// deadline.
const writeTimeout = 10 * time.Second

func (a *Agent) newServer() *http.Server {
	return &http.Server{
		Handler:                      a.Handler(),
		ConnContext:                  operator.ConnContext,
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
