//go:build !rollcall_nosend

package sender

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/internal/schedule"
)

// onWire returns a sender of the installation with Go's own transport.
func (r *rig) onWire(endpoint string, change func(*Config, *network)) *Sender {
	n := newNetwork()
	s := r.senderWith(func(c *Config) {
		c.Endpoint = endpoint
		if change != nil {
			change(c, &n)
		}
	})
	s.network = n
	s.connect = func(ctx context.Context) (Requester, error) { return newClient(ctx, s.config, n) }
	return s
}

// onNet returns a sender on the network in memory.
func (r *rig) onNet(m *memoryNet, endpoint string, change func(*Config)) *Sender {
	return r.onWire(endpoint, func(c *Config, n *network) {
		n.dial = m.dial
		if change != nil {
			change(c)
		}
	})
}

// onNet runs fn in a bubble with a network in memory.
func onNet(t *testing.T, fn func(t *testing.T, r *rig, m *memoryNet)) {
	t.Helper()
	inBubble(t, func(t *testing.T, r *rig) { fn(t, r, newMemoryNet(t)) })
}

// run runs fn as a subtest, in a bubble with a network in memory.
func run(t *testing.T, name string, fn func(t *testing.T, r *rig, m *memoryNet)) {
	t.Helper()
	t.Run(name, func(t *testing.T) {
		t.Parallel()
		onNet(t, fn)
	})
}

// fails makes one attempt, which has to fail, and checks what is said about
// it, and how long it took.
func (r *rig) fails(s *Sender, want string) *Error {
	r.t.Helper()
	began := time.Now()
	err := s.SendNow(r.t.Context())
	took := time.Since(began)
	failed, ok := err.(*Error)
	if !ok {
		r.t.Fatalf("got %v, want an *Error", err)
	}
	if took > 30*time.Second {
		r.t.Errorf("took %v, want at most 30s", took)
	}
	if strings.HasSuffix(want, " within 10 seconds") && took != 10*time.Second ||
		strings.HasSuffix(want, " within 30 seconds") && took != 30*time.Second {
		r.t.Errorf("took %v and said %q", took, failed.Text)
	}
	if !strings.Contains(failed.Text, want) {
		r.t.Errorf("got %q, want %q", failed.Text, want)
	}
	if got := r.onDisk().Error; got != failed.Text || s.Status().LastError != failed.Text {
		r.t.Errorf("saved %q, status %q, want %q", got, s.Status().LastError, failed.Text)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	checkNoSecret(r.t, "text", failed.Text)
	checkNoSecret(r.t, "log", r.logged.String())
	checkNoSecret(r.t, "state", string(r.state))
	if schedule.Plain(failed.Text) != failed.Text {
		r.t.Errorf("text is not plain: %q", failed.Text)
	}
	return failed
}

func (r *rig) succeeds(s *Sender) {
	r.t.Helper()
	if err := s.SendNow(r.t.Context()); err != nil {
		r.t.Errorf("got %v, want success", err)
	}
}

const accepted = "HTTP/1.1 202 Accepted\r\n"

// N1: each attempt ends within its limit.
func TestStalls(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	cert := ca.issue(nil)
	for _, tt := range []struct {
		name   string
		serve  func(net.Conn)
		scheme string
		want   string
	}{
		{"accepts and says nothing", silent, "http", "no answer within 30 seconds"},
		{"one byte a second", says("", time.Second, "H"), "http", "no answer within 30 seconds"},
		{"one header line a second", says(accepted, time.Second, "X: y\r\n"), "http", "no answer within 30 seconds"},
		{"endless status line", says("HTTP/1.1 200 ", 0, strings.Repeat("O", 1024)), "http", "malformed"},
		{"endless header", says(accepted, 0, "X: "+strings.Repeat("y", 1024)+"\r\n"), "http", "malformed"},
		{"endless information", says("", 0, "HTTP/1.1 103 Early Hints\r\nX: y\r\n\r\n"), "http", "malformed"},
		{"garbage", says(strings.Repeat("\x00\xff<script>", 100), time.Second, "\n"), "http", "malformed"},
		{"hangs up", func(conn net.Conn) { readRequest(conn) }, "http", "the connection was closed"},
		{"hangs up at once", func(net.Conn) {}, "http", ""},
		{"hangs up in the header", func(conn net.Conn) { readRequest(conn); io.WriteString(conn, accepted) }, "http", "the connection was closed"},
		{"TLS: says nothing", silent, "https", "no connection within 10 seconds"},
		{"TLS: one byte a second", says("\x16\x03\x03\x40\x00", time.Second, "\x02"), "https", "no connection within 10 seconds"},
		{"TLS: hangs up", func(net.Conn) {}, "https", ""},
		{"TLS: speaks HTTP", says(accepted+"\r\n", time.Second, " "), "https", "plain HTTP"},
		{"TLS: speaks SSH", says("SSH-2.0-OpenSSH_9.9\r\n", time.Second, " "), "https", "does not speak TLS"},
		{"TLS: says nothing after the handshake", overTLS(cert, silent), "https", "no answer within 30 seconds"},
		{"TLS: one byte a second after the handshake", overTLS(cert, says("", time.Second, "H")), "https", "no answer within 30 seconds"},
		{"TLS: endless header after the handshake", overTLS(cert, says(accepted, 0, "X: "+strings.Repeat("y", 1024)+"\r\n")), "https", "malformed"},
	} {
		run(t, tt.name, func(t *testing.T, r *rig, m *memoryNet) {
			s := r.onNet(m, tt.scheme+"://"+m.listen(tt.serve), func(c *Config) { c.CAFile = ca.file })
			if failed := r.fails(s, tt.want); failed.Refused || failed.Gone || failed.Status != 0 {
				t.Errorf("got %+v", failed)
			}
		})
	}
}

func overTLS(cert tls.Certificate, serve func(net.Conn)) func(net.Conn) {
	return func(conn net.Conn) {
		server := tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{cert}})
		if server.Handshake() == nil {
			serve(server)
		}
	}
}

