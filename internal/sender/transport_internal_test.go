//go:build !rollcall_nosend

package sender

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func discardLog() *log.Logger { return log.New(io.Discard, "", 0) }

func newReader(data []byte) *bufio.Reader { return bufio.NewReader(bytes.NewReader(data)) }

// onWire gives a sender of the installation with Go's own transport. Its limits are a hundredth of the real ones, which
// is as 10 ms for each second.
func (r *rig) onWire(endpoint string, change func(*Config, *wire)) *Sender {
	var w *wire
	s := r.senderWith(func(c *Config) {
		c.Endpoint = endpoint
		ready := newWire()
		w = &ready
		w.connectTimeout, w.attemptTimeout, w.drainTimeout = connectTimeout/100, attemptTimeout/100, drainTimeout/100
		if change != nil {
			change(c, w)
		}
	})
	s.wire = *w
	config := s.config
	s.open = func(ctx context.Context) (poster, error) { return newClient(ctx, config, s.wire) }
	return s
}

// unhurried takes the real limits, for what is to succeed on a machine that has much to do.
func unhurried(_ *Config, w *wire) {
	w.connectTimeout, w.attemptTimeout, w.drainTimeout = connectTimeout, attemptTimeout, drainTimeout
}

// unlessLimit is unhurried where a limit is not what is wanted.
func unlessLimit(want string, w *wire) {
	if !strings.Contains(want, " seconds") {
		unhurried(nil, w)
	}
}

