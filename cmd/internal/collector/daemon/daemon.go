// Package daemon runs a collector as a service: it opens the data directory,
// listens, serves, and shuts down in order.
package daemon

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector/access"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/counter"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/datadir"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/engine"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/limit"
	"github.com/rollcall-dev/rollcall/cmd/internal/listen"
	"github.com/rollcall-dev/rollcall/cmd/internal/notify"
)

// Options configure a [Daemon].
type Options struct {
	// Dir is the data directory. It is created if it is missing.
	Dir string
	// Store is the URL of a PostgreSQL database that holds what is counted; empty
	// is a file in Dir.
	Store string
	// Secret is the secret; empty is that of the data directory. With it and Store,
	// the daemon needs no data directory.
	Secret []byte
	// ReplicaListen is the TCP address for other processes with the same Store and
	// secret to reach this one; all of them receive, and one counts. Empty is none:
	// then a further process waits until it can count.
	ReplicaListen string
	// ReplicaAddress is the address, host:port, that they reach it by; empty is that
	// of ReplicaListen, or of the machine.
	ReplicaAddress string
	// Lease is as in [replica.Options].
	Lease time.Duration
	// Drain is how long a replica goes on receiving when it ends, before StopTimeout
	// begins; 0 is DefaultDrain. A process without other replicas does not wait.
	Drain time.Duration
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

	// BaseURL is the address at which people open the pages, such as
	// https://example.org/telemetry; see package server.
	BaseURL string
	// TrustedProxies are proxies whose forwarding headers are trusted.
	TrustedProxies []netip.Prefix
	// WebhookAllow are networks besides the public ones to which alerts may go,
	// by webhook and by mail.
	WebhookAllow []netip.Prefix
	// CountryDB is a database in MaxMind's format for the countries of
	// reports, reloaded when it changes; empty records no countries.
	CountryDB string
	// CountryHeader is the header that trusted proxies set to a client's country;
	// empty is none.
	CountryHeader string
	// AuditLog is a file to which the audit log is appended as JSON lines;
	// empty for none.
	AuditLog string
	// Limits bound what one sender may send.
	Limits counter.Limits
	// OpenMetrics serves /metrics without a token.
	OpenMetrics bool
	// Warehouse is where the figures of closed days are written as Parquet: a
	// directory, or s3://BUCKET/PREFIX; empty for nowhere. See package warehouse.
	Warehouse string
	// Title is the title of the pages; empty is Rollcall.
	Title string

	// Wait makes Open succeed although the disk is full, the database cannot be
	// reached, or another process counts in it: the collector refuses requests
	// until it can open its data. Without it, Collector and Tokens can be used at
	// once.
	Wait bool
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
	opts     Options
	log      *slog.Logger
	tls      encryption
	open     func(context.Context) (*openData, error)
	data     atomic.Pointer[openData] // nil while the data is not open
	replica  *replicated              // nil unless there is ReplicaListen
	waits    waits                    // what was logged
	server   *http.Server
	listener net.Listener
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
	data := datadir.Options{Create: true, Store: opts.Store, Secret: opts.Secret, Address: nameOf(d.listener), Logger: d.log}
	if opts.AuditLog != "" {
		lines, err := os.OpenFile(opts.AuditLog, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			return nil, fmt.Errorf("open audit log: %w", err)
		}
		data.AuditLines = lines // open until the process ends
	}
	bounds := newConnections(opts.TrustedProxies, limit.NewFlood(d.log))
	d.server = newServer(http.HandlerFunc(d.serve), bounds)
	d.server.TLSConfig = d.tls.config
	d.plain = newServer(d.tls.plain, bounds)
	d.listener = bounds.listener(d.listener)
	if d.plainListener != nil {
		d.plainListener = bounds.listener(d.plainListener)
	}
	if opts.Store != "" && opts.ReplicaListen != "" {
		return d, d.openReplica(ctx, data, country)
	}
	d.open = func(ctx context.Context) (*openData, error) { return d.openData(ctx, data, country) }
	switch first, err := d.open(ctx); {
	case err == nil:
		d.data.Store(first)
	case opts.Wait && isTransient(err):
		d.logWaiting(err)
	default:
		return nil, err
	}
	return d, nil
}

// nameOf returns how messages name the collector at a listener: the machine and
// the port.
func nameOf(l net.Listener) string {
	host, _ := os.Hostname()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return net.JoinHostPort(host, port)
}

// serve answers requests. While the data directory cannot be opened, it answers
// only that the process is alive.
func (d *Daemon) serve(w http.ResponseWriter, r *http.Request) {
	if d.replica != nil {
		d.replica.serve(w, r)
		return
	}
	if data := d.data.Load(); data != nil {
		data.handler.ServeHTTP(w, r)
		return
	}
	if r.URL.Path == "/healthz" {
		io.WriteString(w, "ok\n")
		return
	}
	w.Header().Set("Retry-After", strconv.Itoa(60))
	w.Header().Set("Connection", "close")
	http.Error(w, "the collector cannot open its data; try again later", http.StatusServiceUnavailable)
}

func (d *Daemon) abandon(ctx context.Context) {
	for _, l := range []net.Listener{d.listener, d.plainListener} {
		if l != nil {
			l.Close()
		}
	}
	if data := d.data.Load(); data != nil {
		data.dir.Shutdown(ctx)
	}
}

// newServer limits connections. Handlers limit bodies and answers further.
func newServer(handler http.Handler, bounds *connections) *http.Server {
	return &http.Server{
		Handler:   handler,
		ConnState: bounds.changed,
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams:          maxStreams,
			MaxReceiveBufferPerStream:     maxStreamBytes,
			MaxReceiveBufferPerConnection: maxConnectionBytes,
		},
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

// Collector returns the collector, which is usable until Run returns, or until
// the store is lost ([collector.ErrLost]).
func (d *Daemon) Collector() *engine.Engine { return d.data.Load().dir.Collector }

// Tokens returns the access tokens of the collector.
func (d *Daemon) Tokens() *access.Tokens { return d.data.Load().dir.Tokens }

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
	failed := make(chan error, 3)
	closed := make(chan struct{})
	running.Go(func() {
		defer close(closed)
		if d.replica != nil {
			d.log.Info("Collector receives", "address", d.Addr().String(), "tls", d.tls.config != nil)
			d.replica.Start()
			return
		}
		if err := d.keepOpen(background); err != nil {
			failed <- err
		}
	})
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
	<-closed
	d.stop()
	manager.Close(100 * time.Millisecond)
	return err
}

// stop shuts down within StopTimeout.
func (d *Daemon) stop() {
	limit := cmp.Or(d.opts.StopTimeout, DefaultStopTimeout)
	if d.replica != nil {
		drain := cmp.Or(d.opts.Drain, DefaultDrain)
		ctx, cancel := context.WithTimeout(context.Background(), drain+limit)
		d.replica.drain(ctx, drain)
		cancel()
	}
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
	data := d.data.Load()
	if data != nil {
		stopping.Go(func() { data.control.Shutdown(requests) })
	}
	stopping.Wait()
	if data != nil {
		data.dir.Shutdown(ctx)
	}
	if d.replica != nil {
		d.replica.end(ctx)
	}
	d.log.Info("Collector has ended")
}
