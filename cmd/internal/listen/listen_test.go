package listen_test

import (
	"errors"
	"testing"

	"github.com/rollcall-dev/rollcall/cmd/internal/listen"
)

func TestTCP(t *testing.T) {
	first, err := listen.TCP(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	address := first.Addr().String()
	_, err = listen.TCP(t.Context(), address)
	if want := "listen on " + address + ": address already in use"; !errors.Is(err, listen.ErrAddress) || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	if _, err := listen.TCP(t.Context(), "nonsense"); !errors.Is(err, listen.ErrAddress) {
		t.Errorf("got %v for an address without a port, want ErrAddress", err)
	}
}

func TestHost(t *testing.T) {
	for address, want := range map[string]string{
		"127.0.0.1:8946": "127.0.0.1", "agent.internal:1": "agent.internal", "[::1]:0": "::1",
		":8946": "", "0.0.0.0:8946": "", "[::]:65535": "",
	} {
		if got, err := listen.Host(address); got != want || err != nil {
			t.Errorf("%s: got %q, %v, want %q", address, got, err, want)
		}
	}
	for _, address := range []string{"", "foo", "127.0.0.1", "127.0.0.1:http", "127.0.0.1:65536", "127.0.0.1:-1", "::1", "127.0.0.1:"} {
		if _, err := listen.Host(address); !errors.Is(err, listen.ErrAddress) {
			t.Errorf("%q: got %v, want ErrAddress", address, err)
		}
	}
}

func TestChoosesPort(t *testing.T) {
	for address, want := range map[string]bool{"127.0.0.1:0": true, "127.0.0.1:": true, "127.0.0.1:80": false} {
		if got := listen.ChoosesPort(address); got != want {
			t.Errorf("%s: got %v, want %v", address, got, want)
		}
	}
}