// fails makes one attempt that has to fail in time, and checks what is said about it wherever it is.
func (r *rig) fails(s *Sender, want string) *Error {
	r.t.Helper()
	began := time.Now()
	err := s.SendNow(r.t.Context())
	took := time.Since(began)
	failed, ok := errors.AsType[*Error](err)
	if !ok {
		r.t.Fatalf("got %v, want an *Error", err)
	}
	if limit := s.wire.attemptTimeout + patience; took > limit {
		r.t.Errorf("took %v, want at most %v", took, limit)
	}
	if !strings.Contains(failed.Text, want) {
		r.t.Errorf("got %q, want %q", failed.Text, want)
	}
	if got := r.onDisk().Error; got != failed.Text || s.Status().LastError != failed.Text {
		r.t.Errorf("kept %q, status %q, want %q", got, s.Status().LastError, failed.Text)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	checkNoSecret(r.t, "text", failed.Text)
	checkNoSecret(r.t, "log", r.logged.String())
	checkNoSecret(r.t, "state", string(r.state))
	if len(failed.Text) > maxText || plain(failed.Text) != failed.Text {
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

const (
	// patience is for a machine that has much to do. It is less than connectTimeout, so what waits for that is found out.
	patience = 8 * time.Second
	accepted = "HTTP/1.1 202 Accepted\r\n"
	// second stands for one, as the limits are scaled.
	second = 10 * time.Millisecond
)

// N1: each attempt ends inside its limit.
func TestStalls(t *testing.T) {
	ca := newAuthority(t)
	cert := ca.fault(nil)
	for _, tt := range []struct {
		name   string
		serve  func(net.Conn)
		scheme string
		want   string
	}{
		{"accepts and says nothing", silent, "http", "no answer within 30 seconds"},
		{"one byte a second", says("", second, "H"), "http", "no answer within 30 seconds"},
		{"one header line a second", says(accepted, second, "X: y\r\n"), "http", "no answer within 30 seconds"},
		{"endless status line", says("HTTP/1.1 200 ", 0, strings.Repeat("O", 1024)), "http", "cannot be understood"},
		{"endless header", says(accepted, 0, "X: "+strings.Repeat("y", 1024)+"\r\n"), "http", "cannot be understood"},
		{"endless information", says("", 0, "HTTP/1.1 103 Early Hints\r\nX: y\r\n\r\n"), "http", "cannot be understood"},
		{"garbage", says(strings.Repeat("\x00\xff<script>", 100), second, "\n"), "http", "cannot be understood"},
		{"hangs up", func(conn net.Conn) { readRequest(conn) }, "http", "the connection was closed"},
		{"hangs up at once", func(net.Conn) {}, "http", ""},
		{"hangs up in the header", func(conn net.Conn) { readRequest(conn); io.WriteString(conn, accepted) }, "http", "the connection was closed"},
		{"resets", func(conn net.Conn) { readRequest(conn); conn.(*net.TCPConn).SetLinger(0) }, "http", ""},
		{"TLS: says nothing", silent, "https", "no connection within 10 seconds"},
		{"TLS: one byte a second", says("\x16\x03\x03\x40\x00", second, "\x02"), "https", "no connection within 10 seconds"},
		{"TLS: hangs up", func(net.Conn) {}, "https", ""},
		{"TLS: speaks HTTP", says(accepted+"\r\n", second, " "), "https", "plain HTTP"},
		{"TLS: speaks SSH", says("SSH-2.0-OpenSSH_9.9\r\n", second, " "), "https", "does not speak TLS"},
		{"TLS: says nothing after the handshake", overTLS(cert, silent), "https", "no answer within 30 seconds"},
		{"TLS: one byte a second after the handshake", overTLS(cert, says("", second, "H")), "https", "no answer within 30 seconds"},
		{"TLS: endless header after the handshake", overTLS(cert, says(accepted, 0, "X: "+strings.Repeat("y", 1024)+"\r\n")), "https", "cannot be understood"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			noLeaks(t)
			r := &rig{t: t, id: testID(1)}
			failed := r.fails(r.onWire(tt.scheme+"://"+listen(t, tt.serve), func(c *Config, w *wire) {
				c.CAFile = ca.file
				unlessLimit(tt.want, w)
			}), tt.want)
			if failed.Refused || failed.Gone || failed.Status != 0 {
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

// N1 over HTTP/2, with Go's server: what a handler can do to its client.
func TestStallsHTTP2(t *testing.T) {
	ca := newAuthority(t)
	cert := ca.fault(nil)
	t.Run("says nothing", func(t *testing.T) {
		noLeaks(t)
		r := &rig{t: t, id: testID(1)}
		server := serve(t, &cert, func(_ http.ResponseWriter, req *http.Request) { <-req.Context().Done() })
		r.fails(r.onWire(server.URL, func(c *Config, w *wire) {
			c.CAFile, w.connectTimeout = ca.file, connectTimeout // the attempt is to end in the request
		}), "no answer within 30 seconds")
	})
	t.Run("large header", func(t *testing.T) {
		noLeaks(t)
		r := &rig{t: t, id: testID(1)}
		server := serve(t, &cert, func(w http.ResponseWriter, _ *http.Request) {
			for n := range 1000 {
				w.Header().Set(fmt.Sprintf("X-%d", n), strings.Repeat("y", 1000))
			}
		})
		r.fails(r.onWire(server.URL, func(c *Config, w *wire) { c.CAFile = ca.file; unhurried(c, w) }), "")
	})
	t.Run("endless body", func(t *testing.T) {
		noLeaks(t)
		r := &rig{t: t, id: testID(1)}
		var written atomic.Int64
		server := serve(t, &cert, func(w http.ResponseWriter, req *http.Request) {
			for req.Context().Err() == nil {
				n, err := w.Write(make([]byte, 1024))
				written.Add(int64(n))
				if err != nil {
					return
				}
			}
		})
		r.succeeds(r.onWire(server.URL, func(c *Config, w *wire) { c.CAFile = ca.file; unhurried(c, w) }))
		if n := written.Load(); n > 16<<20 {
			t.Errorf("the server could write %d bytes", n)
		}
	})
}

// N1: the body is no part of the answer. It is read no further than 4 KiB, and no longer than a second.
func TestBodies(t *testing.T) {
	for name, serve := range map[string]func(net.Conn){
		"endless":           says(accepted+"\r\n", 0, strings.Repeat("x", 1024)),
		"endless chunks":    says(accepted+"Transfer-Encoding: chunked\r\n\r\n", 0, "400\r\n"+strings.Repeat("x", 1024)+"\r\n"),
		"one byte a second": says(accepted+"\r\n", second, "x"),
		"never comes":       says(accepted+"Content-Length: 10\r\n\r\n", 0, ""),
		"not what it says":  says(accepted+"Content-Length: 10\r\nContent-Encoding: gzip\r\n\r\nnot gzip.....", 0, ""),
		"broken chunks":     says(accepted+"Transfer-Encoding: chunked\r\n\r\nzzzz\r\n", 0, ""),
		"huge length":       says(accepted+"Content-Length: 9223372036854775807\r\n\r\n", 0, strings.Repeat("x", 1024)),
	} {
		t.Run(name, func(t *testing.T) {
			noLeaks(t)
			r := &rig{t: t, id: testID(1)}
			s := r.onWire("http://"+listen(t, serve), unhurried)
			s.wire.drainTimeout = drainTimeout / 100
			began := time.Now()
			r.succeeds(s)
			if took := time.Since(began); took > patience {
				t.Errorf("took %v", took)
			}
			if st := r.onDisk(); st.Success.IsZero() {
				t.Errorf("kept %+v", st)
			}
		})
	}
}

// N1: a compressed answer is neither asked for nor unpacked.
func TestGzipBomb(t *testing.T) {
	var bomb bytes.Buffer
	packer := gzip.NewWriter(&bomb)
	for range 8 {
		packer.Write(make([]byte, 1<<20))
	}
	packer.Close()
	noLeaks(t)
	r := &rig{t: t, id: testID(1)}
	var asked atomic.Value
	server := serve(t, nil, func(w http.ResponseWriter, req *http.Request) {
		asked.Store(req.Header.Get("Accept-Encoding"))
		w.Header().Set("Content-Encoding", "gzip")
		w.Write(bomb.Bytes())
	})
	s := r.onWire(server.URL, unhurried)
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
}

// N1: a name server that never answers.
func TestDNSNeverAnswers(t *testing.T) {
	noLeaks(t)
	r := &rig{t: t, id: testID(1)}
	resolver, asked := deafDNS(t)
	s := r.onWire("https://"+testHost, func(_ *Config, w *wire) { w.resolver = resolver })
	r.fails(s, "no connection within 10 seconds")
	if n := asked.Load(); n < 1 || n > 4 {
		t.Errorf("%d questions in an attempt", n)
	}
}

func TestUnknownName(t *testing.T) {
	noLeaks(t)
	r := &rig{t: t, id: testID(1)}
	server, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	go func() {
		buf := make([]byte, 4096)
		for {
			n, from, err := server.ReadFrom(buf)
			if err != nil {
				return
			}
			buf[2], buf[3] = 0x81, 0x83 // no such name
			server.WriteTo(buf[:n], from)
		}
	}()
	s := r.onWire("https://"+testHost, func(c *Config, w *wire) {
		unhurried(c, w)
		w.resolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "udp", server.LocalAddr().String())
		}}
	})
	r.fails(s, "its name is not known")
}

func TestNobodyListens(t *testing.T) {
	noLeaks(t)
	r := &rig{t: t, id: testID(1)}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	r.fails(r.onWire("http://"+l.Addr().String(), unhurried), "no answer from the collector: ")
}

// N1: redirects are followed on the same host only, and never down.
func TestRedirects(t *testing.T) {
	ca := newAuthority(t)
	cert := ca.fault(nil)
	var elsewhere recorder
	other := serve(t, nil, elsewhere.ServeHTTP)
	onLocalhost := strings.Replace(other.URL, "127.0.0.1", "localhost", 1)
	for _, tt := range []struct {
		name   string
		status int
		tls    bool
		to     string // "" is the same server
		want   string // "" follows it
	}{
		{"307", 307, false, "", ""},
		{"308", 308, false, "", ""},
		{"307 over TLS", 307, true, "", ""},
		{"301", 301, false, "", "loses the report"},
		{"302", 302, false, "", "loses the report"},
		{"303", 303, true, "", "loses the report"},
		{"another port of the host", 307, false, other.URL, ""},
		{"another host", 307, false, onLocalhost, "another host"},
		{"another host over TLS", 308, true, "https://localhost:1", "another host"},
		{"301 to another host", 301, false, onLocalhost, "loses the report"},
		{"down", 307, true, other.URL, "from https to something else"},
		{"a file", 307, false, "file://", "another host"},
		{"another scheme", 308, true, "ftp://127.0.0.1", "from https to something else"},
		{"not a URL", 307, false, "http://[", "cannot be understood"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			noLeaks(t)
			elsewhere.mu.Lock()
			elsewhere.requests, elsewhere.bodies = nil, nil
			elsewhere.mu.Unlock()
			var followed recorder
			mux := http.NewServeMux()
			mux.HandleFunc(heartbeatPath, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Location", tt.to+"/elsewhere")
				w.WriteHeader(tt.status)
			})
			mux.Handle("/elsewhere", &followed)
			var with *tls.Certificate
			if tt.tls {
				with = &cert
			}
			server := serve(t, with, mux.ServeHTTP)
			r := &rig{t: t, id: testID(1)}
			s := r.onWire(server.URL, func(c *Config, w *wire) { c.CAFile = ca.file; unhurried(c, w) })
			target := &followed
			if tt.to != "" {
				target = &elsewhere
			}
			if tt.want != "" {
				if failed := r.fails(s, tt.want); failed.Refused != (tt.name != "not a URL") {
					t.Errorf("got %+v", failed)
				}
				if target.count() != 0 {
					t.Errorf("it was followed: %v", target.requests)
				}
				return
			}
			r.succeeds(s)
			if target.count() != 1 || target.bodies[0] != "heartbeat" || target.requests[0].Method != http.MethodPost {
				t.Errorf("%d requests, bodies %q", target.count(), target.bodies)
			}
		})
	}
	t.Run("loop", func(t *testing.T) {
		noLeaks(t)
		var turns atomic.Int32
		server := serve(t, nil, func(w http.ResponseWriter, req *http.Request) {
			turns.Add(1)
			http.Redirect(w, req, req.URL.Path, http.StatusTemporaryRedirect)
		})
		r := &rig{t: t, id: testID(1)}
		if failed := r.fails(r.onWire(server.URL, unhurried), "redirects again and again"); !failed.Refused {
			t.Errorf("got %+v", failed)
		}
		if n := turns.Load(); n != 1+maxRedirects {
			t.Errorf("%d requests, want %d", n, 1+maxRedirects)
		}
	})
	t.Run("to silence", func(t *testing.T) {
		noLeaks(t)
		r := &rig{t: t, id: testID(1)}
		to := "https://" + listen(t, silent) + "/"
		server := serve(t, nil, func(w http.ResponseWriter, req *http.Request) {
			http.Redirect(w, req, to, http.StatusPermanentRedirect)
		})
		r.fails(r.onWire(server.URL, nil), "no connection within 10 seconds")
	})
	t.Run("slow body", func(t *testing.T) {
		noLeaks(t)
		r := &rig{t: t, id: testID(1)}
		address := listen(t, says("HTTP/1.1 307 Go\r\nLocation: /elsewhere\r\n\r\n", second, "x"))
		r.fails(r.onWire("http://"+address, nil), "no answer within 30 seconds")
	})
}

// Certificates: a private authority by CAFile, and nothing else that the system does not trust.
func TestCertificates(t *testing.T) {
	ca, other := newAuthority(t), newAuthority(t)
	selfSigned := func() tls.Certificate {
		cert, key := certificate(t, &x509.Certificate{IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}, nil)
		return tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key}
	}
	for _, tt := range []struct {
		name   string
		cert   tls.Certificate
		caFile string
		want   string // "" is trusted
	}{
		{"private authority", ca.fault(nil), ca.file, ""},
		{"private authority that is not named", ca.fault(nil), "", "authority that is not known"},
		{"another authority", ca.fault(nil), other.file, "authority that is not known"},
		{"self-signed", selfSigned(), ca.file, "authority that is not known"},
		{"expired", ca.fault(func(c *x509.Certificate) {
			c.NotBefore, c.NotAfter = time.Now().Add(-48*time.Hour), time.Now().Add(-24*time.Hour)
		}), ca.file, "expired"},
		{"of tomorrow", ca.fault(func(c *x509.Certificate) {
			c.NotBefore, c.NotAfter = time.Now().Add(24*time.Hour), time.Now().Add(48*time.Hour)
		}), ca.file, "not valid yet"},
		{"another name", ca.fault(func(c *x509.Certificate) { c.IPAddresses = nil }), ca.file, "another name"},
		{"a hundred other names", ca.fault(func(c *x509.Certificate) {
			c.IPAddresses, c.DNSNames = nil, slices.Repeat([]string{strings.Repeat("n.", 100) + "example"}, 100)
		}), ca.file, "another name"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			noLeaks(t)
			var collector recorder
			server := serve(t, &tt.cert, collector.ServeHTTP)
			r := &rig{t: t, id: testID(1)}
			s := r.onWire(server.URL, func(c *Config, w *wire) { c.CAFile = tt.caFile; unhurried(c, w) })
			if tt.want != "" {
				r.fails(s, "the collector's certificate is not trusted: it is ")
				if got := s.Status().LastError; !strings.Contains(got, tt.want) {
					t.Errorf("got %q, want %q", got, tt.want)
				}
				if collector.count() > 0 {
					t.Error("the collector got the report")
				}
				return
			}
			r.succeeds(s)
			if collector.count() != 1 {
				t.Fatalf("%d requests", collector.count())
			}
			req := collector.requests[0]
			if req.Proto != "HTTP/2.0" || req.TLS.Version != tls.VersionTLS13 || collector.bodies[0] != "heartbeat" {
				t.Errorf("%s, TLS version %x, body %q", req.Proto, req.TLS.Version, collector.bodies[0])
			}
			for key, want := range map[string]string{"User-Agent": "test", "Content-Type": "application/json", "Accept": "application/json", "Accept-Encoding": ""} {
				if got := req.Header.Get(key); got != want {
					t.Errorf("%s: got %q, want %q", key, got, want)
				}
			}
		})
	}
	t.Run("TLS 1.1", func(t *testing.T) {
		noLeaks(t)
		cert := ca.fault(nil)
		address := listen(t, func(conn net.Conn) {
			tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}).Handshake()
		})
		r := &rig{t: t, id: testID(1)}
		r.fails(r.onWire("https://"+address, func(c *Config, w *wire) { c.CAFile = ca.file; unhurried(c, w) }), "no answer from the collector: ")
	})
}

