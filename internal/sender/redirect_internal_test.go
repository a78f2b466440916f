//go:build !rollcall_nosend

package sender

import (
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// N1: redirects are followed on the same host and port only, and never from
// https to another scheme.
func TestRedirects(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	cert := ca.issue(nil)
	const other, localhost = "OTHER", "LOCALHOST" // another server, and that by another name
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
		{"another port", 307, false, other, "another port"},
		{"the usual port", 307, false, "http://127.0.0.1", "another port"},
		{"another port over TLS", 308, true, "https://127.0.0.1:1", "another port"},
		{"the usual port over TLS", 308, true, "https://127.0.0.1", "another port"},
		{"another host", 307, false, localhost, "another host"},
		{"another host over TLS", 308, true, "https://localhost:1", "another host"},
		{"301 to another host", 301, false, localhost, "loses the report"},
		{"down", 307, true, other, "from https to another scheme"},
		{"a file", 307, false, "file://", "another host"},
		{"another scheme", 308, true, "ftp://127.0.0.1", "from https to another scheme"},
		{"not a URL", 307, false, "http://[", "malformed"},
	} {
		run(t, tt.name, func(t *testing.T, r *rig, m *memoryNet) {
			var followed, elsewhere recorder
			otherURL := m.serve(nil, elsewhere.ServeHTTP).URL
			to := strings.NewReplacer(other, otherURL, localhost, strings.Replace(otherURL, "127.0.0.1", "localhost", 1)).Replace(tt.to)
			mux := http.NewServeMux()
			mux.HandleFunc("/v1/heartbeat", func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Location", to+"/elsewhere")
				w.WriteHeader(tt.status)
			})
			mux.Handle("/elsewhere", &followed)
			var with *tls.Certificate
			if tt.tls {
				with = &cert
			}
			s := r.onNet(m, m.serve(with, mux.ServeHTTP).URL, func(c *Config) { c.CAFile = ca.file })
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
				t.Errorf("got %d requests, bodies %q", target.count(), target.bodies)
			}
			if referer := target.requests[0].Header["Referer"]; referer != nil {
				t.Errorf("got a Referer, %q", referer)
			}
		})
	}
	run(t, "loop", func(t *testing.T, r *rig, m *memoryNet) {
		var turns atomic.Int32
		server := m.serve(nil, func(w http.ResponseWriter, req *http.Request) {
			turns.Add(1)
			http.Redirect(w, req, req.URL.Path, http.StatusTemporaryRedirect)
		})
		if failed := r.fails(r.onNet(m, server.URL, nil), "redirects too many times"); !failed.Refused {
			t.Errorf("got %+v", failed)
		}
		if n := turns.Load(); n != 4 {
			t.Errorf("got %d requests, want the first and 3 redirects", n)
		}
	})
	run(t, "to silence", func(t *testing.T, r *rig, m *memoryNet) {
		var address string
		var connections atomic.Int32
		address = m.listen(func(conn net.Conn) {
			if connections.Add(1) > 1 {
				silent(conn)
				return
			}
			readRequest(conn)
			time.Sleep(5 * time.Second) // the limit of the next connection begins anew
			io.WriteString(conn, "HTTP/1.1 308 Go\r\nLocation: https://"+address+"/\r\nContent-Length: 0\r\n\r\n")
		})
		began := time.Now()
		r.fails(r.onNet(m, "http://"+address, nil), "no connection within 10 sec")
		if took := time.Since(began); took != 15*time.Second {
			t.Errorf("took %v, want 15s", took)
		}
	})
	run(t, "slow body", func(t *testing.T, r *rig, m *memoryNet) {
		address := m.listen(says("HTTP/1.1 307 Go\r\nLocation: /elsewhere\r\n\r\n", time.Second, "x"))
		r.fails(r.onNet(m, "http://"+address, nil), "no answer within 30 seconds")
	})
	run(t, "no location", func(t *testing.T, r *rig, m *memoryNet) {
		server := m.serve(nil, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTemporaryRedirect) })
		if failed := r.fails(r.onNet(m, server.URL, nil), "the collector answered 307"); !failed.Refused || failed.Status != 307 {
			t.Errorf("got %+v", failed)
		}
	})
}
