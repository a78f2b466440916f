package guard_test

import (
	"net/http/httptest"
	"testing"

	"github.com/rollcall-dev/rollcall/internal/guard"
)

func TestHosts(t *testing.T) {
	named := guard.Hosts{}
	named.Add("NAS.lan", "192.168.1.5", "[fe80::1]", "agent.internal.")
	tests := []struct {
		name    string
		hosts   guard.Hosts
		allowed []string
		refused []string
	}{
		{
			name: "zero",
			allowed: []string{
				"localhost", "LocalHost", "localhost.:8946", "127.0.0.1:8946", "127.0.0.1", "127.0.0.1:1", "127.8.9.10:8946",
				"[::1]:8946", "[::1]", "[::ffff:127.0.0.1]:8946",
			},
			refused: []string{
				"", "evil.example", "evil.example:8946", "127.0.0.1.evil.example", "localhost.evil.example", "evil.localhost",
				"192.168.1.5:8946", "[2001:db8::1]:8946", "0.0.0.0:8946", "127.1:8946", "2130706433", "127.0.0.1@evil.example",
				"[::1]evil.example",
			},
		},
		{
			name:    "named",
			hosts:   named,
			allowed: []string{"nas.lan:8946", "NAS.LAN", "192.168.1.5:8946", "[FE80::1]:80", "agent.internal", "[::ffff:192.168.1.5]", "localhost"},
			refused: []string{"", "nas.lan.evil.example", "lan", "192.168.1.6", "[fe80::2]"},
		},
		{
			name:    "any IP",
			hosts:   guard.Hosts{AnyIP: true},
			allowed: []string{"192.168.1.5:8946", "10.0.0.1", "[2001:db8::1]:8946", "localhost:8946"},
			refused: []string{"", "evil.example:8946", "rollcall"},
		},
		{
			name:    "any",
			hosts:   guard.Hosts{Any: true},
			allowed: []string{"", "evil.example", "192.168.1.5:80"},
		},
	}
	for _, tt := range tests {
		for _, host := range tt.allowed {
			if !tt.hosts.Allow(host) {
				t.Errorf("%s: Host %q is refused", tt.name, host)
			}
		}
		for _, host := range tt.refused {
			if tt.hosts.Allow(host) {
				t.Errorf("%s: Host %q is allowed", tt.name, host)
			}
		}
	}
}

func TestCrossSite(t *testing.T) {
	for value, want := range map[string]bool{
		"cross-site": true, "same-site": true, "same-origin": false, "none": false, "": false,
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Sec-Fetch-Site", value)
		if got := guard.CrossSite(r); got != want {
			t.Errorf("Sec-Fetch-Site %q: got %v, want %v", value, got, want)
		}
	}
}