// A CAFile that cannot be had is a failure like any other: it is told, and nothing is sent without it.
func TestBadCAFile(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	for name, tt := range map[string]struct{ file, want string }{
		"missing": {filepath.Join(dir, "missing"), "missing"},
		"folder":  {dir, "not a regular file"},
		"empty":   {write("empty", ""), "no certificate in it"},
		"garbage": {write("garbage", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), "no certificate in it"},
		"huge":    {write("huge", strings.Repeat("x", maxCAFile+1)), "larger than 1 MiB"},
		"device":  {os.DevNull, "not a regular file"},
	} {
		t.Run(name, func(t *testing.T) {
			noLeaks(t)
			var collector recorder
			server := serve(t, nil, collector.ServeHTTP)
			r := &rig{t: t, id: testID(1)}
			r.fails(r.onWire(server.URL, func(c *Config, _ *wire) { c.CAFile = tt.file }), "CAFile: ")
			if got := r.onDisk().Error; !strings.Contains(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			if collector.count() != 0 {
				t.Error("the report was sent")
			}
		})
	}
}

// An authenticating proxy, configured.
func TestProxy(t *testing.T) {
	ca := newAuthority(t)
	cert := ca.fault(nil)
	noSuchHost := fmt.Sprintf("https://%s:8443", testHost)
	through := func(proxy string, right bool) func(*Config, *wire) {
		return func(c *Config, w *wire) {
			u := url.URL{Scheme: "http", Host: proxy, User: url.UserPassword(proxyUser, proxyPassword)}
			if !right {
				u.User = url.UserPassword(proxyUser, "not "+proxyPassword)
			}
			c.Proxy, c.CAFile = u.String(), ca.file
			// The names are for the proxy: a look-up here would be a leak.
			w.resolver = &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
				t.Error("a name was looked up")
				return nil, errors.New("no names here")
			}}
		}
	}
	t.Run("password", func(t *testing.T) {
		noLeaks(t)
		var collector recorder
		server := serve(t, &cert, collector.ServeHTTP)
		proxy := &connectProxy{to: server.Listener.Addr().String()}
		r := &rig{t: t, id: testID(1), health: []byte("health")}
		s := r.onWire(noSuchHost, through(listen(t, proxy.serve), true))
		unhurried(nil, &s.wire)
		r.succeeds(s)
		if collector.count() != 2 || proxy.through.Load() != 2 || proxy.target.Load() != testHost+":8443" {
			t.Errorf("%d requests, %d through the proxy to %v", collector.count(), proxy.through.Load(), proxy.target.Load())
		}
		for _, req := range collector.requests {
			if req.Proto != "HTTP/2.0" || req.Header.Get("Proxy-Authorization") != "" {
				t.Errorf("%s, %v", req.Proto, req.Header)
			}
		}
		checkNoSecret(t, "status", fmt.Sprintf("%+v", s.Status()))
	})
	t.Run("wrong password", func(t *testing.T) {
		noLeaks(t)
		proxy := &connectProxy{}
		r := &rig{t: t, id: testID(1)}
		s := r.onWire(noSuchHost, through(listen(t, proxy.serve), false))
		unhurried(nil, &s.wire)
		r.fails(s, "the proxy answered 407 (proxy authentication required)")
		if proxy.asked.Load() != 1 {
			t.Errorf("asked %d times", proxy.asked.Load())
		}
	})
	for name, tt := range map[string]struct {
		serve func(net.Conn)
		want  string
	}{
		"says nothing":      {silent, "no connection within 10 seconds"},
		"one byte a second": {says("", second, "H"), "no connection within 10 seconds"},
		"then nothing":      {says("HTTP/1.1 200 OK\r\n\r\n", second, ""), "no connection within 10 seconds"},
		"endless header":    {says("HTTP/1.1 200 OK\r\n", 0, strings.Repeat("X: y\r\n", 100)), ""},
		"echo":              {func(conn net.Conn) { io.Copy(conn, conn) }, ""},
		"echo as a header":  {func(conn net.Conn) { io.WriteString(conn, "HTTP/1.1 200 OK\r\n"); io.Copy(conn, conn) }, ""},
		"hangs up":          {func(conn net.Conn) { readRequest(conn) }, ""},
		"502":               {says("HTTP/1.1 502 "+proxyPassword+"\r\n\r\n", second, ""), "the proxy answered 502 (bad gateway)"},
	} {
		t.Run(name, func(t *testing.T) {
			noLeaks(t)
			r := &rig{t: t, id: testID(1)}
			s := r.onWire(noSuchHost, through(listen(t, tt.serve), true))
			unlessLimit(tt.want, &s.wire)
			r.fails(s, tt.want)
		})
	}
	t.Run("nobody listens", func(t *testing.T) {
		noLeaks(t)
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		l.Close()
		r := &rig{t: t, id: testID(1)}
		s := r.onWire(noSuchHost, through(l.Addr().String(), true))
		unhurried(nil, &s.wire)
		r.fails(s, "no connection to the proxy: ")
	})
	t.Run("not for this machine", func(t *testing.T) {
		noLeaks(t)
		var collector recorder
		server := serve(t, nil, collector.ServeHTTP)
		r := &rig{t: t, id: testID(1)}
		r.succeeds(r.onWire(server.URL, func(c *Config, w *wire) { through("192.0.2.1:1", true)(c, w); unhurried(c, w) }))
		if collector.count() != 1 {
			t.Errorf("%d requests", collector.count())
		}
	})
	t.Run("SOCKS", func(t *testing.T) {
		noLeaks(t)
		var collector recorder
		server := serve(t, &cert, collector.ServeHTTP)
		r := &rig{t: t, id: testID(1)}
		address := listen(t, socks(server.Listener.Addr().String()))
		s := r.onWire(noSuchHost, through(address, true))
		s.wire.resolver = nil
		change := func(scheme string) *Sender {
			return r.onWire(noSuchHost, func(c *Config, w *wire) {
				through(address, true)(c, w)
				unhurried(c, w)
				c.Proxy = strings.Replace(c.Proxy, "http", scheme, 1)
			})
		}
		r.succeeds(change("socks5"))
		r.succeeds(change("socks5h"))
		if collector.count() != 2 {
			t.Errorf("%d requests", collector.count())
		}
	})
	for _, proxy := range []string{"http://" + proxyUser + ":" + proxyPassword + "@[", "ftp://" + proxyUser + ":x@proxy.example", "http://", "proxy", "http://%zz"} {
		r := &rig{t: t, id: testID(1)}
		r.fails(r.onWire(noSuchHost, func(c *Config, _ *wire) { c.Proxy = proxy }), "Proxy: ")
	}
}

