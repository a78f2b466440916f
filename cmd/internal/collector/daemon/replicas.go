package daemon

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/access"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/control"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/counter"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/datadir"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/engine"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/legacy"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/postgres"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/replica"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/secret"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/server"
	"github.com/rollcall-dev/rollcall/cmd/internal/listen"
)

// replicated is what a daemon has in place of its own data if it is one of several
// replicas.
type replicated struct {
	*replica.Replica
	election *election
	handler  http.Handler
	draining atomic.Bool
	// counting is what counts here; nil while nothing does.
	counting atomic.Pointer[counting]
}

// counting has the metrics of what counts.
type counting struct {
	registry *prometheus.Registry
	server   *server.Server
}

// openReplica prepares a replica: it opens the database, unless that is away and
// Wait is set, and listens for other replicas.
func (d *Daemon) openReplica(ctx context.Context, data datadir.Options, country func(netip.Addr) string) (err error) {
	if len(d.opts.ACMEDomains) > 0 {
		return errors.New("replicas share certificates by files: the challenge of a certificate authority would reach any of them")
	}
	r := &replicated{election: &election{open: func(ctx context.Context) (*postgres.DB, error) {
		return postgres.Open(ctx, postgres.Config{URL: d.opts.Store, Logger: d.log})
	}}}
	defer func() {
		if err != nil {
			r.election.close()
		}
	}()
	db, err := r.election.database(ctx)
	if err != nil && (!d.opts.Wait || !isTransient(err) || len(data.Secret) == 0) {
		return err
	}
	if len(data.Secret) == 0 {
		if data.Secret, err = d.secretFor(ctx, db); err != nil {
			return err
		}
	}
	keys, err := secret.New(data.Secret)
	if err != nil {
		return err
	}
	if db != nil {
		// With another secret it would recognize no installation and no other
		// replica.
		if err := engine.CheckSecret(ctx, db, keys); err != nil {
			return fmt.Errorf("open database %s: %w", db.Name(), err)
		}
	}
	if d.tls.tickets != nil {
		d.tls.tickets.secret.Store(keys)
	}
	listener, err := listen.TCP(ctx, d.opts.ReplicaListen)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			listener.Close()
		}
	}()
	r.Replica, err = replica.New(replica.Options{
		Election: r.election, Secret: keys, Listener: listener, Lease: d.opts.Lease, Logger: d.log,
		Address: cmp.Or(d.opts.ReplicaAddress, reachable(listener.Addr())),
		Open: func(ctx context.Context, store collector.Store) (*replica.Lead, error) {
			return d.lead(ctx, r, store, data)
		},
	})
	if err != nil {
		return err
	}
	if r.handler, err = d.newReceiver(r, keys, country); err != nil {
		return err
	}
	d.replica = r
	return nil
}

// secretFor returns the secret in the data directory, and creates it for a new
// database.
func (d *Daemon) secretFor(ctx context.Context, db *postgres.DB) ([]byte, error) {
	made, err := engine.Made(ctx, db)
	if err != nil {
		return nil, err
	}
	return datadir.Secret(d.opts.Dir, made)
}

// lead begins to count in a store.
func (d *Daemon) lead(ctx context.Context, r *replicated, store collector.Store, opts datadir.Options) (_ *replica.Lead, err error) {
	db, err := r.election.database(ctx)
	if err != nil {
		return nil, err
	}
	dir, err := datadir.OnStore(ctx, d.opts.Dir, db, store, opts)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			dir.Close()
		}
	}()
	count, err := counter.New(counter.Options{Collector: dir.Collector, Limits: d.opts.Limits, Audit: dir.Audit})
	if err != nil {
		return nil, err
	}
	data := &openData{dir: dir, background: []func(context.Context){dir.Audit.Run}}
	registry := prometheus.NewRegistry()
	s, err := d.newServer(data, count, server.Options{Metrics: registry, Behind: true})
	if err != nil {
		return nil, err
	}
	working, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	for _, work := range data.background {
		running.Go(func() { work(working) })
	}
	now := &counting{registry, s}
	r.counting.Store(now)
	return &replica.Lead{
		Counter: count, Pages: s.Forwarded(), Verbs: control.NewServer(dir, d.log).Trusted(),
		MayReadAll: func(r *http.Request) bool {
			grant, ok := dir.Tokens.Grant(r)
			return ok && grant.May("", access.Read)
		},
		Close: func(ctx context.Context) {
			r.counting.CompareAndSwap(now, nil)
			stop()
			ended := make(chan struct{})
			go func() {
				running.Wait()
				close(ended)
			}()
			select {
			case <-ended:
			case <-ctx.Done(): // a disk hangs; another replica must not wait for it
			}
			dir.Shutdown(ctx)
		},
	}, nil
}

