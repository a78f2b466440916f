package replica_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector/counter"
)

// Whichever replica receives it, a report is counted once.
func TestAnyReplicaReceives(t *testing.T) {
	t.Parallel()
	r := newRig(t, 3, unlimited)
	r.receivers()
	for i := range 30 {
		for range 2 {
			if status := r.replicas[i%3].beat(t, i); status != 200 {
				t.Fatalf("heartbeat %d: got %d, want 200", i, status)
			}
		}
	}
	if active, fresh := r.active(); active != 30 || fresh != 30 {
		t.Errorf("got %d active and %d new, want 30", active, fresh)
	}
	for _, n := range r.replicas {
		if status, _ := n.do(t, "GET", "/readyz", ""); status != 200 {
			t.Errorf("got %d from /readyz, want 200", status)
		}
		if status, text := n.do(t, "POST", "/v1/heartbeat", strings.Replace(heartbeat(1), `"app":"app"`, `"app":"other"`, 1)); status != 404 {
			t.Errorf("unknown app: got %d %s", status, text)
		}
	}
}

// The limits of a network hold for all replicas together.
func TestLimitsCountOverAllReplicas(t *testing.T) {
	t.Parallel()
	r := newRig(t, 3, counter.Limits{NewPerPrefix: 7})
	r.receivers()
	accepted := 0
	for i := range 30 {
		switch status := r.replicas[i%3].beat(t, i); status {
		case 200:
			accepted++
		case 429:
		default:
			t.Errorf("got %d", status)
		}
	}
	if accepted != 7 {
		t.Errorf("got %d accepted, want 7", accepted)
	}
	// The lookups of a network, too.
	wrong, limited, began := 0, 0, time.Now()
	for i := range 30 {
		switch status, _ := r.replicas[i%3].do(t, "GET", "/v1/installations/"+id(100+i), ""); status {
		case 404:
			wrong++
		case 429:
			limited++
		}
	}
	most := 21 + int(time.Since(began)/(10*time.Second))
	if wrong < 20 || wrong > most || limited+wrong != 30 {
		t.Errorf("got %d lookups, and %d refused, want 20 or little more, and the rest", wrong, limited)
	}
}

// A receiver shows and deletes an installation by its keys, also in an app that it
// has not heard of.
func TestInstallationAtAReceiver(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2, unlimited)
	n := r.receivers()[0]
	if status := n.beat(t, 1); status != 200 {
		t.Fatal(status)
	}
	if status, text := n.do(t, "GET", "/v1/installations/"+id(1), ""); status != 200 || !strings.Contains(text, `"app":"app"`) {
		t.Errorf("got %d %s", status, text)
	}
	if status, text := n.do(t, "DELETE", "/v1/installations/"+id(1), ""); status != 200 || !strings.Contains(text, `"deleted":1`) {
		t.Errorf("got %d %s", status, text)
	}
	if status, _ := n.do(t, "GET", "/v1/installations/"+id(1), ""); status != 404 {
		t.Errorf("after deletion: got %d, want 404", status)
	}
}

// Pages and figures come from the counter, through any replica. It learns what it
// needs of the client, and not its address.
func TestPagesThroughAnyReplica(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2, unlimited)
	for _, n := range append(r.receivers(), r.counter()) {
		status, text := n.do(t, "POST", "/a/app/settings?x=%2f1", "name=value", "Cookie: a=b", "X-Forwarded-For: 192.0.2.9",
			"X-Real-IP: 192.0.2.9", "Rollcall-Client: 1 true", "Host: example.com")
		want := "POST /a/app/settings?x=%2f1 host=" + strings.TrimPrefix(n.url, "http://") + ` scheme= remote="" body=name=value`
		if status != 200 || !strings.HasPrefix(text, want) || !strings.Contains(text, "Cookie: a=b") {
			t.Errorf("got %d %s, want %s", status, text, want)
		}
		if n != r.counter() && (strings.Contains(text, "192.0.2.9") || strings.Contains(text, "Rollcall-Client")) {
			t.Errorf("the counter sees %s", text)
		}
		if status, text := n.do(t, "GET", "/api/v1/apps", "", "Authorization: Bearer "+r.token); status != 200 || !strings.Contains(text, `"app"`) {
			t.Errorf("figures: got %d %s", status, text)
		}
		if status, _ := n.do(t, "GET", "/metrics", ""); status != 401 {
			t.Errorf("metrics without a token: got %d, want 401", status)
		}
		if status, _ := n.do(t, "GET", "/metrics", "", "Authorization: Bearer "+r.token); status != 200 {
			t.Errorf("metrics with a token: got %d, want 200", status)
		}
		// What replicas ask each other is closed to clients.
		for _, path := range []string{"/replica/ask", "/client/../replica/ask", "/%2e%2e/replica/ask", "/replica/verbs/ping"} {
			if _, text := n.do(t, "POST", path, `{"kind":"apps"}`); strings.Contains(text, `"answer"`) {
				t.Errorf("%s: got %s", path, text)
			}
		}
	}
}