// N1 over TLS: what a handler of Go's server can do to its client.
func TestStallsOverTLS(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	cert := ca.issue(nil)
	trust := func(c *Config) { c.CAFile = ca.file }
	run(t, "says nothing", func(t *testing.T, r *rig, m *memoryNet) {
		server := m.serve(&cert, func(_ http.ResponseWriter, req *http.Request) {
			io.Copy(io.Discard, req.Body) // only then Go's server sees that the client is gone
			<-req.Context().Done()
		})
		r.fails(r.onNet(m, server.URL, trust), "no answer within 30 seconds")
	})
	run(t, "large header", func(t *testing.T, r *rig, m *memoryNet) {
		server := m.serve(&cert, func(w http.ResponseWriter, _ *http.Request) {
			for n := range 1000 {
				w.Header().Set(fmt.Sprintf("X-%d", n), strings.Repeat("y", 1000))
			}
		})
		r.fails(r.onNet(m, server.URL, trust), "")
	})
	run(t, "endless body", func(t *testing.T, r *rig, m *memoryNet) {
		var written atomic.Int64
		server := m.serve(&cert, func(w http.ResponseWriter, req *http.Request) {
			io.Copy(io.Discard, req.Body)
			for req.Context().Err() == nil {
				n, err := w.Write(make([]byte, 1024))
				written.Add(int64(n))
				if err != nil {
					return
				}
			}
		})
		r.succeeds(r.onNet(m, server.URL, trust))
		if n := written.Load(); n > 16<<20 {
			t.Errorf("the server could write %d bytes", n)
		}
	})
}

// N1: the body is no part of the answer. It is read no further than 4 KiB,
// and no longer than a second.
func TestBodies(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		serve func(net.Conn)
		took  time.Duration
	}{
		"endless":           {says(accepted+"\r\n", 0, strings.Repeat("x", 1024)), 0},
		"endless chunks":    {says(accepted+"Transfer-Encoding: chunked\r\n\r\n", 0, "400\r\n"+strings.Repeat("x", 1024)+"\r\n"), 0},
		"one byte a second": {says(accepted+"\r\n", time.Second, "x"), time.Second},
		"never comes":       {says(accepted+"Content-Length: 10\r\n\r\n", 0, ""), time.Second},
		"not what it says":  {says(accepted+"Content-Length: 10\r\nContent-Encoding: gzip\r\n\r\nnot gzip.....", 0, ""), 0},
		"broken chunks":     {says(accepted+"Transfer-Encoding: chunked\r\n\r\nzzzz\r\n", 0, ""), 0},
		"huge length":       {says(accepted+"Content-Length: 9223372036854775807\r\n\r\n", 0, strings.Repeat("x", 1024)), 0},
	} {
		run(t, name, func(t *testing.T, r *rig, m *memoryNet) {
			var read atomic.Int64
			s := r.onNet(m, "http://"+m.listen(func(conn net.Conn) { tt.serve(countingConn{conn, &read}) }), nil)
			began := time.Now()
			r.succeeds(s)
			if took := time.Since(began); took != tt.took {
				t.Errorf("took %v, want %v", took, tt.took)
			}
			if st := r.onDisk(); st.Success.IsZero() {
				t.Errorf("saved %+v", st)
			}
			if n := read.Load(); n > 64<<10 {
				t.Errorf("the server could write %d bytes, want little more than 4096", n)
			}
		})
	}
}

