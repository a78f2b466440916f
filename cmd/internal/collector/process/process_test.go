package process_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
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
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/access"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/process"
)

const loopback = "127.0.0.1:0"

// start runs a collector, and gives what ends it and waits for that.
func start(t *testing.T, opts process.Options) (p *process.Process, stop func() error) {
	t.Helper()
	p, err := process.Open(t.Context(), opts)
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

// A request in flight when the collector is told to end is finished, and what it acknowledged is there after the next
// start.
func TestStopWithRequestInFlight(t *testing.T) {
	dir := t.TempDir()
	arrived, goOn := make(chan struct{}), make(chan struct{})
	var counting atomic.Pointer[collector.Collector]
	p, stop := start(t, process.Options{Dir: dir, Listen: loopback, Wrap: func(next http.Handler) http.Handler {
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
	// New connections are refused from the moment at which the end begins.
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
		t.Fatalf("got status %d, want that the request in flight is finished", got)
	}
	client, err := process.Connect(t.Context(), dir, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := client.App(t.Context(), "late"); err != nil {
		t.Errorf("got %v, want the app that was acknowledged", err)
	}
}

// A request that does not end does not keep the collector from ending.
func TestStopIsBounded(t *testing.T) {
	arrived, never := make(chan struct{}), make(chan struct{})
	defer close(never)
	p, stop := start(t, process.Options{
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

// Of many first starts at once, one makes the secret and none has another.
func TestFirstStartsAtOnce(t *testing.T) {
	dir := t.TempDir()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			client, err := process.Connect(t.Context(), dir, true, nil)
			if err != nil {
				// A machine can be too slow for eight, one after the other, in the time that each waits.
				if !strings.Contains(err.Error(), "another collector") {
					t.Error(err)
				}
				return
			}
			client.Close()
		})
	}
	wg.Wait()
	client, err := process.Connect(t.Context(), dir, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	client.Close()
}

// Nobody without the word of the data folder gives instructions.
func TestControlNeedsTheWord(t *testing.T) {
	dir := t.TempDir()
	start(t, process.Options{Dir: dir, Listen: loopback})
	file := filepath.Join(dir, "rollcall.control")
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	if mode := info.Mode().Perm(); mode != 0o600 {
		t.Errorf("got mode %o of %s, want 600", mode, file)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), `"address":"`)
	address, _, _ := strings.Cut(rest, `"`)
	for _, header := range []string{"", "Bearer ", "Bearer wrong"} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+"/apps", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", header)
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != http.StatusForbidden {
			t.Errorf("with %q: got status %d, want 403", header, response.StatusCode)
		}
	}
}

// Instructions of a client give the same whether another process runs the collector or none.
func TestClient(t *testing.T) {
	for _, running := range []bool{true, false} {
		dir := t.TempDir()
		if running {
			start(t, process.Options{Dir: dir, Listen: loopback})
		}
		client, err := process.Connect(t.Context(), dir, true, nil)
		if err != nil {
			t.Fatal(err)
		}
		if client.Running != running {
			t.Errorf("got Running %t, want %t", client.Running, running)
		}
		ctx := t.Context()
		if _, err := client.AddApp(ctx, collector.App{Key: "myapp"}); err != nil {
			t.Error(err)
		}
		if _, err := client.AddApp(ctx, collector.App{Key: "myapp"}); !errors.Is(err, collector.ErrAppExists) {
			t.Errorf("adding an app twice: got %v, want ErrAppExists", err)
		}
		if err := client.UpdateApp(ctx, collector.App{Key: "other"}); !errors.Is(err, collector.ErrUnknownApp) {
			t.Errorf("changing an unknown app: got %v, want ErrUnknownApp", err)
		}
		if _, err := client.AddToken(ctx, process.NewToken{Name: "me", Scope: access.Read}); err != nil {
			t.Error(err)
		}
		if err := client.RevokeToken(ctx, "you"); !errors.Is(err, access.ErrNoToken) {
			t.Errorf("revoking an unknown token: got %v, want ErrNoToken", err)
		}
		if err := client.Check(ctx); err != nil {
			t.Error(err)
		}
		client.Close()
	}
}

// Certificate files are used, and wrong ones found before anything is made. TestWatched has how they are renewed.
func TestCertificateFiles(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	writeCertificate(t, cert, key, 1)
	p, _ := start(t, process.Options{Dir: filepath.Join(dir, "data"), Listen: loopback, TLSCert: cert, TLSKey: key})
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
	_, err := process.Open(t.Context(), process.Options{
		Dir: filepath.Join(dir, "other"), Listen: loopback, TLSCert: cert, TLSKey: cert,
	})
	if err == nil || !strings.Contains(err.Error(), "read certificate") {
		t.Errorf("with a key that is none: got %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "other")); err == nil {
		t.Error("a data folder was made although the certificate is wrong")
	}
}

// writeCertificate makes a certificate with a serial number.
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

// A backup that is cut short leaves nothing.
func TestBackupThatFails(t *testing.T) {
	dir := t.TempDir()
	client, err := process.Connect(t.Context(), filepath.Join(dir, "data"), true, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := client.Backup(ctx, filepath.Join(dir, "data"), filepath.Join(dir, "copy"), true); err == nil {
		t.Error("got no error of a backup that was cancelled")
	}
	if _, err := os.Stat(filepath.Join(dir, "copy")); err == nil {
		t.Error("a folder is left of it")
	}
}

// An import reads what an export wrote, and believes nothing that is cut short.
func TestImportOfHalfAnExport(t *testing.T) {
	client, err := process.Connect(t.Context(), t.TempDir(), true, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := client.AddApp(t.Context(), collector.App{Key: "myapp"}); err != nil {
		t.Fatal(err)
	}
	whole := `{"archive":"rollcall totals","version":1,"app":"myapp"}
{"kind":"total","day":"2026-05-04","data":{"active":[10,10,10,10],"new":10}}
{"kind":"release","name":"1.0.0","data":{}}
{"records":2}
`
	for n := range len(whole) - 1 {
		_, err := client.Import(t.Context(), "myapp", strings.NewReader(whole[:n]))
		if !errors.Is(err, collector.ErrArchive) {
			t.Fatalf("the first %d bytes: got %v, want ErrArchive", n, err)
		}
	}
	var before strings.Builder
	if err := client.Export(t.Context(), "myapp", &before); err != nil {
		t.Fatal(err)
	}
	done, err := client.Import(t.Context(), "myapp", io.NopCloser(strings.NewReader(whole)))
	if err != nil || done.Days != 1 {
		t.Errorf("got %+v, %v, want 1 day", done, err)
	}
}
