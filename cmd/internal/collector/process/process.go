package process

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/access"
	"github.com/rollcall-dev/rollcall/cmd/internal/notify"
)

// Options say how a [Process] works.
type Options struct {
	// Dir is the data folder. It is made when it is missing.
	Dir string
	// Listen is the TCP address of the server, host:port; port 0 lets the system choose.
	Listen string
	// PlainListen is a second address, for connections in plain text when the main one has TLS: it sends browsers there,
	// and answers the authority's HTTP-01 challenges. Empty for none.
	PlainListen string

	// TLSCert and TLSKey are PEM files, read again when they change. Empty for none.
	TLSCert, TLSKey string
	// ACMEDomains are the names for which a certificate authority is asked for certificates; none for not at all.
	// ACMEEmail is for its mails and ACMEDirectory its address; empty is Let's Encrypt. To set ACMEDomains is to accept
	// the authority's terms of service.
	ACMEDomains              []string
	ACMEEmail, ACMEDirectory string

	// TrustedProxies are the addresses of proxies whose forwarding headers are believed.
	TrustedProxies []netip.Prefix
	// CountryDB is a database in MaxMind's format from which the country of a report is taken; empty for no countries.
	CountryDB string
	// Limits bound what is taken; see [Limits].
	Limits Limits
	// OpenMetrics says that /metrics needs no token.
	OpenMetrics bool
	// Title is what the pages are called; empty for a default.
	Title string

	// StopTimeout bounds the end; 0 is DefaultStopTimeout.
	StopTimeout time.Duration
	// Version is the program's.
	Version string
	// Logger gets the log lines; nil discards them.
	Logger *slog.Logger
	// Wrap, if not nil, goes around the handler of the server.
	Wrap func(http.Handler) http.Handler
}

// DefaultStopTimeout is Options.StopTimeout when that is 0.
const DefaultStopTimeout = 10 * time.Second

// The limits of a connection. What is behind the handler bounds bodies and answers more closely.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 30 * time.Second
	writeTimeout      = 2 * time.Minute // an export on a slow line
	idleTimeout       = 2 * time.Minute
	maxHeaderBytes    = 16 << 10
	// listenTimeout bounds the look-up of a host name given as an address to listen on.
	listenTimeout = 5 * time.Second
)

// ErrListen says that an address could not be opened.
var ErrListen = errors.New("listen")

// A Process is a collector that serves. Make it with [Open]; then [Process.Run] serves and ends it.
type Process struct {
	opts     Options
	log      *slog.Logger
	data     *data
	parts    parts
	control  *control
	enc      encryption
	listener net.Listener
	plain    net.Listener
	server   *http.Server
	plainSrv *http.Server
}

// Open checks the options, listens, opens the data folder and composes what serves it. Nothing is made when an option is
// wrong or an address is in use. Requests wait until Run.
func Open(ctx context.Context, opts Options) (_ *Process, err error) {
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	p := &Process{opts: opts, log: opts.Logger}
	defer func() {
		if err != nil {
			p.abandon(ctx)
		}
	}()
	if p.enc, err = newEncryption(&opts); err != nil {
		return nil, err
	}
	var country func(netip.Addr) string
	if opts.CountryDB != "" {
		if country, err = countryLookup(opts.CountryDB, p.log); err != nil {
			return nil, err
		}
	}
	if p.listener, err = listen(ctx, opts.Listen); err != nil {
		return nil, err
	}
	if opts.PlainListen != "" {
		if p.plain, err = listen(ctx, opts.PlainListen); err != nil {
			return nil, err
		}
	}
	if p.data, err = openData(ctx, opts.Dir, true, p.log); err != nil {
		return nil, err
	}
	if p.parts, err = compose(&opts, p.data, country); err != nil {
		return nil, err
	}
	handler := p.parts.handler
	if opts.Wrap != nil {
		handler = opts.Wrap(handler)
	}
	p.server = newServer(handler, p.log)
	p.server.TLSConfig = p.enc.config
	p.plainSrv = newServer(p.enc.plain, p.log)
	p.control = newControl(p.data, opts.Version, p.log)
	return p, p.control.listen()
}