// A countingConn counts what is written.
type countingConn struct {
	net.Conn
	n *atomic.Int64
}

func (c countingConn) Write(data []byte) (int, error) {
	n, err := c.Conn.Write(data)
	c.n.Add(int64(n))
	return n, err
}

// N1: a compressed answer is neither asked for nor unpacked.
func TestGzipBomb(t *testing.T) {
	var bomb bytes.Buffer
	packer := gzip.NewWriter(&bomb)
	for range 8 {
		packer.Write(make([]byte, 1<<20))
	}
	packer.Close()
	onNet(t, func(t *testing.T, r *rig, m *memoryNet) {
		var asked atomic.Value
		server := m.serve(nil, func(w http.ResponseWriter, req *http.Request) {
			asked.Store(req.Header.Get("Accept-Encoding"))
			w.Header().Set("Content-Encoding", "gzip")
			w.Write(bomb.Bytes())
		})
		s := r.onNet(m, server.URL, nil)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		r.succeeds(s)
		runtime.ReadMemStats(&after)
		if asked.Load() != "" {
			t.Errorf("asked for %q", asked.Load())
		}
		if n := after.TotalAlloc - before.TotalAlloc; n > 1<<20 {
			t.Errorf("allocated %d bytes for a bomb of %d that holds 8 MiB", n, bomb.Len())
		}
	})
}

// N1: a name server that never answers.
func TestDNSNeverAnswers(t *testing.T) {
	t.Parallel()
	onNet(t, func(t *testing.T, r *rig, m *memoryNet) {
		resolver, asked := m.resolver(silent)
		s := r.onWire("https://"+testHost, func(_ *Config, n *network) { n.resolver = resolver })
		r.fails(s, "no connection within 10 seconds")
		if n := asked.Load(); n < 1 || n > 4 {
			t.Errorf("got %d questions in an attempt", n)
		}
	})
}

func TestUnknownName(t *testing.T) {
	t.Parallel()
	onNet(t, func(t *testing.T, r *rig, m *memoryNet) {
		resolver, _ := m.resolver(func(conn net.Conn) {
			buf := make([]byte, 4096)
			n, err := conn.Read(buf)
			if err != nil || n < 6 || int(binary.BigEndian.Uint16(buf)) != n-2 {
				t.Errorf("question %x, %v", buf[:n], err)
				return
			}
			buf[4], buf[5] = 0x81, 0x83 // no such name
			conn.Write(buf[:n])
		})
		r.fails(r.onWire("https://"+testHost, func(_ *Config, n *network) { n.resolver = resolver }), "its host name does not exist")
	})
}

func TestBrokenNameServer(t *testing.T) {
	t.Parallel()
	onNet(t, func(t *testing.T, r *rig, m *memoryNet) {
		resolver, _ := m.resolver(func(net.Conn) {})
		r.fails(r.onWire("https://"+testHost, func(_ *Config, n *network) { n.resolver = resolver }), "its host name cannot be looked up")
	})
}

func TestNobodyListens(t *testing.T) {
	t.Parallel()
	onNet(t, func(_ *testing.T, r *rig, m *memoryNet) {
		r.fails(r.onNet(m, "http://127.0.0.1:1", nil), "no answer from the collector: connection refused")
	})
}

// The time limit of the caller is named if it is the shorter one.
func TestCallersLimit(t *testing.T) {
	t.Parallel()
	onNet(t, func(t *testing.T, r *rig, m *memoryNet) {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		err := r.onNet(m, "http://"+m.listen(silent), nil).SendNow(ctx)
		if failed, ok := err.(*Error); !ok || failed.Text != "no answer within the caller's time limit" {
			t.Errorf("got %v", err)
		}
	})
}

