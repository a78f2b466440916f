package daemon_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/control"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/daemon"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/datadir"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/engine"
)

const loopback = "127.0.0.1:0"

// start runs a collector. Stop ends it and returns its error.
func start(t *testing.T, opts daemon.Options) (p *daemon.Daemon, stop func() error) {
	t.Helper()
	p, err := daemon.Open(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	stop = sync.OnceValue(func() error {
		cancel()
		return <-ended
	})
	t.Cleanup(func() { stop() })
	return p, stop
}

const heartbeat = `{"schema":1,"app":"myapp","installation_id":"11111111-1111-4111-8111-111111111111"}`

// The collector finishes a request in flight before it ends, and the next start
// knows what that request acknowledged.
func TestStopWithRequestInFlight(t *testing.T) {
	dir := t.TempDir()
	arrived, goOn := make(chan struct{}), make(chan struct{})
	var counting atomic.Pointer[engine.Engine]
	p, stop := start(t, daemon.Options{Dir: dir, Listen: loopback, StopTimeout: 2 * time.Minute, Wrap: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			close(arrived)
			<-goOn
			if _, err := counting.Load().AddApp(r.Context(), collector.App{Key: "late"}); err != nil {
				http.Error(w, err.Error(), http.StatusServiceUnavailable)
			}
		})
	}})
	counting.Store(p.Collector())
	status := make(chan int, 1)
	go func() {
		response, err := http.Post("http://"+p.Addr().String()+"/", "application/json", strings.NewReader(heartbeat))
		if err != nil {
			t.Error(err)
			status <- 0
			return
		}
		response.Body.Close()
		status <- response.StatusCode
	}()
	<-arrived
	ended := make(chan error, 1)
	go func() { ended <- stop() }()
	// The shutdown refuses new connections first.
	for {
		conn, err := net.Dial("tcp", p.Addr().String())
		if err != nil {
			break
		}
		conn.Close()
	}
	close(goOn)
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if got := <-status; got != http.StatusOK {
		t.Fatalf("got status %d, want the request in flight finished", got)
	}
	client, err := control.Connect(t.Context(), dir, datadir.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := client.App(t.Context(), "late"); err != nil {
		t.Errorf("got %v, want the acknowledged app", err)
	}
}

// A request that hangs does not keep the collector from ending.
func TestStopIsBounded(t *testing.T) {
	arrived, never := make(chan struct{}), make(chan struct{})
	defer close(never)
	p, stop := start(t, daemon.Options{
		Dir: t.TempDir(), Listen: loopback, StopTimeout: 100 * time.Millisecond,
		Wrap: func(http.Handler) http.Handler {
			return http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
				close(arrived)
				<-never
			})
		},
	})
	go http.Get("http://" + p.Addr().String() + "/")
	<-arrived
	begin := time.Now()
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begin); took > 20*time.Second { // a slow machine
		t.Errorf("took %v to end", took)
	}
}

// Open loads the certificate files, and creates nothing if they are invalid.
// TestReload covers their renewal.
func TestCertificateFiles(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	writeCertificate(t, cert, key, 1)
	p, _ := start(t, daemon.Options{Dir: filepath.Join(dir, "data"), Listen: loopback, TLSCert: cert, TLSKey: key})
	serial := func() int64 {
		conn, err := tls.Dial("tcp", p.Addr().String(), &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		return conn.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
	}
	if got := serial(); got != 1 {
		t.Errorf("got certificate %d, want 1", got)
	}
	_, err := daemon.Open(t.Context(), daemon.Options{
		Dir: filepath.Join(dir, "other"), Listen: loopback, TLSCert: cert, TLSKey: cert,
	})
	if err == nil || !strings.Contains(err.Error(), "read certificate") {
		t.Errorf("with a certificate as the key: got %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "other")); err == nil {
		t.Error("created a data directory although the key is invalid")
	}
}

// writeCertificate writes a new certificate with a serial number.
func writeCertificate(t *testing.T, cert, key string, serial int64) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	form := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "collector.example"},
		DNSNames: []string{"collector.example"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, form, form, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	privateDER, err := x509.MarshalECPrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{
		cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "EC PRIVATE KEY", Bytes: privateDER},
	} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
