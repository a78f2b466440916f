package replica_test

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/access"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/counter"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/engine"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/figures"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/replica"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/secret"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/server"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/storetest"
	"github.com/rollcall-dev/rollcall/cmd/internal/test/lab"
	"github.com/rollcall-dev/rollcall/cmd/internal/test/syncbuffer"
)

// A fence is an election and a store in memory.
type fence struct {
	store *storetest.Memory

	mu     sync.Mutex
	holder *term
	until  time.Time
}

// A term fails, and hangs, while it is cut off.
type term struct {
	*storetest.Memory
	fence   *fence
	address string
	lease   time.Duration
	reach   *reach
}

// A reach says whether a replica reaches the store.
type reach struct {
	mu  sync.Mutex
	cut chan struct{} // closed when it does again; nil while it does
}

func (r *reach) wait(ctx context.Context) error {
	r.mu.Lock()
	cut := r.cut
	r.mu.Unlock()
	if cut == nil {
		return nil
	}
	select {
	case <-cut:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", collector.ErrUnavailable, ctx.Err())
	}
}

func (r *reach) disconnect() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cut = make(chan struct{})
}

func (r *reach) reconnect() {
	r.mu.Lock()
	defer r.mu.Unlock()
	close(r.cut)
	r.cut = nil
}

// from is the election as a replica reaches it.
type from struct {
	*fence
	reach *reach
}