// Others cannot connect to a replica, and a replica does not talk to others.
func TestStrangers(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1, unlimited)
	r.counter()
	r.fence.mu.Lock()
	address := r.fence.holder.address
	r.fence.mu.Unlock()
	for _, config := range []*tls.Config{
		{InsecureSkipVerify: true}, // without a certificate
		strangersConfig(t),         // with that of another secret
	} {
		c := &http.Client{Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}}
		response, err := c.Get("https://" + address + "/replica/ask")
		if err == nil {
			response.Body.Close()
			t.Errorf("a stranger got %s", response.Status)
		}
	}
	if _, err := ownClient(t).Get("https://" + address + "/nothing"); err != nil {
		t.Errorf("an owner of the secret got %v", err)
	}
	// A counter that strangers run: a replica sends nothing.
	server := strangersServer(t)
	if response, err := ownClient(t).Get("https://" + server); err == nil {
		response.Body.Close()
		t.Error("a replica talked to a stranger")
	}
}

// A counter that does not reach the store stops answering, and another one counts,
// while reports keep coming. Nothing acknowledged is lost, nothing counts twice.
func TestCounterIsCutOff(t *testing.T) {
	t.Parallel()
	r := newRigWithLease(t, 3, unlimited, briefLease)
	r.receivers()
	load := newLoad(t, r)
	for range 3 {
		load.waitFor(20)
		cut := r.counter()
		cut.reach.disconnect()
		for r.counter() == cut {
			time.Sleep(time.Millisecond)
		}
		cut.reach.reconnect() // it still believes that it counts, or has just noticed
		load.waitFor(20)
	}
	load.stop()
	load.check(r)
}

// A counter that retires hands over, and no report is refused.
func TestHandOver(t *testing.T) {
	t.Parallel()
	r := newRig(t, 3, unlimited)
	r.receivers()
	load := newLoad(t, r)
	for range 2 {
		load.waitFor(20)
		r.counter().Retire(t.Context())
	}
	load.waitFor(20)
	load.stop()
	load.check(r)
	if n := load.refused.Load(); n > 0 {
		t.Errorf("%d reports were refused, want none", n)
	}
}

// load sends new installations to all replicas.
type load struct {
	t       *testing.T
	end     context.CancelFunc
	wg      sync.WaitGroup
	next    atomic.Int64
	acks    atomic.Int64
	refused atomic.Int64
	mu      sync.Mutex
	acked   []int
}

func newLoad(t *testing.T, r *rig) *load {
	ctx, cancel := context.WithCancel(t.Context())
	l := &load{t: t, end: cancel}
	t.Cleanup(l.stop)
	for w := range 12 {
		l.wg.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				time.Sleep(20 * time.Millisecond) // checking takes as long
				n := int(l.next.Add(1)) - 1
				switch status := r.replicas[(w+i)%len(r.replicas)].beat(t, n); status {
				case 200:
					l.mu.Lock()
					l.acked = append(l.acked, n)
					l.mu.Unlock()
					l.acks.Add(1)
				case 503:
					l.refused.Add(1)
				default:
					t.Errorf("got %d, want 200 or 503", status)
				}
			}
		})
	}
	return l
}

// waitFor waits for n more acknowledgements.
func (l *load) waitFor(n int64) {
	for until := l.acks.Load() + n; l.acks.Load() < until; {
		time.Sleep(time.Millisecond)
	}
}

func (l *load) stop() {
	l.end()
	l.wg.Wait()
}

// check checks that everything acknowledged is there, and that everything counts
// once when all of it is sent again.
func (l *load) check(r *rig) {
	l.t.Helper()
	r.known(l.acked)
	n := r.counter()
	total := int(l.next.Load())
	for i := range total {
		if status := n.beat(l.t, i); status != 200 {
			l.t.Fatalf("again: got %d", status)
		}
	}
	if active, fresh := r.active(); int(active) != total || int(fresh) != total {
		l.t.Errorf("got %d active and %d new, want %d", active, fresh, total)
	}
	fmt.Fprintf(l.t.Output(), "%d acknowledged, %d refused\n", l.acks.Load(), l.refused.Load())
}

// A replica that has another's address cannot reach it, and says so.
func TestTwoWithOneAddress(t *testing.T) {
	t.Parallel()
	r := newRigWithLease(t, 1, unlimited, briefLease)
	n := r.addAt(unlimited, r.peerAddress())
	waitFor(t, func() bool { return strings.Contains(r.logs.String(), "Another replica has the address of this one") })
	if n.Leads() && r.replicas[0].Leads() { // on a slow machine, the first may have lost its lease
		t.Error("both lead")
	}
}
