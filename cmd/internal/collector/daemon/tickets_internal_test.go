package daemon

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"math/big"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector/secret"
)

// A client resumes its session at every process with the same secret, for as
// long as tickets last, and with TLS 1.3 only.
func TestTickets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		form := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now(), NotAfter: time.Now().Add(999 * time.Hour)}
		der, err := x509.CreateCertificate(rand.Reader, form, form, private.Public(), private)
		if err != nil {
			t.Fatal(err)
		}
		base := tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: private}}, MinVersion: tls.VersionTLS12}
		server := func(letter string) *tls.Config {
			config, tickets := withTickets(base.Clone())
			if letter != "" {
				s, err := secret.New(bytes.Repeat([]byte(letter), 32))
				if err != nil {
					t.Fatal(err)
				}
				tickets.secret.Store(s)
			}
			return config
		}
		client := func(version uint16) *tls.Config {
			return &tls.Config{
				InsecureSkipVerify: true, ServerName: "a", MaxVersion: version, NextProtos: []string{"h2"},
				ClientSessionCache: tls.NewLRUClientSessionCache(1),
			}
		}
		first, same, other := server("s"), server("s"), server("t")

		c := client(tls.VersionTLS13)
		for _, step := range []struct {
			what   string
			server *tls.Config
			wait   time.Duration
			want   bool
		}{
			{"the first connection", first, 0, false},
			{"the next one", first, time.Second, true},
			{"at another process", same, time.Second, true},
			{"at a process that began before midnight", first, 24 * time.Hour, true},
			{"two days later", same, 48 * time.Hour, true},
			{"three days later", same, 72 * time.Hour, false},
			{"with another secret", other, time.Second, false},
			{"before the secret is known", server(""), time.Second, false},
		} {
			time.Sleep(step.wait)
			if got := resumed(t, step.server, c); got != step.want {
				t.Errorf("%s: resumed %v, want %v", step.what, got, step.want)
			}
		}

		c = client(tls.VersionTLS12)
		resumed(t, first, c)
		if resumed(t, first, c) {
			t.Error("a session of TLS 1.2 is resumed")
		}
	})
}

// resumed connects, exchanges a byte, so that the ticket arrives, and reports
// whether the session was resumed.
func resumed(t *testing.T, server, client *tls.Config) bool {
	t.Helper()
	ours, theirs := net.Pipe()
	out := make(chan []byte, 100)
	go func() {
		for p := range out {
			ours.Write(p)
		}
		ours.Close()
	}()
	go func() {
		conn := tls.Server(buffered{ours, out}, server)
		if _, err := conn.Write([]byte{1}); err != nil {
			t.Errorf("server: %v", err)
		}
		conn.Close()
	}()
	conn := tls.Client(theirs, client)
	defer conn.Close()
	if _, err := io.ReadFull(conn, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	state := conn.ConnectionState()
	if state.NegotiatedProtocol != "h2" {
		t.Errorf("got protocol %q, want h2", state.NegotiatedProtocol)
	}
	return state.DidResume
}

// A buffered connection does not wait for the other side to read.
type buffered struct {
	net.Conn
	out chan<- []byte
}

func (b buffered) Write(p []byte) (int, error) {
	b.out <- bytes.Clone(p)
	return len(p), nil
}

// SetWriteDeadline does nothing: closing ends only writes that came later.
func (buffered) SetWriteDeadline(time.Time) error { return nil }

func (b buffered) Close() error {
	close(b.out)
	return nil
}
