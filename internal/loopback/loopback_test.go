package loopback_test

import (
	"net"
	"testing"

	"github.com/rollcall-dev/rollcall/internal/loopback"
)

func TestIsHost(t *testing.T) {
	for host, want := range map[string]bool{
		"localhost": true, "LocalHost": true, "localhost.": true,
		"127.0.0.1": true, "127.8.9.10": true, "::1": true, "[::1]": true, "::ffff:127.0.0.1": true,
		"": false, "evil.example": false, "localhost.evil.example": false, "evil.localhost": false, "localhost..": false,
		"127.0.0.1.evil.example": false, "127.1": false, "2130706433": false, "0x7f.0.0.1": false, "127.0.0.01": false,
		"0.0.0.0": false, "::": false, "192.168.1.5": false, "2001:db8::1": false, "::ffff:192.168.1.5": false,
		"127.0.0.1:80": false, "[::1]evil.example": false, "127.0.0.1@evil.example": false, "localhost ": false,
	} {
		if got := loopback.IsHost(host); got != want {
			t.Errorf("IsHost(%q): got %v, want %v", host, got, want)
		}
	}
}

func TestCanonical(t *testing.T) {
	for host, want := range map[string]string{
		"": "", "NAS.lan": "nas.lan", "nas.lan.": "nas.lan", "[FE80::1]": "fe80::1", "2001:DB8:0::1": "2001:db8::1",
		"::ffff:192.168.1.5": "192.168.1.5", "192.168.1.5": "192.168.1.5", "[": "",
	} {
		if got := loopback.Canonical(host); got != want {
			t.Errorf("Canonical(%q): got %q, want %q", host, got, want)
		}
	}
}

func TestIsAddr(t *testing.T) {
	for _, tt := range []struct {
		addr net.Addr
		want bool
	}{
		{&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}, true},
		{&net.TCPAddr{IP: net.IPv6loopback}, true},
		{&net.TCPAddr{IP: net.IPv4zero}, false},
		{&net.TCPAddr{IP: net.IPv4(192, 168, 1, 5)}, false},
		{&net.TCPAddr{}, false},
		{&net.UnixAddr{Name: "/run/rollcall.sock"}, false},
		{nil, false},
	} {
		if got := loopback.IsAddr(tt.addr); got != tt.want {
			t.Errorf("IsAddr(%v): got %v, want %v", tt.addr, got, tt.want)
		}
	}
}
