//go:build !rollcall_nosend

package sender

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestCheckEndpoint(t *testing.T) {
	t.Parallel()
	for endpoint, ok := range map[string]bool{
		"https://collector.example": true, "https://collector.example:8443/telemetry/": true, "HTTPS://collector.example": true,
		"http://127.0.0.1:8080": true, "http://localhost": true, "http://LOCALHOST:1": true, "http://[::1]:8080": true,
		"https://xn--bcher-kva.example": true, "https://b\u00fccher.example": true,
		"http://127.9.9.9": true, "http://[::ffff:127.0.0.1]": true,
		"": false, "collector.example": false, "http://collector.example": false, "http://localhost.example": false, "http://10.0.0.1": false,
		"ftp://collector.example": false, "ftp://localhost": false, "https://": false, "https://:443": false, "https:///path": false,
		"//collector.example": false, "https://user:secret@collector.example": false, "https://collector.example?": false,
		"https://collector.example/?a=b": false, "https://collector.example/#": false, "https://collector.example/#a": false,
		"https://[": false, "https://a b": false, "mailto:a@b": false,
	} {
		err := CheckEndpoint(endpoint)
		if (err == nil) != ok {
			t.Errorf("%q: got %v", endpoint, err)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: the error has the password: %v", endpoint, err)
		}
	}
}

// A private authority is trusted if CAFile names it, and nothing else that
// the system does not trust.
func TestCertificates(t *testing.T) {
	t.Parallel()
	ca, other := newAuthority(t), newAuthority(t)
	selfSigned := func() tls.Certificate {
		cert, key := certificate(t, &x509.Certificate{IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}, nil)
		return tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key}
	}
	valid := func(from, to int) func(*x509.Certificate) { // in days
		return func(c *x509.Certificate) {
			c.NotBefore, c.NotAfter = midnight.AddDate(0, 0, from), midnight.AddDate(0, 0, to)
		}
	}
	for _, tt := range []struct {
		name   string
		cert   tls.Certificate
		caFile string
		want   string // "" is trusted
	}{
		{"private authority", ca.issue(nil), ca.file, ""},
		{"private authority that is not named", ca.issue(nil), "", "unknown authority"},
		{"another authority", ca.issue(nil), other.file, "unknown authority"},
		{"self-signed", selfSigned(), ca.file, "unknown authority"},
		{"expired", ca.issue(valid(-2, -1)), ca.file, "expired"},
		{"of tomorrow", ca.issue(valid(1, 2)), ca.file, "not valid yet"},
		{"another name", ca.issue(func(c *x509.Certificate) { c.IPAddresses = nil }), ca.file, "another host name"},
		{"a hundred other names", ca.issue(func(c *x509.Certificate) {
			c.IPAddresses, c.DNSNames = nil, slices.Repeat([]string{strings.Repeat("n.", 100) + "example"}, 100)
		}), ca.file, "another host name"},
		{"another use", ca.issue(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection} }), ca.file, "it is not valid"},
	} {
		run(t, tt.name, func(t *testing.T, r *rig, m *memoryNet) {
			var collector recorder
			server := m.serve(&tt.cert, collector.ServeHTTP)
			s := r.onNet(m, server.URL, func(c *Config) { c.CAFile = tt.caFile })
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
				t.Fatalf("got %d requests", collector.count())
			}
			req := collector.requests[0]
			if req.Proto != "HTTP/1.1" || req.TLS.Version != tls.VersionTLS13 || collector.bodies[0] != "heartbeat" {
				t.Errorf("got %s, TLS version %x, body %q", req.Proto, req.TLS.Version, collector.bodies[0])
			}
			for key, want := range map[string]string{"User-Agent": "test", "Content-Type": "application/json", "Accept": "application/json", "Accept-Encoding": ""} {
				if got := req.Header.Get(key); got != want {
					t.Errorf("%s: got %q, want %q", key, got, want)
				}
			}
		})
	}
	for version, want := range map[uint16]string{tls.VersionTLS11: "no answer from the collector: ", tls.VersionTLS12: ""} {
		run(t, tls.VersionName(version), func(t *testing.T, r *rig, m *memoryNet) {
			cert := ca.issue(nil)
			address := m.listen(func(conn net.Conn) {
				server := tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS10, MaxVersion: version})
				if server.Handshake() == nil {
					readRequest(server)
					io.WriteString(server, accepted+"Content-Length: 0\r\n\r\n")
				}
			})
			s := r.onNet(m, "https://"+address, func(c *Config) { c.CAFile = ca.file })
			if want == "" {
				r.succeeds(s)
			} else {
				r.fails(s, want)
			}
		})
	}
}