// abandon undoes what a failed Open has done.
func (p *Process) abandon(ctx context.Context) {
	for _, l := range []net.Listener{p.listener, p.plain} {
		if l != nil {
			l.Close()
		}
	}
	if p.data != nil {
		p.data.close(ctx, p.log)
	}
}

func newServer(handler http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:                      handler,
		ReadHeaderTimeout:            readHeaderTimeout,
		ReadTimeout:                  readTimeout,
		WriteTimeout:                 writeTimeout,
		IdleTimeout:                  idleTimeout,
		MaxHeaderBytes:               maxHeaderBytes,
		DisableGeneralOptionsHandler: true,
		// What a client did wrong is no news, and it has addresses in it.
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug),
	}
}

// listen opens a TCP address. Its errors are [ErrListen] and say the address and the cause and no more.
func listen(ctx context.Context, address string) (net.Listener, error) {
	ctx, cancel := context.WithTimeout(ctx, listenTimeout)
	defer cancel()
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", address)
	if err == nil {
		return listener, nil
	}
	if op, ok := errors.AsType[*net.OpError](err); ok {
		err = op.Err
	}
	if call, ok := errors.AsType[*os.SyscallError](err); ok {
		err = call.Err
	}
	return nil, fmt.Errorf("%w on %s: %w", ErrListen, address, err)
}

// Collector gives the collector, to work with it beside the server until Run has ended.
func (p *Process) Collector() *collector.Collector { return p.data.collector }

// Access gives the keeper of its tokens.
func (p *Process) Access() *access.Keeper { return p.data.access }

// Addr gives the address of the server.
func (p *Process) Addr() net.Addr { return p.listener.Addr() }

// Run serves until ctx ends, and then ends the collector within StopTimeout: it takes no more connections, finishes the
// requests in flight or refuses them, writes all that is only in memory, and closes the store. What was acknowledged is
// durable also when that takes too long. It runs once.
func (p *Process) Run(ctx context.Context) error {
	background, cancelBackground := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer cancelBackground()
	for _, work := range p.parts.background {
		running.Go(func() { work(background) })
	}
	failed := make(chan error, 2)
	serve := func(server *http.Server, l net.Listener) {
		err := error(nil)
		if server.TLSConfig != nil {
			err = server.ServeTLS(l, "", "")
		} else {
			err = server.Serve(l)
		}
		if !errors.Is(err, http.ErrServerClosed) {
			failed <- fmt.Errorf("serve: %w", err)
		}
	}
	go serve(p.server, p.listener)
	if p.plain != nil {
		go serve(p.plainSrv, p.plain)
	}
	p.log.Info("Collector serves", "address", p.Addr().String(), "tls", p.enc.config != nil, "apps", len(p.data.collector.Apps()))

	manager := notify.New(p.log)
	manager.Ready("Serving")
	watchdog := time.NewTicker(manager.PingEvery())
	defer watchdog.Stop()
	var err error
loop:
	for {
		select {
		case <-ctx.Done():
			break loop
		case err = <-failed:
			break loop
		case <-watchdog.C:
			manager.Ping()
		}
	}
	manager.Stopping()
	cancelBackground()
	p.stop()
	manager.Close(100 * time.Millisecond)
	return err
}

// stop ends all of it within StopTimeout.
func (p *Process) stop() {
	limit := cmp.Or(p.opts.StopTimeout, DefaultStopTimeout)
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	// Requests get the greater part, and closing the store what they leave.
	requests, cancelRequests := context.WithTimeout(ctx, limit*6/10)
	defer cancelRequests()
	var ending sync.WaitGroup
	for _, server := range []*http.Server{p.server, p.plainSrv} {
		ending.Go(func() {
			if server.Shutdown(requests) != nil {
				server.Close()
			}
		})
	}
	ending.Go(func() { p.control.stop(requests) })
	ending.Wait()
	p.data.close(ctx, p.log)
	p.log.Info("Collector has ended")
}
