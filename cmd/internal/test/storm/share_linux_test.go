package storm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/engine"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/postgres"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/replica"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/secret"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/simulate"
	"github.com/rollcall-dev/rollcall/cmd/internal/test/lab"
	"github.com/rollcall-dev/rollcall/cmd/internal/test/pgserver"
	"github.com/rollcall-dev/rollcall/cmd/internal/test/rawhttp"
	"github.com/rollcall-dev/rollcall/report"
)

// TestShares measures the CPU of receivers and of the counter for one heartbeat,
// the first of the day of a known installation, with one, two, and three
// receivers in turn. Two processors cannot receive enough to keep the counter
// busy, so it also measures the counter with receivers in this process, without
// HTTP, that each have 1,024 waiting. The figures mean something with
// ROLLCALL_BENCH; they are medians of all rounds but the first, which warms up.
func TestShares(t *testing.T) {
	notShort(t)
	const most = 3                                                             // receivers
	received, fed, waiting, rounds := int64(480), int64(2048), []int64{240}, 2 // to see that it works
	if os.Getenv("ROLLCALL_BENCH") != "" {
		received, fed, waiting, rounds = 20_000, 60_000, []int64{240, 480}, 6
	}
	server := pgserver.Shared(t, pgserver.V15)
	c := newCluster(t, server.URL(server.NewDatabase(t)))
	c.known(int64(rounds) * most * (received*int64(len(waiting)) + fed))
	c.add()
	c.ready()
	c.counter() // the first one, which keeps the lease
	var feeding []*replica.Replica
	for range most {
		c.add()
		feeding = append(feeding, c.receiver())
	}
	c.ready()
	c.settle()
	next := int64(0)
	measured := map[string][]share{}
	// measure sends n heartbeats by send.
	measure := func(what string, n int64, send func(from, to int64)) {
		before, commits := c.cpu(), c.commits()
		send(next, next+n)
		next += n
		after := c.cpu()
		one := share{counting: float64(after[0]-before[0]) / float64(n), commits: float64(n) / float64(max(1, c.commits()-commits))}
		for i := 1; i < len(after); i++ {
			one.receiving += float64(after[i]-before[i]) / float64(n)
		}
		measured[what] = append(measured[what], one)
	}
	for round := range rounds {
		for receivers := 1; receivers <= most; receivers++ {
			for _, connections := range waiting {
				measure(fmt.Sprintf("%d waiting at each of %d receivers over HTTP", connections, receivers), received,
					func(from, to int64) { c.beat(c.nodes[1:1+receivers], from, to, connections*int64(receivers)) })
			}
			measure(fmt.Sprintf("1,024 waiting at each of %d receivers without HTTP", receivers), fed,
				func(from, to int64) { c.feed(feeding[:receivers], from, to) })
		}
		if round == 0 {
			clear(measured)
		}
	}
	for _, what := range slices.Sorted(maps.Keys(measured)) {
		all := measured[what]
		t.Logf("%s: %.1f µs of CPU in the counter for a heartbeat (bar: 10 µs), %.1f µs in the receivers' processes; %.0f share a commit; medians of %d",
			what, medianOf(all, func(s share) float64 { return s.counting })/1000, medianOf(all, func(s share) float64 { return s.receiving })/1000,
			medianOf(all, func(s share) float64 { return s.commits }), len(all))
	}
}

// A share is the CPU time for one heartbeat in nanoseconds, and how many
// heartbeats shared a commit.
type share struct{ receiving, counting, commits float64 }

func medianOf(all []share, of func(share) float64) float64 {
	values := make([]float64, len(all))
	for i, s := range all {
		values[i] = of(s)
	}
	slices.Sort(values)
	return values[len(values)/2]
}