// N2 and N3 over the wire: what an answer leads to.
func TestAnswers(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		status  int
		after   string
		refused bool
		gone    bool
		asked   time.Duration
		text    string
	}{
		{503, "", false, false, 0, "503 (service unavailable)"},
		{503, "120", false, false, 2 * time.Minute, "503"},
		{429, "86400", false, false, day, "429 (too many requests)"},
		{429, "999999999999999999999999", false, false, 7 * day, "429"},
		{500, "-5", false, false, 0, "500"},
		{500, "Mon, 01 Mar 2027 02:00:00 GMT", false, false, 2 * time.Hour, "500"},
		{408, "soon", false, false, 0, "408"},
		{425, "1", false, false, time.Minute, "425"},
		{400, "120", true, false, 2 * time.Minute, "400 (bad request)"},
		{401, "", true, false, 0, "401"},
		{404, "", true, false, 0, "404 (not found)"},
		{413, "", true, false, 0, "413"},
		{499, "", true, false, 0, "499 (unknown)"},
		{304, "", true, false, 0, "304"},
		{300, "", true, false, 0, "300"},
		{410, "", false, true, 0, "410 (gone): it wants no more reports"},
		{599, "", false, false, 0, "599 (unknown)"},
		{999, "", false, false, 0, "999 (unknown)"},
	} {
		onNet(t, func(t *testing.T, r *rig, m *memoryNet) {
			server := m.serve(nil, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Retry-After", tt.after)
				w.WriteHeader(tt.status)
			})
			failed := r.fails(r.onNet(m, server.URL, nil), "the collector answered "+tt.text)
			if failed.Status != tt.status || failed.Refused != tt.refused || failed.Gone != tt.gone || failed.RetryAfter != tt.asked || failed.Err != nil {
				t.Errorf("%d: got %+v", tt.status, failed)
			}
			st := r.onDisk()
			switch wait := st.Retry.Sub(st.Attempt); {
			case tt.gone && !st.GoneAt(server.URL):
				t.Errorf("%d: saved %+v", tt.status, st)
			case tt.refused && !st.Retry.Equal(schedule.PhaseOf(r.id).Slot(st.Attempt.Add(day))):
				t.Errorf("%d: next attempt at %v", tt.status, st.Retry)
			case !tt.refused && !tt.gone && (wait < tt.asked+3*time.Hour || wait > tt.asked+12*time.Hour):
				t.Errorf("%d: next attempt after %v", tt.status, wait)
			}
		})
	}
	for _, status := range []int{200, 201, 202, 204, 299} {
		onNet(t, func(t *testing.T, r *rig, m *memoryNet) {
			r.succeeds(r.onNet(m, m.serve(nil, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Retry-After", "600")
				w.WriteHeader(status)
			}).URL, nil))
		})
	}
}

// instant is a network that accepts everything at once.
type instant struct{}

func (instant) RoundTrip(req *http.Request) (*http.Response, error) {
	io.Copy(io.Discard, req.Body)
	req.Body.Close()
	return &http.Response{StatusCode: http.StatusAccepted, Header: http.Header{}, Body: http.NoBody, Request: req}, nil
}

// BenchmarkSend measures all of a report but the making, the disk and the
// network. The limits are 50 µs and 8 KiB.
func BenchmarkSend(b *testing.B) {
	var saved []byte
	body := bytes.Repeat([]byte("x"), 1000)
	s := New(Config{
		Endpoint:  testEndpoint,
		UserAgent: "rollcall-go/1.0.0",
		ID:        func(context.Context) (string, bool) { return testID(1), true },
		Allowed:   func(context.Context) bool { return true },
		Heartbeat: func(context.Context) ([]byte, error) { return body, nil },
		Load:      func(context.Context) ([]byte, error) { return saved, nil },
		Save:      func(_ context.Context, data []byte) error { saved = data; return nil },
	})
	n := newNetwork()
	n.roundTripper = instant{}
	s.connect = func(ctx context.Context) (Requester, error) { return newClient(ctx, s.config, n) }
	b.ReportAllocs()
	for b.Loop() {
		if err := s.SendNow(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}