// socks is a SOCKS 5 proxy (RFC 1928, 1929) that leads everything to one address.
func socks(to string) func(net.Conn) {
	return func(conn net.Conn) {
		in := bufio.NewReader(conn)
		next := func() []byte { // a length and as many bytes
			n, _ := in.ReadByte()
			data := make([]byte, n)
			io.ReadFull(in, data)
			return data
		}
		in.ReadByte()
		if !bytes.Contains(next(), []byte{2}) {
			return
		}
		conn.Write([]byte{5, 2})
		in.ReadByte()
		if user, password := next(), next(); string(user) != proxyUser || string(password) != proxyPassword {
			conn.Write([]byte{1, 1})
			return
		}
		conn.Write([]byte{1, 0})
		in.Discard(4)
		next()
		binary.Read(in, binary.BigEndian, new(uint16))
		onward, err := net.Dial("tcp", to)
		if err != nil {
			return
		}
		defer onward.Close()
		conn.Write([]byte{5, 0, 0, 1, 0, 0, 0, 0, 0, 0})
		go func() {
			io.Copy(onward, in)
			onward.Close()
		}()
		io.Copy(conn, onward)
	}
}

const proxyChild = "ROLLCALL_TEST_PROXY_CHILD"

// The proxy of the environment, which Go reads once in a process: this one is a child.
func TestProxyFromEnvironment(t *testing.T) {
	if caFile := os.Getenv(proxyChild); caFile != "" {
		s := New(Config{Endpoint: "https://" + testHost, CAFile: caFile, UserAgent: "child", Logger: slog.New(slog.NewTextHandler(os.Stdout, nil))})
		fmt.Printf("result: %v\n", s.Upload(t.Context(), []byte("from a child")))
		return
	}
	ca := newAuthority(t)
	cert := ca.fault(nil)
	var collector recorder
	server := serve(t, &cert, collector.ServeHTTP)
	proxy := &connectProxy{to: server.Listener.Addr().String()}
	address := listen(t, proxy.serve)
	for _, tt := range []struct{ password, want string }{
		{proxyPassword, "result: <nil>"},
		{"not " + proxyPassword, "result: the proxy answered 407 (proxy authentication required)"},
	} {
		u := url.URL{Scheme: "http", Host: address, User: url.UserPassword(proxyUser, tt.password)}
		child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestProxyFromEnvironment$")
		child.Env = append(slices.DeleteFunc(os.Environ(), func(v string) bool {
			return strings.Contains(strings.ToLower(v), "_proxy=") || strings.HasPrefix(v, "GOCOVERDIR=")
		}), "HTTPS_PROXY="+u.String(), proxyChild+"="+ca.file)
		out, err := child.CombinedOutput()
		if err != nil || !strings.Contains(string(out), tt.want+"\n") {
			t.Errorf("%v, want %q in:\n%s", err, tt.want, out)
		}
		checkNoSecret(t, "output", string(out))
	}
	if collector.count() != 1 || collector.bodies[0] != "from a child" || proxy.asked.Load() != 2 {
		t.Errorf("%d requests, proxy asked %d times", collector.count(), proxy.asked.Load())
	}
}

