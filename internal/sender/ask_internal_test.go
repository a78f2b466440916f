//go:build !rollcall_nosend

package sender

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

const wanted = 64 << 10

// An asker is a sender that asks for something, and what it was answered.
type asker struct {
	*Sender
	etag   string
	answer Answer
	err    *Error
}

// asks returns a sender that asks the server.
func (r *rig) asks(m *memoryNet, endpoint string, change func(*Config)) *asker {
	a := new(asker)
	a.Sender = r.onNet(m, endpoint, func(c *Config) {
		c.Heartbeat, c.Failed = nil, "Update check failed"
		c.Ask = func(ctx context.Context, do Requester) *Error {
			a.answer, a.err = do(ctx, Message{Method: "GET", URL: endpoint + "/v1/releases/app?channel=stable", ETag: a.etag, Want: wanted})
			return a.err
		}
		if change != nil {
			change(c)
		}
	})
	return a
}

// TestAsk: one request, with nothing in it that says who asks.
func TestAsk(t *testing.T) {
	t.Parallel()
	for _, through := range []string{"own client", "host's transport"} {
		run(t, through, func(t *testing.T, r *rig, m *memoryNet) {
			var mu sync.Mutex
			var got []*http.Request
			server := m.serve(nil, func(w http.ResponseWriter, req *http.Request) {
				mu.Lock()
				defer mu.Unlock()
				got = append(got, req)
				w.Header().Set("ETag", `W/"1"`)
				w.Header().Set("Set-Cookie", "id=7")
				if req.Header.Get("If-None-Match") == `W/"1"` {
					w.WriteHeader(http.StatusNotModified)
					return
				}
				io.WriteString(w, `{"releases":[]}`)
			})
			a := r.asks(m, server.URL, func(c *Config) {
				if through != "own client" {
					c.Transport = &http.Transport{DialContext: m.dial, DisableKeepAlives: true, DisableCompression: true}
				}
			})
			if err := a.SendNow(t.Context()); err != nil || string(a.answer.Body) != `{"releases":[]}` || a.answer.ETag != `W/"1"` || a.answer.Unchanged {
				t.Errorf("got %+v, %v", a.answer, err)
			}
			a.etag = a.answer.ETag
			if err := a.SendNow(t.Context()); err != nil || !a.answer.Unchanged || a.answer.Body != nil {
				t.Errorf("got %+v, %v", a.answer, err)
			}
			if st := r.onDisk(); st.Success.IsZero() || st.Attempts != 2 {
				t.Errorf("saved %+v", st)
			}
			if len(got) != 2 {
				t.Fatalf("got %d requests", len(got))
			}
			for i, req := range got {
				req.Header.Del("Connection")
				want := http.Header{"User-Agent": {"test"}, "Accept": {"application/json"}}
				if i == 1 {
					want["If-None-Match"] = []string{`W/"1"`}
				}
				if len(req.Header) != len(want) || req.Method != "GET" || req.URL.String() != "/v1/releases/app?channel=stable" {
					t.Errorf("got %s %s with %v, want %v", req.Method, req.URL, req.Header, want)
				}
				for name := range want {
					if req.Header.Get(name) != want.Get(name) {
						t.Errorf("%s: got %q, want %q", name, req.Header.Get(name), want.Get(name))
					}
				}
			}
		})
	}
}

