// Package daemon runs a collector as a service: it opens the data directory,
// listens, serves, and shuts down in order.
package daemon

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector/access"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/control"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/datadir"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/engine"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/server"
	"github.com/rollcall-dev/rollcall/cmd/internal/listen"
	"github.com/rollcall-dev/rollcall/cmd/internal/notify"
)

// Options configure a [Daemon].
type Options struct {
	// Dir is the data directory. It is created if it is missing.
	Dir string
	// Listen is the TCP address, host:port. Port 0 lets the system choose.
	Listen string
	// PlainListen is a second address without TLS, for a server with TLS. It
	// redirects browsers to https, and answers the HTTP-01 challenges of a
	// certificate authority. Empty is none.
	PlainListen string

	// TLSCert and TLSKey are PEM files, reloaded when they change; or empty.
	TLSCert, TLSKey string
	// ACMEDomains are the host names for which to request certificates from a
	// certificate authority; empty requests none. Setting ACMEDomains accepts
	// the authority's terms of service.
	ACMEDomains []string
	// ACMEEmail is where the authority may send mail, and ACMEDirectory is the
	// URL of the authority; empty is Let's Encrypt.
	ACMEEmail, ACMEDirectory string

	// TrustedProxies are proxies whose forwarding headers are trusted.
	TrustedProxies []netip.Prefix
	// CountryDB is a database in MaxMind's format for the countries of
	// reports, reloaded when it changes; empty records no countries.
	CountryDB string
	// Limits bound what one sender may send.
	Limits server.Limits
	// OpenMetrics serves /metrics without a token.
	OpenMetrics bool
	// Title is the title of the pages; empty is Rollcall.
	Title string

	// StopTimeout bounds the shutdown; 0 is DefaultStopTimeout.
	StopTimeout time.Duration
	// Version is the program's version.
	Version string
	// Logger receives the log lines; nil discards them.
	Logger *slog.Logger
	// Wrap, if not nil, wraps the handler of the server.
	Wrap func(http.Handler) http.Handler
}

// DefaultStopTimeout is the value of Options.StopTimeout if that is 0.
const DefaultStopTimeout = 10 * time.Second

// A Daemon is a collector that serves. Create it with [Open].
type Daemon struct {
	opts       Options
	log        *slog.Logger
	dir        *datadir.Dir
	control    *control.Server
	tls        encryption
	background []func(context.Context)
	server     *http.Server
	listener   net.Listener
	// plain is the server without TLS; its listener may be nil.
	plain         *http.Server
	plainListener net.Listener
}

// Open checks the options, listens, and opens the data directory. It creates
// nothing if an option is invalid or an address is in use ([listen.ErrAddress]).
// Requests wait until Run.
func Open(ctx context.Context, opts Options) (_ *Daemon, err error) {
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	d := &Daemon{opts: opts, log: opts.Logger}
	defer func() {
		if err != nil {
			d.abandon(ctx)
		}
	}()
	if d.tls, err = newEncryption(&opts); err != nil {
		return nil, err
	}
	var country func(netip.Addr) string
	if opts.CountryDB != "" {
		if country, err = countryLookup(opts.CountryDB, d.log); err != nil {
			return nil, err
		}
	}
	if d.listener, err = listen.TCP(ctx, opts.Listen); err != nil {
		return nil, err
	}
	if opts.PlainListen != "" {
		if d.plainListener, err = listen.TCP(ctx, opts.PlainListen); err != nil {
			return nil, err
		}
	}
	if d.dir, err = datadir.Open(ctx, opts.Dir, datadir.Options{Create: true, Logger: d.log}); err != nil {
		return nil, err
	}
	handler, err := d.newHandler(country)
	if err != nil {
		return nil, err
	}
	if opts.Wrap != nil {
		handler = opts.Wrap(handler)
	}
	d.server = newServer(handler)
	d.server.TLSConfig = d.tls.config
	d.plain = newServer(d.tls.plain)
	d.control = control.NewServer(d.dir, d.log)
	if err := d.control.Listen(); err != nil {
		return nil, err
	}
	return d, nil
}

func (d *Daemon) abandon(ctx context.Context) {
	for _, l := range []net.Listener{d.listener, d.plainListener} {
		if l != nil {
			l.Close()
		}
	}
	if d.dir != nil {
		d.dir.Shutdown(ctx)
	}
}

// newServer limits connections. Handlers limit bodies and answers further.
func newServer(handler http.Handler) *http.Server {
	return &http.Server{
		Handler:                      handler,
		ReadHeaderTimeout:            5 * time.Second,
		ReadTimeout:                  30 * time.Second,
		WriteTimeout:                 2 * time.Minute, // an export over a slow line
		IdleTimeout:                  2 * time.Minute,
		MaxHeaderBytes:               16 << 10,
		DisableGeneralOptionsHandler: true,
		// Errors of clients are not news, and contain their addresses.
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug),
	}
}

// Collector returns the collector, which is usable until Run returns.
func (d *Daemon) Collector() *engine.Engine { return d.dir.Collector }

// Tokens returns the access tokens.
func (d *Daemon) Tokens() *access.Tokens { return d.dir.Tokens }

// Addr returns the address of the server.
func (d *Daemon) Addr() net.Addr { return d.listener.Addr() }

// Run serves until ctx ends, and then shuts down within StopTimeout: it accepts
// no further connections, finishes or refuses the current requests, writes what
// is only in memory, and closes the store. Acknowledged reports are durable
// even if the time runs out. Call Run once.
func (d *Daemon) Run(ctx context.Context) error {
	background, cancelBackground := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer cancelBackground()
	for _, work := range d.background {
		running.Go(func() { work(background) })
	}
	failed := make(chan error, 2)
	serve := func(server *http.Server, l net.Listener) {
		var err error
		if server.TLSConfig != nil {
			err = server.ServeTLS(l, "", "")
		} else {
			err = server.Serve(l)
		}
		if !errors.Is(err, http.ErrServerClosed) {
			failed <- fmt.Errorf("serve: %w", err)
		}
	}
	go serve(d.server, d.listener)
	if d.plainListener != nil {
		go serve(d.plain, d.plainListener)
	}
	d.log.Info("Collector serves", "address", d.Addr().String(), "tls", d.tls.config != nil, "apps", len(d.Collector().Apps()))

	manager := notify.New(d.log)
	manager.Ready("Serving")
	watchdog := time.NewTicker(manager.PingEvery())
	defer watchdog.Stop()
	var err error
	for err == nil && ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case err = <-failed:
		case <-watchdog.C:
			manager.Ping()
		}
	}
	manager.Stopping()
	cancelBackground()
	d.stop()
	manager.Close(100 * time.Millisecond)
	return err
}

// stop shuts down within StopTimeout.
func (d *Daemon) stop() {
	limit := cmp.Or(d.opts.StopTimeout, DefaultStopTimeout)
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	// The requests may take 60 % of the time; the store has the rest.
	requests, cancelRequests := context.WithTimeout(ctx, limit*6/10)
	defer cancelRequests()
	var stopping sync.WaitGroup
	for _, server := range []*http.Server{d.server, d.plain} {
		stopping.Go(func() {
			if server.Shutdown(requests) != nil {
				server.Close()
			}
		})
	}
	stopping.Go(func() { d.control.Shutdown(requests) })
	stopping.Wait()
	d.dir.Shutdown(ctx)
	d.log.Info("Collector has ended")
}