// N2 and N3 over the wire: what an answer leads to.
func TestAnswers(t *testing.T) {
	var status atomic.Int32
	var after atomic.Value
	server := serve(t, nil, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", after.Load().(string))
		w.WriteHeader(int(status.Load()))
	})
	for _, tt := range []struct {
		status  int
		after   string
		refused bool
		gone    bool
		atLeast time.Duration
		text    string
	}{
		{503, "", false, false, 0, "503 (service unavailable)"},
		{503, "120", false, false, 2 * time.Minute, "503"},
		{429, "86400", false, false, day, "429 (too many requests)"},
		{429, "999999999999999999999999", false, false, maxRetryAfter, "429"},
		{500, "-5", false, false, 0, "500"},
		{408, "soon", false, false, 0, "408"},
		{425, "1", false, false, minRetryAfter, "425"},
		{400, "120", true, false, 2 * time.Minute, "400 (bad request)"},
		{401, "", true, false, 0, "401"},
		{404, "", true, false, 0, "404 (not found)"},
		{413, "", true, false, 0, "413"},
		{304, "", true, false, 0, "304"},
		{300, "", true, false, 0, "300"},
		{410, "", false, true, 0, "410 (gone): it wants no more reports"},
		{599, "", false, false, 0, "599 (which is not known)"},
		{999, "", false, false, 0, "999 (which is not known)"},
	} {
		status.Store(int32(tt.status))
		after.Store(tt.after)
		r := &rig{t: t, id: testID(1)}
		s := r.onWire(server.URL, unhurried)
		failed := r.fails(s, "the collector answered "+tt.text)
		if failed.Status != tt.status || failed.Refused != tt.refused || failed.Gone != tt.gone || failed.RetryAfter != tt.atLeast || failed.Err != nil {
			t.Errorf("%d: got %+v", tt.status, failed)
		}
		st := r.onDisk()
		switch wait := st.Retry.Sub(st.Attempt); {
		case tt.gone && st.Gone != mark(server.URL):
			t.Errorf("%d: kept %+v", tt.status, st)
		case tt.refused && !st.Retry.Equal(slot(phaseOf(r.id), st.Attempt.Add(day))):
			t.Errorf("%d: next attempt at %v", tt.status, st.Retry)
		case !tt.refused && !tt.gone && (wait < tt.atLeast+retryMin || wait > tt.atLeast+retryMax+5*time.Second):
			t.Errorf("%d: next attempt after %v", tt.status, wait)
		}
	}
	for _, ok := range []int{200, 201, 202, 204} {
		status.Store(int32(ok))
		after.Store("600")
		r := &rig{t: t, id: testID(1)}
		r.succeeds(r.onWire(server.URL, unhurried))
	}
}

