package bench

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"

	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector/counter"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/daemon"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/simulate"
	"github.com/rollcall-dev/rollcall/cmd/internal/test/lab"
)

// The files of a TLS server in its directory.
const certFile, keyFile = "cert.pem", "key.pem"

// connectionCosts measures a server's processor time per report: over a new TLS
// connection, as nearly every report is, over a resumed session, and over a kept
// connection. The baseline is a server that only reads and answers. Each kind
// takes the given number of reports, rounds times.
func connectionCosts(t *testing.T, reports, rounds int) {
	if runtime.GOOS != "linux" {
		t.Skip("SKIPPED: the processor time of another process is read from /proc")
	}
	dir := t.TempDir()
	kinds := []struct {
		name string
		pair int // the kind of the other server that this one is compared with
		mode string
		send func(s *tlsSender, t *testing.T, from, n int)
	}{
		{"new", 3, encrypted, (*tlsSender).onNew},
		{"resumed", 4, encrypted, (*tlsSender).onResumed},
		{"kept", 5, encrypted, (*tlsSender).onKept},
		{"bare, new", 0, bare, (*tlsSender).onNew},
		{"bare, resumed", 1, bare, (*tlsSender).onResumed},
		{"bare, kept", 2, bare, (*tlsSender).onKept},
	}
	ours := reports * rounds * 3
	loadKnown(t, dir, ours)
	writeCertificate(t, dir)
	if err := os.WriteFile(filepath.Join(dir, "rollcall.key"), fmt.Appendf(nil, "%x", secret), 0o600); err != nil {
		t.Fatal(err)
	}
	servers := map[string]*child{encrypted: startChild(t, encrypted, dir), bare: startChild(t, bare, dir)}
	costs := make([][]float64, len(kinds)) // microseconds per report
	from := 0
	for range rounds {
		for i, kind := range kinds {
			server := servers[kind.mode]
			s := &tlsSender{address: strings.TrimPrefix(server.endpoint, "http://")}
			before := server.processorTime()
			kind.send(s, t, from, reports)
			costs[i] = append(costs[i], float64(server.processorTime()-before)/float64(time.Microsecond)/float64(reports))
			if kind.mode == encrypted {
				from += reports
			}
		}
	}
	for _, s := range servers {
		s.stop()
	}
	for i, kind := range kinds[:3] {
		own, baseline := median(costs[i]), median(costs[kind.pair])
		t.Logf("%s connection: %.0f µs of the server's processor time per report, a bare server %.0f µs, ratio %.2f; medians of %d times %d reports",
			kind.name, own, baseline, own/baseline, rounds, reports)
	}
}

// processorTime returns what the child has used so far.
func (c *child) processorTime() time.Duration {
	c.t.Helper()
	return lab.ProcessorTime(c.t, c.cmd.Process.Pid)
}

// A tlsSender sends heartbeats of installations from a number on, on several
// connections at a time.
type tlsSender struct{ address string }

func (s *tlsSender) parallel(t *testing.T, from, n int, each func(source simulate.Source) error) {
	t.Helper()
	var senders sync.WaitGroup
	for i := range connections {
		senders.Go(func() {
			body, next := newTemplate("1.0.0"), from+i-connections
			source := func([]byte) (string, []byte, bool) {
				if next += connections; next >= from+n {
					return "", nil, false
				}
				return simulate.HeartbeatPath, body.with(next), true
			}
			if err := each(source); err != nil {
				t.Error(err)
			}
		})
	}
	senders.Wait()
	if t.Failed() {
		t.FailNow()
	}
}

func (s *tlsSender) config() *tls.Config { return &tls.Config{InsecureSkipVerify: true} }

func (s *tlsSender) onNew(t *testing.T, from, n int) {
	s.parallel(t, from, n, func(source simulate.Source) error { return s.each(source, s.config()) })
}

func (s *tlsSender) onResumed(t *testing.T, from, n int) {
	s.parallel(t, from, n, func(source simulate.Source) error {
		config := s.config()
		config.ServerName, config.ClientSessionCache = "collector", tls.NewLRUClientSessionCache(1)
		return s.each(source, config)
	})
}

// each sends every report on a connection of its own.
func (s *tlsSender) each(source simulate.Source, config *tls.Config) error {
	for first := true; ; first = false {
		_, body, ok := source(nil)
		if !ok {
			return nil
		}
		conn, err := tls.Dial("tcp", s.address, config)
		if err != nil {
			return err
		}
		if err := exchange(conn, body); err != nil {
			return err
		}
		if want := config.ClientSessionCache != nil && !first; conn.ConnectionState().DidResume != want {
			return fmt.Errorf("a connection resumed its session: %v, want %v", !want, want)
		}
		conn.Close()
	}
}

func (s *tlsSender) onKept(t *testing.T, from, n int) {
	s.parallel(t, from, n, func(source simulate.Source) error {
		conn, err := tls.Dial("tcp", s.address, s.config())
		if err != nil {
			return err
		}
		defer conn.Close()
		for {
			_, body, ok := source(nil)
			if !ok {
				return nil
			}
			if err := exchange(conn, body); err != nil {
				return err
			}
		}
	})
}

// exchange sends one report. An answer fits into one record.
func exchange(conn net.Conn, body []byte) error {
	request := fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: collector\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", simulate.HeartbeatPath, len(body), body)
	if _, err := conn.Write(request); err != nil {
		return err
	}
	answer := make([]byte, 4096)
	n, err := conn.Read(answer)
	if err != nil {
		return err
	}
	if !strings.HasPrefix(string(answer[:n]), "HTTP/1.1 20") {
		return fmt.Errorf("got %q", answer[:n])
	}
	return nil
}

// serveEncrypted serves a data directory as a collector does.
func serveEncrypted(dir string) error {
	d, err := daemon.Open(context.Background(), daemon.Options{
		Dir: dir, Listen: "127.0.0.1:0", TLSCert: filepath.Join(dir, certFile), TLSKey: filepath.Join(dir, keyFile),
		Limits: counter.Limits{PerPrefix: -1, NewPerPrefix: -1, KnownPerPrefix: -1, PerInstallation: -1},
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return err
	}
	<-d.Collector().Warm()
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	fmt.Println(d.Addr())
	return d.Run(ctx)
}

// serveBare reads requests and answers them: the least that a server with TLS
// does.
func serveBare(dir string) error {
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, certFile), filepath.Join(dir, keyFile))
	if err != nil {
		return err
	}
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12})
	if err != nil {
		return err
	}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go answerAll(conn)
		}
	}()
	fmt.Println(l.Addr())
	_, _ = io.Copy(io.Discard, os.Stdin)
	return l.Close()
}

var bareAnswer = []byte("HTTP/1.1 " + strconv.Itoa(http.StatusAccepted) + " Accepted\r\nContent-Length: 0\r\n\r\n")

func answerAll(conn net.Conn) {
	defer conn.Close()
	buf := make([]byte, 4096)
	for {
		if _, err := conn.Read(buf); err != nil {
			return
		}
		if _, err := conn.Write(bareAnswer); err != nil {
			return
		}
	}
}

// writeCertificate writes a certificate with a P-256 key.
func writeCertificate(t *testing.T, dir string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	form := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"collector"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, form, form, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: der}, keyFile: {Type: "PRIVATE KEY", Bytes: pkcs8}} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
