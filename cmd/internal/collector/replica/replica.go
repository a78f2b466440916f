// Package replica makes one collector of several processes that share a store.
//
// One of them, the counter, leads: it has the store, the engine, and the limits, by
// a lease. All of them receive. A receiver parses reports and replaces installation
// IDs by their keys. It gathers reports while the counter is busy with earlier ones,
// sends them to it, and answers what the counter answered. It passes on requests for
// pages and figures. Neither an installation ID nor a client's address goes from one
// process to another.
//
// The store decides who may commit, whatever the clocks say; see [Term]. The lease
// decides who may answer: a counter that cannot renew it stops answering before
// anyone else can lead. A report whose counter goes away before it has answered is
// sent to the next one, for as long as its client waits. That is safe because every
// report can be repeated.
//
// Replicas recognize each other by a key pair that follows from the collector's
// secret, over TLS 1.3 in both directions.
package replica

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/counter"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/secret"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/server"
)

// An Election decides which replica leads. It is safe for concurrent use.
type Election interface {
	// Leader returns who leads.
	Leader(ctx context.Context) (Leader, error)
	// Take attempts once to lead for the time of a lease. It returns [ErrHeld] while
	// somebody else leads. Address is where others reach this replica.
	Take(ctx context.Context, address string, lease time.Duration) (Term, error)
}

// ErrHeld means that another replica leads.
var ErrHeld = errors.New("another replica leads")

// A Leader is who leads.
type Leader struct {
	Address string
	// Remaining is the rest of the lease. Nobody leads if it is not positive.
	Remaining time.Duration
}

// A Term is one replica's time as the leader. Its Commit returns
// [collector.ErrLost] once another one leads.
type Term interface {
	collector.Store
	// Renew begins the lease anew. It returns [collector.ErrLost] if another replica
	// leads. It is safe for concurrent use.
	Renew(ctx context.Context) error
	// Release ends the lease, so that another replica can lead at once.
	Release(ctx context.Context) error
}

// A Lead is what counts in the replica that leads.
type Lead struct {
	Counter *counter.Counter
	// Pages answers requests that a receiver has bounded; see
	// [server.Server.Forwarded].
	Pages http.Handler
	// Verbs answers the commands of people who have the secret.
	Verbs http.Handler
	// MayReadAll reports whether the sender of a request may read all apps.
	MayReadAll func(*http.Request) bool
	// Close ends counting, and writes what is only in memory. It does not close the
	// store.
	Close func(context.Context)
}

// Options configure a [Replica]. All fields but Lease and Logger are required.
type Options struct {
	Election Election
	Secret   *secret.Secret
	// Listener accepts the connections of other replicas, at Address. The replica
	// closes it.
	Listener net.Listener
	// Address is where other replicas reach this one, host:port. No two replicas
	// have the same.
	Address string
	// Lease is how long a counter may be silent before another one takes over; 0 is
	// DefaultLease. It is at least MinLease.
	Lease time.Duration
	// Open begins to count in the store of a term.
	Open func(ctx context.Context, store collector.Store) (*Lead, error)
	// Logger receives the log lines; nil discards them.
	Logger *slog.Logger
}

// The default and the minimum of [Options.Lease].
const (
	DefaultLease = 3 * time.Second
	MinLease     = time.Second
)

// A Replica is one of several processes with one store. Create it with [New]. It is
// safe for concurrent use.
type Replica struct {
	opts    Options
	log     *slog.Logger
	guard   *guard
	peers   *http.Server
	client  *http.Client // of other replicas
	current place
	refused refusals
	apps    appCache

	run     context.Context // ends with Close
	stop    context.CancelFunc
	retired chan struct{} // closed by Retire
	retire  sync.Once
	idle    chan struct{} // closed when this replica does not lead and will not
	poke    chan struct{} // has an element if the leader may have changed or Retire was called
	running sync.WaitGroup
	links   links
}

var _ server.Counter = (*Replica)(nil)

// New returns a replica that neither leads nor follows before [Replica.Start].
func New(opts Options) (*Replica, error) {
	opts.Lease = cmp.Or(opts.Lease, DefaultLease)
	switch {
	case opts.Election == nil || opts.Secret == nil || opts.Listener == nil || opts.Open == nil || opts.Address == "":
		return nil, errors.New("replica: an option is missing")
	case opts.Lease < MinLease:
		return nil, fmt.Errorf("lease of %s, at least %s is needed", opts.Lease, MinLease)
	}
	config, err := identity(opts.Secret)
	if err != nil {
		return nil, err
	}
	r := &Replica{
		opts: opts, log: cmp.Or(opts.Logger, slog.New(slog.DiscardHandler)), client: newClient(config),
		retired: make(chan struct{}), idle: make(chan struct{}), poke: make(chan struct{}, 1),
	}
	r.run, r.stop = context.WithCancel(context.Background())
	r.guard, r.peers = newGuard(opts.Listener, config, r.log), newPeerServer(r.serve())
	return r, nil
}

// Start begins to take part in the election, and to receive for others.
func (r *Replica) Start() {
	r.running.Go(r.guard.run)
	r.running.Go(func() { r.peers.Serve(r.guard) })
	r.running.Go(r.elect)
}

// Leads reports whether this replica counts.
func (r *Replica) Leads() bool {
	_, ok := r.current.now().(*local)
	return ok
}

// Needed reports whether other replicas send to this one.
func (r *Replica) Needed() bool { return r.links.any() }

// Retire hands over to another replica, if this one leads, and does not lead again.
// It goes on receiving. It returns early if ctx ends.
func (r *Replica) Retire(ctx context.Context) {
	r.retire.Do(func() {
		close(r.retired)
		r.look()
	})
	select {
	case <-r.idle:
	case <-ctx.Done():
	}
}

// Close ends everything, and releases the lease if this replica leads. It returns
// early if ctx ends; then the lease runs out by itself.
func (r *Replica) Close(ctx context.Context) {
	r.Retire(ctx)
	r.stop()
	r.guard.Close()
	r.peers.Close()
	ended := make(chan struct{})
	go func() { r.running.Wait(); close(ended) }()
	select {
	case <-ended:
	case <-ctx.Done():
	}
	r.client.CloseIdleConnections()
}

func (r *Replica) isRetired() bool {
	select {
	case <-r.retired:
		return true
	default:
		return false
	}
}