// N2.
func TestRetryAfter(t *testing.T) {
	t.Parallel()
	now := time.Date(2027, 3, 1, 12, 0, 0, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"": 0, "0": 0, "1": minRetryAfter, "59": minRetryAfter, "60": time.Minute, " 3600 ": time.Hour, "604800": maxRetryAfter,
		"604801": maxRetryAfter, "31536000000": maxRetryAfter, "9223372036854775807": maxRetryAfter, "9223372036854775808": maxRetryAfter,
		"-1": 0, "-10000000000": 0, "-9223372036854775807": 0, "-9223372036854775808": 0, "-99999999999999999999": 0,
		"+60": 0, "1.5": 0, "1e9": 0, "0x10": 0, "soon": 0, "60, 120": 0, "６０": 0, strings.Repeat("9", 10_000): maxRetryAfter,
		now.Add(2 * time.Hour).Format(http.TimeFormat):      2 * time.Hour,
		now.Add(time.Second).Format(http.TimeFormat):        minRetryAfter,
		now.Add(-time.Hour).Format(http.TimeFormat):         0,
		now.AddDate(1000, 0, 0).Format(http.TimeFormat):     maxRetryAfter,
		now.AddDate(-1000, 0, 0).Format(http.TimeFormat):    0,
		now.Add(time.Hour).Format(time.RFC850):              time.Hour,
		now.Add(time.Hour).Format(time.ANSIC):               time.Hour,
		now.Add(time.Hour).Format(time.RFC3339):             0,
		"Mon, 99 Foo 2027 99:99:99 GMT":                     0,
		"Fri, 31 Dec 9999 23:59:59 GMT":                     maxRetryAfter,
		"Mon, 01 Mar 2027 12:00:00 GMT, 60":                 0,
		strings.Repeat("x", 100_000):                        0,
		"60\x00":                                            0,
		fmt.Sprint(int64(maxRetryAfter/time.Second) * 1000): maxRetryAfter,
	} {
		if got := retryAfter(value, now); got != want {
			t.Errorf("%.40q: got %v, want %v", value, got, want)
		}
	}
}