// beat sends the heartbeats of some installations to replicas, over as many
// connections at a time.
func (c *cluster) beat(all []*node, from, to, connections int64) {
	const perAddress = 240 // a receiver has 256 unfinished requests of an address at most
	var wg sync.WaitGroup
	for w := range connections {
		conn, err := rawhttp.ConnectFrom(c.t.Context(), "http://"+all[w%int64(len(all))].address, net.IPv4(127, 0, 0, byte(2+w/perAddress)))
		if err != nil {
			c.t.Fatal(err)
		}
		wg.Go(func() {
			defer conn.Close()
			for n := from + w; n < to; n += connections {
				if answer, err := conn.Send(simulate.HeartbeatPath, []byte(heartbeat(n))); err != nil || answer.Status != 200 {
					c.t.Errorf("got %d, %v", answer.Status, err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// cpu returns the CPU time that each replica has used.
func (c *cluster) cpu() (all []time.Duration) {
	for _, n := range c.nodes {
		all = append(all, lab.ProcessorTime(c.t, n.cmd.Process.Pid))
	}
	return all
}

// settle waits until the replicas have read what is in the database.
func (c *cluster) settle() {
	for busy := true; busy; {
		before := c.cpu()
		time.Sleep(500 * time.Millisecond)
		busy = false
		for i, used := range c.cpu() {
			busy = busy || used-before[i] > 50*time.Millisecond
		}
	}
}

// commits returns how many commits the database has seen.
func (c *cluster) commits() (n int64) {
	c.t.Helper()
	conn, err := pgx.Connect(c.t.Context(), c.store)
	if err != nil {
		c.t.Fatal(err)
	}
	defer conn.Close(c.t.Context())
	if err := conn.QueryRow(c.t.Context(), "SELECT seq FROM rollcall_fence").Scan(&n); err != nil {
		c.t.Fatal(err)
	}
	return n
}

// following is the election of a replica that never leads.
type following struct{ db *postgres.DB }

func (f following) Leader(ctx context.Context) (replica.Leader, error) {
	l, err := f.db.Leader(ctx)
	return replica.Leader{Address: l.Address, Remaining: l.Remaining}, err
}

func (following) Take(context.Context, string, time.Duration) (replica.Term, error) {
	return nil, errors.New("only receives")
}

// receiver starts a replica in this process that only receives, and waits until it
// is ready.
func (c *cluster) receiver() *replica.Replica {
	t := c.t
	t.Helper()
	db, err := postgres.Open(t.Context(), postgres.Config{URL: c.store})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	keys, err := secret.New(c.key())
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r, err := replica.New(replica.Options{
		Election: following{db}, Secret: keys, Listener: listener, Address: listener.Addr().String(),
		Open: func(context.Context, collector.Store) (*replica.Lead, error) { return nil, errors.New("never leads") },
	})
	if err != nil {
		t.Fatal(err)
	}
	r.Start()
	t.Cleanup(func() { r.Close(context.Background()) })
	if _, err := r.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	return r
}

// feed makes each receiver send heartbeats, with 1,024 waiting at a time.
func (c *cluster) feed(receivers []*replica.Replica, from, to int64) {
	var wg sync.WaitGroup
	all := int64(len(receivers)) * 1024
	for w := range all {
		wg.Go(func() {
			for n := from + w; n < to; n += all {
				if _, err := receivers[w%int64(len(receivers))].Heartbeat(c.t.Context(), collector.Received{Heartbeat: report.Heartbeat{
					Schema: 1, App: appKey, InstallationID: id(n), IDPersistence: report.Persisted, SentAt: time.Now(), Version: "1.2.3",
				}}); err != nil {
					c.t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// key returns the secret.
func (c *cluster) key() []byte {
	c.t.Helper()
	text, err := os.ReadFile(c.secret)
	if err != nil {
		c.t.Fatal(err)
	}
	key, err := secret.Parse(bytes.TrimSpace(text))
	if err != nil {
		c.t.Fatal(err)
	}
	return key
}

// known adds installations that were seen yesterday.
func (c *cluster) known(n int64) {
	t := c.t
	t.Helper()
	db, err := postgres.Open(t.Context(), postgres.Config{URL: c.store})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	store, err := db.Take(t.Context(), "test", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	e, err := engine.Open(t.Context(), store, engine.Options{Secret: c.key()})
	if err != nil {
		t.Fatal(err)
	}
	app, _ := e.App(appKey)
	today, _, err := e.Today(app.Num)
	if err != nil {
		t.Fatal(err)
	}
	l, err := e.Load(t.Context(), app.Num)
	if err != nil {
		t.Fatal(err)
	}
	h := report.Heartbeat{Schema: 1, App: appKey, IDPersistence: report.Persisted, Version: "1.2.3"}
	if err := l.Day(t.Context(), today-1); err != nil {
		t.Fatal(err)
	}
	for i := range n {
		h.InstallationID = id(i)
		if err := l.Heartbeat(t.Context(), collector.Received{App: app.Num, Heartbeat: h}); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := e.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := store.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
}
