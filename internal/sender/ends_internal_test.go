//go:build !rollcall_nosend

package sender

import (
	"context"
	"io"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// N8 and N9 against servers that hold a request at each of its stages: it
// ends at once, nothing is left of it, and nothing more leaves.
func TestEndsAtOnce(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	cert := ca.issue(nil)
	// A held request is one that a server does not let pass.
	type held struct {
		endpoint string
		reached  func() bool
		said     func() int64 // how much the server got
	}
	silence := func(m *memoryNet, scheme string) held {
		r := &relay{m: m, to: m.listen(silent)}
		return held{scheme + "://" + m.listen(r.serve), func() bool { return r.said.Load() > 0 }, r.said.Load}
	}
	for name, hold := range map[string]func(m *memoryNet, c *Config, n *network) held{
		"name": func(m *memoryNet, _ *Config, n *network) held {
			var asked *atomic.Int32
			n.dial = nil
			n.resolver, asked = m.resolver(silent)
			return held{"https://" + testHost, func() bool { return asked.Load() > 0 }, func() int64 { return 0 }}
		},
		"TLS": func(m *memoryNet, _ *Config, _ *network) held { return silence(m, "https") },
		"proxy": func(m *memoryNet, c *Config, _ *network) held {
			h := silence(m, "http")
			c.Proxy, h.endpoint = h.endpoint, "https://"+testHost
			return h
		},
		"HTTP": func(m *memoryNet, _ *Config, _ *network) held { return silence(m, "http") },
		"HTTP over TLS": func(m *memoryNet, c *Config, _ *network) held {
			c.CAFile = ca.file
			var reached atomic.Bool
			server := m.serve(&cert, func(_ http.ResponseWriter, req *http.Request) {
				io.Copy(io.Discard, req.Body)
				reached.Store(true)
				<-req.Context().Done()
			})
			r := &relay{m: m, to: server.Listener.Addr().String()}
			return held{"https://" + m.listen(r.serve), reached.Load, r.said.Load}
		},
		"body": func(m *memoryNet, _ *Config, _ *network) held {
			var reached atomic.Bool
			server := m.serve(nil, func(w http.ResponseWriter, req *http.Request) {
				io.Copy(io.Discard, req.Body) // only then Go's server sees that the client is gone
				w.(http.Flusher).Flush()
				reached.Store(true)
				<-req.Context().Done()
			})
			r := &relay{m: m, to: server.Listener.Addr().String()}
			return held{"http://" + m.listen(r.serve), reached.Load, r.said.Load}
		},
	} {
		for how, tt := range map[string]struct {
			end    func(context.CancelFunc, *rig, *Sender)
			within time.Duration
		}{
			"stop":      {func(_ context.CancelFunc, r *rig, s *Sender) { s.Stop(r.t.Context()) }, 0},
			"withdraw":  {func(_ context.CancelFunc, _ *rig, s *Sender) { s.Withdraw() }, 0},
			"in config": {func(_ context.CancelFunc, r *rig, _ *Sender) { r.denied.Store(true) }, 250 * time.Millisecond},
			"caller":    {func(cancel context.CancelFunc, _ *rig, _ *Sender) { cancel() }, 0},
		} {
			run(t, name+" "+how, func(t *testing.T, r *rig, m *memoryNet) {
				var h held
				s := r.onWire("", func(c *Config, n *network) {
					n.dial = m.dial
					h = hold(m, c, n)
					c.Endpoint = h.endpoint
				})
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				done := make(chan error, 1)
				go func() { done <- s.SendNow(ctx) }()
				synctest.Wait()
				if !h.reached() {
					t.Fatal("the request was not held")
				}
				before, began := h.said(), time.Now()
				tt.end(cancel, r, s)
				err := <-done
				if took := time.Since(began); took > tt.within {
					t.Errorf("ended after %v, want %v", took, tt.within)
				}
				time.Sleep(20 * time.Millisecond)
				synctest.Wait()
				if after := h.said(); after != before {
					t.Errorf("%d bytes left after the end", after-before)
				}
				if stacks := working(); len(stacks) > 0 {
					t.Errorf("at work: %s", stacks)
				}
				if _, failed := err.(*Error); failed || r.onDisk().Error != "" {
					t.Errorf("it counts as a failure: %v, saved %q", err, r.onDisk().Error)
				}
				if name == "body" {
					if st := r.onDisk(); err != nil || st.Success.IsZero() {
						t.Errorf("accepted before it ended: %v, %+v", err, st)
					}
				} else if err == nil {
					t.Error("no error")
				}
			})
		}
	}
}