// TestAskHostile: whatever a server does, the attempt ends in time, takes little
// memory, and asks nobody else.
func TestAskHostile(t *testing.T) {
	t.Parallel()
	const head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
	for name, tt := range map[string]struct {
		serve  func(*memoryNet) string
		want   string // in the error
		within time.Duration
	}{
		"huge, with its length": {answering(head + "Content-Length: 1000000000\r\n\r\n" + strings.Repeat(" ", wanted+1)), "more than 65536 bytes", 0},
		"huge, in chunks":       {answering(head + "Transfer-Encoding: chunked\r\n\r\n" + strings.Repeat("1000\r\n"+strings.Repeat(" ", 4096)+"\r\n", 17)), "more than 65536 bytes", 0},
		"endless": {func(m *memoryNet) string {
			return "http://" + m.listen(says(head+"\r\n", 0, strings.Repeat("x", 1000)))
		}, "more than 65536 bytes", 0},
		"slow": {func(m *memoryNet) string {
			return "http://" + m.listen(says(head+"\r\n", time.Second, " "))
		}, "no answer within 30 seconds", 30 * time.Second},
		"silent after the head": {func(m *memoryNet) string {
			return "http://" + m.listen(says(head+"Content-Length: 10\r\n\r\n", 0, ""))
		}, "no answer within 30 seconds", 30 * time.Second},
		"silent":                           {func(m *memoryNet) string { return "http://" + m.listen(silent) }, "no answer within 30 seconds", 30 * time.Second},
		"cut short":                        {answering(head + "Content-Length: 10\r\n\r\n{"), "no answer from the collector", 0},
		"not modified, though nobody asks": {answering("HTTP/1.1 304 Not Modified\r\n\r\n"), "304 (not modified)", 0},
		"unknown app":                      {answering("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"), "404 (not found)", 0},
		"overloaded":                       {answering("HTTP/1.1 503 Service Unavailable\r\nRetry-After: 7200\r\nContent-Length: 0\r\n\r\n"), "503 (service unavailable)", 0},
		"redirect to another host":         {answering("HTTP/1.1 302 Found\r\nLocation: https://evil.example/\r\nContent-Length: 0\r\n\r\n"), "to another host", 0},
		"redirect to another port":         {answering("HTTP/1.1 301 Moved\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"), "to another port", 0},
		"redirect to another scheme":       {answering("HTTP/1.1 307 Moved\r\nLocation: file:///etc/passwd\r\nContent-Length: 0\r\n\r\n"), "to another host", 0},
		"redirect in a circle":             {answering("HTTP/1.1 307 Moved\r\nLocation: /\r\nContent-Length: 0\r\n\r\n"), "too many times", 0},
	} {
		run(t, name, func(t *testing.T, r *rig, m *memoryNet) {
			a, began := r.asks(m, tt.serve(m), nil), time.Now()
			err := a.SendNow(t.Context())
			var failed *Error
			if !errors.As(err, &failed) || !strings.Contains(failed.Text, tt.want) || a.answer.Body != nil {
				t.Errorf("got %v and %d bytes, want %q", err, len(a.answer.Body), tt.want)
			}
			if took := time.Since(began); took > tt.within+drainTimeout {
				t.Errorf("took %v, want %v", took, tt.within)
			}
			st := r.onDisk()
			if wait := st.Retry.Sub(st.Attempt); wait < 3*time.Hour && name != "overloaded" && !failed.Refused || name == "overloaded" && wait < 5*time.Hour {
				t.Errorf("asks again after %v: %+v", wait, st)
			}
		})
	}
}

// answering returns a function that starts a server which answers every
// connection with a text.
func answering(text string) func(*memoryNet) string {
	return func(m *memoryNet) string {
		return "http://" + m.listen(func(conn net.Conn) {
			readRequest(conn)
			io.WriteString(conn, text)
		})
	}
}

// TestAskWithdrawn: a withdrawal ends the request while the answer is read.
func TestAskWithdrawn(t *testing.T) {
	t.Parallel()
	for name, withdraw := range map[string]func(*rig, *asker){
		"by a call": func(_ *rig, a *asker) { a.Withdraw() },
		"elsewhere": func(r *rig, _ *asker) { r.denied.Store(true) },
		"by a stop": func(r *rig, a *asker) { a.Stop(r.t.Context()) },
	} {
		run(t, name, func(t *testing.T, r *rig, m *memoryNet) {
			a := r.asks(m, "http://"+m.listen(says("HTTP/1.1 200 OK\r\n\r\n{", time.Second, " ")), nil)
			done := make(chan error, 1)
			go func() { done <- a.SendNow(t.Context()) }()
			time.Sleep(2 * time.Second)
			began := time.Now()
			withdraw(r, a)
			err := <-done
			if took := time.Since(began); took > consentEvery {
				t.Errorf("took %v", took)
			}
			if !errors.Is(err, ErrWithheld) && !errors.Is(err, ErrStopped) || a.answer.Body != nil {
				t.Errorf("got %v, %+v", err, a.answer)
			}
			synctest.Wait()
			if st := r.onDisk(); !st.Success.IsZero() || st.Error != "" {
				t.Errorf("it counts: %+v", st)
			}
		})
	}
}

// TestAskDaily: a process asks once a day, and so do two that share the state.
func TestAskDaily(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		ask := func(c *Config) {
			c.Heartbeat = nil
			c.Ask = func(ctx context.Context, do Requester) *Error {
				_, err := do(ctx, Message{Method: "GET", URL: testEndpoint + "/v1/heartbeat", Want: wanted})
				return err
			}
		}
		first, second := r.senderWith(ask), r.senderWith(ask)
		first.Start()
		second.Start()
		time.Sleep(9 * day)
		r.stop(first)
		r.stop(second)
		var times []time.Time
		for _, req := range r.requests {
			times = append(times, req.at)
		}
		checkDaily(t, times, 0, 8)
	})
}