// A CAFile that cannot be read is a failure like any other: it is reported,
// and nothing is sent without it.
func TestBadCAFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, text string) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	for name, tt := range map[string]struct{ file, want string }{
		"missing":   {filepath.Join(dir, "missing"), "missing"},
		"directory": {dir, "not a regular file"},
		"empty":     {write("empty", ""), "contains no certificate"},
		"garbage":   {write("garbage", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), "contains no certificate"},
		"large":     {write("large", strings.Repeat("x", 1<<20)), "contains no certificate"},
		"larger":    {write("larger", strings.Repeat("x", 1<<20+1)), "larger than 1 MiB"},
		"device":    {os.DevNull, "not a regular file"},
	} {
		run(t, name, func(t *testing.T, r *rig, m *memoryNet) {
			var collector recorder
			server := m.serve(nil, collector.ServeHTTP)
			r.fails(r.onNet(m, server.URL, func(c *Config) { c.CAFile = tt.file }), "CAFile: ")
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
	t.Parallel()
	ca := newAuthority(t)
	cert := ca.issue(nil)
	noSuchHost := fmt.Sprintf("https://%s:8443", testHost)
	with := func(proxy, password string) func(*Config) {
		return func(c *Config) {
			u := url.URL{Scheme: "http", Host: proxy, User: url.UserPassword(proxyUser, password)}
			c.Proxy, c.CAFile = u.String(), ca.file
		}
	}
	run(t, "password", func(t *testing.T, r *rig, m *memoryNet) {
		var collector recorder
		server := m.serve(&cert, collector.ServeHTTP)
		proxy := &connectProxy{lead: m.lead, to: server.Listener.Addr().String()}
		r.health = []byte("health")
		s := r.onNet(m, noSuchHost, with(m.listen(proxy.serve), proxyPassword))
		r.succeeds(s)
		if collector.count() != 2 || proxy.through.Load() != 2 || proxy.target.Load() != testHost+":8443" {
			t.Errorf("got %d requests, %d through the proxy to %v", collector.count(), proxy.through.Load(), proxy.target.Load())
		}
		for _, req := range collector.requests {
			if req.Proto != "HTTP/1.1" || req.Header.Get("Proxy-Authorization") != "" {
				t.Errorf("got %s, %v", req.Proto, req.Header)
			}
		}
		checkNoSecret(t, "status", fmt.Sprintf("%+v", s.Status()))
	})
	run(t, "wrong password", func(t *testing.T, r *rig, m *memoryNet) {
		proxy := new(connectProxy)
		s := r.onNet(m, noSuchHost, with(m.listen(proxy.serve), "not "+proxyPassword))
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
		"one byte a second": {says("", time.Second, "H"), "no connection within 10 seconds"},
		"then nothing":      {says("HTTP/1.1 200 OK\r\n\r\n", time.Second, ""), "no connection within 10 seconds"},
		"endless header":    {says("HTTP/1.1 200 OK\r\n", 0, strings.Repeat("X: y\r\n", 100)), ""},
		"echo":              {func(conn net.Conn) { io.Copy(conn, conn) }, ""},
		"echo as a header":  {func(conn net.Conn) { io.WriteString(conn, "HTTP/1.1 200 OK\r\n"); io.Copy(conn, conn) }, ""},
		"hangs up":          {func(conn net.Conn) { readRequest(conn) }, ""},
		"502":               {says("HTTP/1.1 502 "+proxyPassword+"\r\n\r\n", time.Second, ""), "the proxy answered 502 (bad gateway)"},
	} {
		run(t, name, func(t *testing.T, r *rig, m *memoryNet) {
			r.fails(r.onNet(m, noSuchHost, with(m.listen(tt.serve), proxyPassword)), tt.want)
		})
	}
	run(t, "nobody listens", func(t *testing.T, r *rig, m *memoryNet) {
		r.fails(r.onNet(m, noSuchHost, with("127.0.0.1:1", proxyPassword)), "no connection to the proxy: connection refused")
	})
	run(t, "not for this machine", func(t *testing.T, r *rig, m *memoryNet) {
		var collector recorder
		r.succeeds(r.onNet(m, m.serve(nil, collector.ServeHTTP).URL, with("192.0.2.1:1", proxyPassword)))
		if collector.count() != 1 {
			t.Errorf("got %d requests", collector.count())
		}
	})
	// Names are for the proxy to look up. Here that would be a leak.
	run(t, "no lookup", func(t *testing.T, r *rig, m *memoryNet) {
		proxy := m.listen(new(connectProxy).serve)
		r.fails(r.onWire(noSuchHost, func(c *Config, n *network) {
			with(proxy, proxyPassword)(c)
			n.resolver = &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
				t.Error("a name was looked up")
				return nil, errors.New("no names here")
			}}
		}), "no connection to the proxy: ")
	})
	for _, scheme := range []string{"socks5", "socks5h"} {
		run(t, scheme, func(t *testing.T, r *rig, m *memoryNet) {
			var collector recorder
			server := m.serve(&cert, collector.ServeHTTP)
			address := m.listen(m.socks(server.Listener.Addr().String()))
			r.succeeds(r.onNet(m, noSuchHost, func(c *Config) {
				with(address, proxyPassword)(c)
				c.Proxy = strings.Replace(c.Proxy, "http", scheme, 1)
			}))
			if collector.count() != 1 {
				t.Errorf("got %d requests", collector.count())
			}
		})
	}
	for _, proxy := range []string{"http://" + proxyUser + ":" + proxyPassword + "@[", "ftp://" + proxyUser + ":x@proxy.example", "http://", "proxy", "http://%zz"} {
		run(t, proxy, func(t *testing.T, r *rig, m *memoryNet) {
			r.fails(r.onNet(m, noSuchHost, func(c *Config) { c.Proxy = proxy }), "Proxy: ")
		})
	}
	if _, err := proxyFor("https://proxy.example"); err != nil {
		t.Errorf("an https proxy: got %v", err)
	}
}