func FuzzRetryAfter(f *testing.F) {
	for _, seed := range []string{"60", "-1", "Mon, 01 Mar 2027 13:00:00 GMT", "99999999999999999999"} {
		f.Add(seed)
	}
	now := time.Date(2027, 3, 1, 12, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, value string) {
		if got := retryAfter(value, now); got != 0 && (got < minRetryAfter || got > maxRetryAfter) {
			t.Errorf("%q: %v", value, got)
		}
	})
}

func TestCheckEndpoint(t *testing.T) {
	t.Parallel()
	for endpoint, ok := range map[string]bool{
		"https://collector.example": true, "https://collector.example:8443/telemetry/": true, "HTTPS://collector.example": true,
		"http://127.0.0.1:8080": true, "http://localhost": true, "http://LOCALHOST:1": true, "http://[::1]:8080": true,
		"http://127.9.9.9": true, "http://[::ffff:127.0.0.1]": true,
		"": false, "collector.example": false, "http://collector.example": false, "http://localhost.example": false, "http://10.0.0.1": false,
		"ftp://collector.example": false, "https://": false, "https://:443": false, "https:///path": false, "//collector.example": false,
		"https://user:secret@collector.example": false, "https://collector.example?": false, "https://collector.example/?a=b": false,
		"https://collector.example/#": false, "https://collector.example/#a": false, "https://[": false, "https://a b": false, "mailto:a@b": false,
	} {
		err := CheckEndpoint(endpoint)
		if (err == nil) != ok {
			t.Errorf("%q: %v", endpoint, err)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: the error has the password: %v", endpoint, err)
		}
	}
}