// newReceiver returns the handler of all requests of clients.
func (d *Daemon) newReceiver(r *replicated, keys *secret.Secret, country func(netip.Addr) string) (http.Handler, error) {
	baseURL, err := server.ParseBaseURL(d.opts.BaseURL)
	if err != nil {
		return nil, fmt.Errorf("base URL %q: %w", d.opts.BaseURL, err)
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "rollcall_collector_counts", Help: "1 in the replica that counts, 0 in the others.",
		}, func() float64 {
			if r.Leads() {
				return 1
			}
			return 0
		}))
	prefixes := keys.Prefixes()
	elsewhere := r.Elsewhere(prefixes)
	wire, err := legacy.New(legacy.Options{
		Counter: r, Elsewhere: elsewhere, Prefix: prefixes.Hash, Country: server.ClientCountry, Logger: d.log,
	})
	if err != nil {
		return nil, err
	}
	s, err := server.New(server.Options{
		Counter: r, Elsewhere: elsewhere, Prefix: prefixes.Hash, MayReadAll: r.MayReadAll, Legacy: wire, BaseURL: baseURL,
		TrustedProxies: d.opts.TrustedProxies, Country: country, CountryHeader: d.opts.CountryHeader, Metrics: registry,
		MoreMetrics: func(mayRead bool) []prometheus.Gatherer {
			now := r.counting.Load()
			switch {
			case now == nil:
				return nil
			case mayRead:
				return []prometheus.Gatherer{now.registry, now.server.Fleet()}
			}
			return []prometheus.Gatherer{now.registry}
		},
		OpenMetrics: d.opts.OpenMetrics, Version: d.opts.Version, Logger: d.log,
	})
	if err != nil {
		return nil, err
	}
	return s.Handler(), nil
}

// serve answers requests. While the replica ends, clients are asked to use another
// connection, which a load balancer leads to another replica.
func (r *replicated) serve(w http.ResponseWriter, req *http.Request) {
	if r.draining.Load() {
		w.Header().Set("Connection", "close")
	}
	r.handler.ServeHTTP(w, req)
}

// DefaultDrain is the value of Options.Drain if that is 0.
const DefaultDrain = 5 * time.Second

// drain hands over to another replica, if there is one, and goes on receiving for
// a while: a load balancer does not know yet that this one ends.
func (r *replicated) drain(ctx context.Context, wait time.Duration) {
	if r.Leads() && !r.Needed() {
		return // there is none
	}
	r.draining.Store(true)
	r.Retire(ctx)
	select {
	case <-ctx.Done():
	case <-time.After(wait):
	}
}

// end releases the lease, and closes the database.
func (r *replicated) end(ctx context.Context) {
	r.Close(ctx)
	r.election.close()
}

// reachable returns the address under which other machines reach a listener: its
// own, or that of the first network interface if it listens on all.
func reachable(l net.Addr) string {
	host, port, err := net.SplitHostPort(l.String())
	if err != nil {
		return l.String()
	}
	if addr, err := netip.ParseAddr(host); err == nil && !addr.IsUnspecified() {
		return l.String()
	}
	addrs, _ := net.InterfaceAddrs() // none
	best := ""
	for _, addr := range addrs {
		network, ok := addr.(*net.IPNet)
		if !ok || !network.IP.IsGlobalUnicast() {
			continue
		}
		if best == "" || network.IP.To4() != nil {
			best = network.IP.String()
		}
		if network.IP.To4() != nil {
			break
		}
	}
	if best == "" {
		if best, _ = os.Hostname(); best == "" {
			best = "127.0.0.1"
		}
	}
	return net.JoinHostPort(best, port)
}

// An election opens the database as soon as it can, and has it decide who leads.
type election struct {
	open func(context.Context) (*postgres.DB, error)

	mu sync.Mutex
	db *postgres.DB
}

func (e *election) database(ctx context.Context) (*postgres.DB, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.db != nil {
		return e.db, nil
	}
	db, err := e.open(ctx)
	if err == nil {
		e.db = db
	}
	return db, err
}

// Leader implements [replica.Election].
func (e *election) Leader(ctx context.Context) (replica.Leader, error) {
	db, err := e.database(ctx)
	if err != nil {
		return replica.Leader{}, err
	}
	l, err := db.Leader(ctx)
	return replica.Leader{Address: l.Address, Remaining: l.Remaining}, err
}

// Take implements [replica.Election].
func (e *election) Take(ctx context.Context, address string, lease time.Duration) (replica.Term, error) {
	db, err := e.database(ctx)
	if err != nil {
		return nil, err
	}
	s, err := db.Take(ctx, address, lease)
	switch {
	case isHeld(err):
		return nil, fmt.Errorf("%w: %w", replica.ErrHeld, err)
	case err != nil:
		return nil, err
	}
	return s, nil
}

func (e *election) close() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.db != nil {
		e.db.Close()
		e.db = nil
	}
}
