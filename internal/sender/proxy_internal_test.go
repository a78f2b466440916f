//go:build !rollcall_nosend

package sender

import (
	"net/url"
	"testing"
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