// N8 and N9 against servers that hold a request at each of its stages: it ends at once, nothing is left, and nothing more
// leaves. The limits are the real ones.
func TestEndsAtOnce(t *testing.T) {
	ca := newAuthority(t)
	cert := ca.fault(nil)
	hold := func(_ http.ResponseWriter, req *http.Request) {
		io.Copy(io.Discard, req.Body) // only then does Go's server see that the client is gone
		<-req.Context().Done()
	}
	for name, held := range map[string]func(t *testing.T, c *Config, w *wire) (endpoint string, reached func() bool, said func() int64){
		"name": func(t *testing.T, _ *Config, w *wire) (string, func() bool, func() int64) {
			var asked *atomic.Int32
			w.resolver, asked = deafDNS(t)
			return "https://" + testHost, func() bool { return asked.Load() > 0 }, func() int64 { return 0 }
		},
		"TLS": func(t *testing.T, _ *Config, _ *wire) (string, func() bool, func() int64) {
			r := &relay{to: listen(t, silent)}
			return "https://" + listen(t, r.serve), func() bool { return r.said.Load() > 0 }, r.said.Load
		},
		"proxy": func(t *testing.T, c *Config, _ *wire) (string, func() bool, func() int64) {
			r := &relay{to: listen(t, silent)}
			c.Proxy = "http://" + listen(t, r.serve)
			return "https://" + testHost, func() bool { return r.said.Load() > 0 }, r.said.Load
		},
		"HTTP/1": func(t *testing.T, _ *Config, _ *wire) (string, func() bool, func() int64) {
			r := &relay{to: listen(t, silent)}
			return "http://" + listen(t, r.serve), func() bool { return r.said.Load() > 0 }, r.said.Load
		},
		"HTTP/2": func(t *testing.T, c *Config, _ *wire) (string, func() bool, func() int64) {
			c.CAFile = ca.file
			var reached atomic.Bool
			server := serve(t, &cert, func(w http.ResponseWriter, req *http.Request) { reached.Store(true); hold(w, req) })
			r := &relay{to: server.Listener.Addr().String()}
			return "https://" + listen(t, r.serve), reached.Load, r.said.Load
		},
		"body": func(t *testing.T, _ *Config, w *wire) (string, func() bool, func() int64) {
			w.drainTimeout = attemptTimeout // which is a second
			var reached atomic.Bool
			server := serve(t, nil, func(w http.ResponseWriter, req *http.Request) {
				w.(http.Flusher).Flush()
				reached.Store(true)
				hold(w, req)
			})
			r := &relay{to: server.Listener.Addr().String()}
			return "http://" + listen(t, r.serve), reached.Load, r.said.Load
		},
	} {
		for how, end := range map[string]func(context.CancelFunc, *rig, *Sender){
			"stop":      func(_ context.CancelFunc, r *rig, s *Sender) { s.Stop(r.t.Context()) },
			"withdraw":  func(_ context.CancelFunc, _ *rig, s *Sender) { s.Withdraw() },
			"in config": func(_ context.CancelFunc, r *rig, _ *Sender) { r.denied.Store(true) },
			"caller":    func(cancel context.CancelFunc, _ *rig, _ *Sender) { cancel() },
		} {
			if how == "in config" && name != "HTTP/2" {
				continue // which is the same for all, and takes its time
			}
			t.Run(name+" "+how, func(t *testing.T) {
				noLeaks(t)
				r := &rig{t: t, id: testID(1)}
				var reached func() bool
				var said func() int64
				s := r.onWire("", func(c *Config, w *wire) {
					unhurried(c, w)
					c.Endpoint, reached, said = held(t, c, w)
				})
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				done := make(chan error, 1)
				go func() { done <- s.SendNow(ctx) }()
				for deadline := time.Now().Add(20 * time.Second); !reached(); time.Sleep(time.Millisecond) {
					if time.Now().After(deadline) {
						t.Fatal("the request was not held")
					}
				}
				before := said()
				for quiet := 0; quiet < 4; quiet++ { // what is on its way arrives
					time.Sleep(10 * time.Millisecond)
					if now := said(); now != before {
						before, quiet = now, 0
					}
				}
				began := time.Now()
				end(cancel, r, s)
				err := <-done
				if took := time.Since(began); took > withdrawnEvery+patience {
					t.Errorf("ended after %v", took)
				}
				time.Sleep(20 * time.Millisecond)
				if after := said(); after != before {
					t.Errorf("%d bytes left after the end", after-before)
				}
				if _, failed := errors.AsType[*Error](err); failed || r.onDisk().Error != "" {
					t.Errorf("it counts as a failure: %v, kept %q", err, r.onDisk().Error)
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

// instant is a network that accepts all at once.
type instant struct{}

func (instant) RoundTrip(req *http.Request) (*http.Response, error) {
	io.Copy(io.Discard, req.Body)
	req.Body.Close()
	return &http.Response{StatusCode: http.StatusAccepted, Header: http.Header{}, Body: http.NoBody, Request: req}, nil
}

// BenchmarkSend is all of a report but making it, the disk and the network. The limits are 50 µs and 8 KiB.
func BenchmarkSend(b *testing.B) {
	var kept []byte
	body := bytes.Repeat([]byte("x"), 1000)
	s := New(Config{
		Endpoint:  testEndpoint,
		UserAgent: "rollcall-go/1.0.0",
		ID:        func() (string, bool) { return testID(1), true },
		Allowed:   func(context.Context) bool { return true },
		Heartbeat: func(context.Context) ([]byte, error) { return body, nil },
		Load:      func(context.Context) ([]byte, error) { return kept, nil },
		Save:      func(_ context.Context, data []byte) error { kept = data; return nil },
	})
	s.wire.roundTripper = instant{}
	b.ReportAllocs()
	for b.Loop() {
		if err := s.SendNow(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}
