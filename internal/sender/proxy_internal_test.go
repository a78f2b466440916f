//go:build !rollcall_nosend

package sender

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"
)

// A proxy that is reached over TLS, whose name its certificate must have.
func TestProxyOverTLS(t *testing.T) {
	t.Parallel()
	ca, other := newAuthority(t), newAuthority(t)
	cert := ca.issue(nil)
	for _, tt := range []struct {
		name string
		by   *authority
		want string
	}{
		{"trusted", ca, ""},
		{"not trusted", other, "no connection to the proxy: its certificate is not trusted"},
	} {
		run(t, tt.name, func(t *testing.T, r *rig, m *memoryNet) {
			var collector recorder
			server := m.serve(&cert, collector.ServeHTTP)
			proxy := &connectProxy{lead: m.lead, to: server.Listener.Addr().String()}
			address := m.listen(overTLS(tt.by.issue(nil), proxy.serve))
			u := url.URL{Scheme: "https", Host: address, User: url.UserPassword(proxyUser, proxyPassword)}
			s := r.onNet(m, "https://"+testHost, func(c *Config) { c.Proxy, c.CAFile = u.String(), ca.file })
			if tt.want != "" {
				r.fails(s, tt.want)
				return
			}
			r.succeeds(s)
			if collector.count() != 1 || proxy.target.Load() != testHost+":443" {
				t.Errorf("got %d requests to %v", collector.count(), proxy.target.Load())
			}
		})
	}
}

// The collector's certificate is checked through a proxy too.
func TestCertificateThroughProxy(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	cert := newAuthority(t).issue(nil)
	onNet(t, func(t *testing.T, r *rig, m *memoryNet) {
		var collector recorder
		server := m.serve(&cert, collector.ServeHTTP)
		proxy := &connectProxy{lead: m.lead, to: server.Listener.Addr().String()}
		u := url.URL{Scheme: "http", Host: m.listen(proxy.serve), User: url.UserPassword(proxyUser, proxyPassword)}
		r.fails(r.onNet(m, "https://"+testHost, func(c *Config) { c.Proxy, c.CAFile = u.String(), ca.file }), "the collector's certificate is not trusted")
		if collector.count() != 0 {
			t.Error("the report was sent")
		}
	})
}

// A script plays the other end of a connection: it reads what it wants, in
// hexadecimal, and writes what follows ">".
func script(t *testing.T, steps ...string) func(net.Conn) {
	return func(conn net.Conn) {
		for _, step := range steps {
			text, answer := strings.CutPrefix(step, ">")
			data := unhex(t, text)
			if answer {
				conn.Write(data)
				continue
			}
			got := make([]byte, len(data))
			if _, err := io.ReadFull(conn, got); err != nil || !bytes.Equal(got, data) {
				t.Errorf("got %x, %v, want %x", got, err, data)
				return
			}
		}
		silent(conn)
	}
}

func unhex(t *testing.T, text string) []byte {
	var data []byte
	if _, err := fmt.Sscanf(strings.ReplaceAll(text, " ", ""), "%x", &data); err != nil && text != "" {
		t.Errorf("%q: %v", text, err)
	}
	return data
}

// The bytes are those of RFC 1928 and 1929.
func TestSOCKS(t *testing.T) {
	t.Parallel()
	const ok4, okName, ok6 = ">05000001 01020304 0050", ">05000003 03 616263 0050", ">05000004 00000000000000000000000000000001 0050"
	long := strings.Repeat("x", 256)
	for _, tt := range []struct {
		name, address  string
		user, password string
		steps          []string
		want           string
	}{
		{"name", "abc:443", "", "", []string{"050100", ">0500", "05010003 03 616263 01bb", ok4}, ""},
		{"IPv4", "192.0.2.7:80", "", "", []string{"050100", ">0500", "05010001 c0000207 0050", okName}, ""},
		{"IPv6", "[2001:db8::1]:443", "", "", []string{"050100", ">0500", "05010004 20010db8000000000000000000000001 01bb", ok6}, ""},
		{"password", "abc:443", "me", "pw", []string{"05020002", ">0502", "01 02 6d65 02 7077", ">0100", "05010003 03 616263 01bb", ok4}, ""},
		{"no password wanted", "abc:443", "me", "pw", []string{"05020002", ">0500", "05010003 03 616263 01bb", ok4}, ""},
		{"wrong password", "abc:443", "me", "pw", []string{"05020002", ">0502", "01 02 6d65 02 7077", ">0101"}, "refuses"},
		{"another version of passwords", "abc:443", "me", "pw", []string{"05020002", ">0502", "01 02 6d65 02 7077", ">0500"}, "refuses"},
		{"password wanted", "abc:443", "", "", []string{"050100", ">0502"}, "refuses"},
		{"no method", "abc:443", "me", "pw", []string{"05020002", ">05ff"}, "refuses"},
		{"another version", "abc:443", "", "", []string{"050100", ">0400"}, "refuses"},
		{"not allowed", "abc:443", "", "", []string{"050100", ">0500", "05010003 03 616263 01bb", ">05020001 00000000 0000"}, "refuses"},
		{"another version later", "abc:443", "", "", []string{"050100", ">0500", "05010003 03 616263 01bb", ">04000001 00000000 0000"}, "refuses"},
		{"unknown address", "abc:443", "", "", []string{"050100", ">0500", "05010003 03 616263 01bb", ">05000002 00000000 0000"}, "refuses"},
		{"long name", long + ":443", "", "", []string{"050100", ">0500"}, "refuses"},
		{"long user", "abc:443", long, "", []string{"05020002", ">0502"}, "refuses"},
		{"long password", "abc:443", "me", long, []string{"05020002", ">0502"}, "refuses"},
		{"hangs up", "abc:443", "", "", nil, "EOF"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			near, far := net.Pipe()
			far.SetDeadline(time.Now().Add(patience))
			near.SetDeadline(time.Now().Add(patience))
			done := make(chan struct{})
			go func() {
				defer close(done)
				defer far.Close()
				if tt.steps == nil {
					readRequest(far)
					return
				}
				script(t, append(tt.steps, ">21")...)(far)
			}()
			var user *url.Userinfo
			if tt.user != "" {
				user = url.UserPassword(tt.user, tt.password)
			}
			err := askSOCKS(near, user, tt.address)
			switch {
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("got %v, want %q", err, tt.want)
			case tt.want == "" && err != nil:
				t.Error(err)
			case tt.want == "":
				// What follows the answer belongs to the target.
				next := make([]byte, 1)
				if _, err := io.ReadFull(near, next); err != nil || next[0] != 0x21 {
					t.Errorf("got %x, %v after the answer", next, err)
				}
			}
			near.Close()
			<-done
		})
	}
}