func (f from) Leader(ctx context.Context) (replica.Leader, error) {
	if err := f.reach.wait(ctx); err != nil {
		return replica.Leader{}, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.holder == nil {
		return replica.Leader{}, nil
	}
	return replica.Leader{Address: f.holder.address, Remaining: time.Until(f.until)}, nil
}

func (f from) Take(ctx context.Context, address string, lease time.Duration) (replica.Term, error) {
	if err := f.reach.wait(ctx); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.holder != nil && time.Until(f.until) > 0 {
		return nil, replica.ErrHeld
	}
	f.holder, f.until = &term{f.store, f.fence, address, lease, f.reach}, time.Now().Add(lease)
	return f.holder, nil
}

func (t *term) Commit(ctx context.Context, b *collector.Batch) (int64, error) {
	if err := t.reach.wait(ctx); err != nil {
		return 0, err
	}
	t.fence.mu.Lock()
	defer t.fence.mu.Unlock()
	if t.fence.holder != t {
		return 0, collector.ErrLost
	}
	return t.Memory.Commit(ctx, b)
}

func (t *term) Renew(ctx context.Context) error {
	if err := t.reach.wait(ctx); err != nil {
		return err
	}
	t.fence.mu.Lock()
	defer t.fence.mu.Unlock()
	if t.fence.holder != t {
		return collector.ErrLost
	}
	t.fence.until = time.Now().Add(t.lease)
	return nil
}

func (t *term) Release(context.Context) error {
	t.fence.mu.Lock()
	defer t.fence.mu.Unlock()
	if t.fence.holder == t {
		t.fence.holder = nil
	}
	return nil
}

// Close leaves the store to others.
func (t *term) Close() error { return nil }

const (
	appKey = "app"
	// calmLease outlasts a stall of the machine. Tests in which a lease has to
	// expire use briefLease.
	calmLease  = 15 * time.Second
	briefLease = replica.MinLease
)

var secretBytes = bytes.Repeat([]byte("s"), 32)

// A rig is replicas in this process, with one store.
type rig struct {
	t        *testing.T
	fence    *fence
	lease    time.Duration
	replicas []*node
	token    string
	logs     *syncbuffer.Buffer
}

// A node is a replica with the server in front of it.
type node struct {
	*replica.Replica
	reach *reach
	url   string
	front *httptest.Server
}

// newRig starts replicas, and waits until one of them counts. Limits are those of
// each counter.
func newRig(t *testing.T, n int, limits counter.Limits) *rig {
	t.Helper()
	return newRigWithLease(t, n, limits, calmLease)
}

func newRigWithLease(t *testing.T, n int, limits counter.Limits, lease time.Duration) *rig {
	t.Helper()
	lab.SameDay(t, 5*time.Minute)
	r := &rig{t: t, fence: &fence{store: storetest.NewMemory()}, lease: lease, logs: &syncbuffer.Buffer{}}
	e, err := engine.Open(t.Context(), r.fence.store, engine.Options{Secret: secretBytes})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.AddApp(t.Context(), collector.App{Key: appKey, MaxNewPerDay: 1 << 30}); err != nil {
		t.Fatal(err)
	}
	if r.token, err = access.New(e, nil).Add(t.Context(), access.Machine, "reader", access.Read, ""); err != nil {
		t.Fatal(err)
	}
	if err := e.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range n {
		r.add(limits)
	}
	return r
}

func (r *rig) add(limits counter.Limits) *node { return r.addAt(limits, "") }

// addAt starts a replica that announces an address.
func (r *rig) addAt(limits counter.Limits, address string) *node {
	t := r.t
	t.Helper()
	keys, err := secret.New(secretBytes)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n := &node{reach: &reach{}}
	log := slog.New(slog.NewTextHandler(r.logs, nil))
	n.Replica, err = replica.New(replica.Options{
		Election: from{r.fence, n.reach}, Secret: keys, Listener: listener, Lease: r.lease, Logger: log,
		Address: cmp.Or(address, listener.Addr().String()),
		Open: func(ctx context.Context, store collector.Store) (*replica.Lead, error) {
			return open(ctx, store, limits)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	prefixes := keys.Prefixes()
	base, err := server.ParseBaseURL("http://example.com")
	if err != nil {
		t.Fatal(err)
	}
	s, err := server.New(server.Options{
		Counter: n.Replica, Elsewhere: n.Elsewhere(prefixes), Prefix: prefixes.Hash, MayReadAll: n.MayReadAll, BaseURL: base, Logger: log,
		Metrics: prometheus.NewRegistry(),
	})
	if err != nil {
		t.Fatal(err)
	}
	n.front = httptest.NewServer(s.Handler())
	n.url = n.front.URL
	n.Start()
	t.Cleanup(func() {
		n.front.Close()
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		n.Close(ctx)
	})
	r.replicas = append(r.replicas, n)
	return n
}

func open(ctx context.Context, store collector.Store, limits counter.Limits) (*replica.Lead, error) {
	e, err := engine.Open(ctx, store, engine.Options{Secret: secretBytes})
	if err != nil {
		return nil, err
	}
	<-e.Warm()
	c, err := counter.New(counter.Options{Collector: e, Limits: limits})
	if err != nil {
		return nil, err
	}
	tokens := access.New(e, nil)
	s, err := server.New(server.Options{Collector: e, Access: tokens, Counter: c, Dashboard: http.HandlerFunc(echo)})
	if err != nil {
		return nil, err
	}
	return &replica.Lead{
		Counter: c, Pages: s.Forwarded(), Verbs: http.NotFoundHandler(),
		MayReadAll: func(r *http.Request) bool {
			grant, ok := tokens.Grant(r)
			return ok && grant.May("", access.Read)
		},
		Close: func(ctx context.Context) { e.Close(ctx) },
	}, nil
}

// echo says what it sees of a request.
func echo(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	fmt.Fprintf(w, "%s %s host=%s scheme=%s remote=%q body=%s\n", r.Method, r.URL.RequestURI(), r.Host, r.URL.Scheme, r.RemoteAddr, body)
	r.Header.Write(w)
}

// counter returns the replica that counts, once there is one.
func (r *rig) counter() *node {
	r.t.Helper()
	for {
		for _, n := range r.replicas {
			if n.Leads() {
				return n
			}
		}
		select {
		case <-r.t.Context().Done():
			r.t.Fatal("no replica counts")
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// receivers returns the others, once they can reach it.
func (r *rig) receivers() (others []*node) {
	r.t.Helper()
	leads := r.counter()
	for _, n := range r.replicas {
		if n != leads {
			if _, err := n.Ready(r.t.Context()); err != nil {
				r.t.Fatal(err)
			}
			others = append(others, n)
		}
	}
	return others
}

// client makes a new connection for each request, as installations do.
var client = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

func (n *node) do(t *testing.T, method, path, body string, header ...string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, n.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range header {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Set(name, value)
	}
	response, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

func (n *node) beat(t *testing.T, i int) int {
	t.Helper()
	status, _ := n.do(t, "POST", "/v1/heartbeat", heartbeat(i))
	return status
}

func id(n int) string { return fmt.Sprintf("%08x-0000-4000-8000-%012x", n+1, n+1) }

func heartbeat(n int) string {
	return fmt.Sprintf(`{"schema":1,"app":"app","installation_id":%q,"id_persistence":"persisted","sent_at":%q,"version":"1.2.3",`+
		`"platform":{"system":"linux","machine":"amd64"}}`, id(n), time.Now().UTC().Format(time.RFC3339))
}

// copied opens an engine on a copy of the store.
func (r *rig) copied() (*engine.Engine, collector.App) {
	r.t.Helper()
	e, err := engine.Open(r.t.Context(), r.fence.store.Clone(), engine.Options{Secret: secretBytes})
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { e.Close(context.Background()) })
	app, _ := e.App(appKey)
	return e, app
}

// known checks that the store has the installations. The API limits how many of
// them a network may look up.
func (r *rig) known(list []int) {
	r.t.Helper()
	e, app := r.copied()
	for _, i := range list {
		if known, err := e.Known(r.t.Context(), app.Num, id(i)); err != nil || !known {
			r.t.Errorf("installation %d was acknowledged and is unknown: %v", i, err)
		}
	}
}

// active returns how many installations the store holds as active today, and as
// new today.
func (r *rig) active() (active, fresh uint64) {
	r.t.Helper()
	e, app := r.copied()
	today := collector.DayOf(time.Now())
	s, err := e.Series(r.t.Context(), app.Num, collector.Range{From: today, To: today}, figures.View{})
	if err != nil {
		r.t.Fatal(err)
	}
	return *s.Points[0].Active.Day, *s.Points[0].New
}

var unlimited = counter.Limits{PerPrefix: -1, NewPerPrefix: -1, KnownPerPrefix: -1, PerInstallation: -1}
