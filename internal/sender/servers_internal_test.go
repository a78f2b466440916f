//go:build !rollcall_nosend

package sender

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// listen serves each connection with serve, which may do what it likes: connections are closed at the end of the test.
func listen(t *testing.T, serve func(net.Conn)) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	var mu sync.Mutex
	var conns []net.Conn
	serving.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			conns = append(conns, conn)
			mu.Unlock()
			serving.Go(func() {
				defer conn.Close()
				serve(conn)
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		mu.Lock()
		for _, conn := range conns {
			conn.Close()
		}
		mu.Unlock()
		serving.Wait()
	})
	return l.Addr().String()
}

// silent reads all and says nothing.
func silent(conn net.Conn) { io.Copy(io.Discard, conn) }

// says reads the request and answers with a text, as it is, and then with more of it for ever: every pause a piece.
func says(text string, pause time.Duration, more string) func(net.Conn) {
	return func(conn net.Conn) {
		readRequest(conn)
		conn.Write([]byte(text))
		for more != "" {
			if _, err := io.WriteString(conn, more); err != nil {
				return
			}
			time.Sleep(pause)
		}
		silent(conn)
	}
}

// readRequest reads the first bytes of what comes.
func readRequest(conn net.Conn) { conn.Read(make([]byte, 4<<10)) }

// An authority signs certificates.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	file string // its certificate in PEM form
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t, file: filepath.Join(t.TempDir(), "ca.pem")}
	a.cert, a.key = certificate(t, &x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}, nil)
	data := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})
	if err := os.WriteFile(a.file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return a
}

// fault gives a certificate for 127.0.0.1 and names, unless change says otherwise.
func (a *authority) fault(change func(*x509.Certificate)) tls.Certificate {
	template := &x509.Certificate{DNSNames: []string{"localhost", testHost}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	if change != nil {
		change(template)
	}
	cert, key := certificate(a.t, template, a)
	return tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key}
}

// certificate makes one, signed by itself when by is nil.
func certificate(t *testing.T, template *x509.Certificate, by *authority) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	template.Subject = pkix.Name{CommonName: "rollcall test"}
	if template.NotBefore.IsZero() {
		template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	}
	parent, signer := template, key
	if by != nil {
		parent, signer = by.cert, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert, key
}

// serve runs an HTTP server, with TLS if there is a certificate, and with HTTP/2.
func serve(t *testing.T, cert *tls.Certificate, handler http.HandlerFunc) *httptest.Server {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	server.Config.ErrorLog = discardLog()
	if cert == nil {
		server.Start()
	} else {
		server.EnableHTTP2 = true
		server.TLS = &tls.Config{Certificates: []tls.Certificate{*cert}}
		server.StartTLS()
	}
	t.Cleanup(server.Close)
	return server
}

// A recorder is a collector that accepts all.
type recorder struct {
	mu       sync.Mutex
	requests []*http.Request
	bodies   []string
}

func (r *recorder) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, _ := io.ReadAll(req.Body)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.requests = append(r.requests, req)
	r.bodies = append(r.bodies, string(body))
	w.WriteHeader(http.StatusAccepted)
}

func (r *recorder) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.requests)
}

const (
	// testHost is a name that only a proxy knows.
	testHost = "collector.invalid"
	// proxyUser and proxyPassword are what the test's proxies want, and what is never to be seen elsewhere.
	proxyUser     = "operator"
	proxyPassword = "hunter2 & Co"
)

// A connectProxy is an HTTP proxy that wants a password and leads everything to one address.
type connectProxy struct {
	to      string
	asked   atomic.Int32
	through atomic.Int32
	target  atomic.Value // as asked for
}

func (p *connectProxy) serve(conn net.Conn) {
	buf := make([]byte, 0, 4096)
	for !bytes.Contains(buf, []byte("\r\n\r\n")) {
		n, err := conn.Read(buf[len(buf):cap(buf)])
		if err != nil || n == 0 {
			return
		}
		buf = buf[:len(buf)+n]
	}
	p.asked.Add(1)
	req, err := http.ReadRequest(newReader(buf))
	if err != nil || req.Method != http.MethodConnect {
		io.WriteString(conn, "HTTP/1.1 400 What?\r\n\r\n")
		return
	}
	p.target.Store(req.Host)
	given := req.Header.Get("Proxy-Authorization")
	req.Header.Set("Authorization", given)
	if user, password, _ := req.BasicAuth(); user != proxyUser || password != proxyPassword {
		// As badly as a proxy can.
		fmt.Fprintf(conn, "HTTP/1.1 407 %s:%s %s is wrong\r\nProxy-Authenticate: Basic realm=x\r\n\r\n", user, password, given)
		return
	}
	p.through.Add(1)
	onward, err := net.Dial("tcp", p.to)
	if err != nil {
		return
	}
	defer onward.Close()
	io.WriteString(conn, "HTTP/1.1 200 OK\r\n\r\n")
	go func() {
		io.Copy(onward, conn)
		onward.Close()
	}()
	io.Copy(conn, onward)
}

// A relay leads to a server and counts what the client says.
type relay struct {
	to   string
	said atomic.Int64
}

func (r *relay) serve(conn net.Conn) {
	onward, err := net.Dial("tcp", r.to)
	if err != nil {
		return
	}
	defer onward.Close()
	go func() {
		io.Copy(conn, onward)
		conn.Close()
	}()
	buf := make([]byte, 4096)
	for {
		n, err := conn.Read(buf)
		r.said.Add(int64(n))
		if err != nil {
			return
		}
		onward.Write(buf[:n])
	}
}

// deafDNS is a resolver whose server never answers; it counts the questions.
func deafDNS(t *testing.T) (*net.Resolver, *atomic.Int32) {
	t.Helper()
	server, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	asked := new(atomic.Int32)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for buf := make([]byte, 4096); ; asked.Add(1) {
			if _, _, err := server.ReadFrom(buf); err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() {
		server.Close()
		<-done
	})
	return &net.Resolver{
		PreferGo: true,
		Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "udp", server.LocalAddr().String())
		},
	}, asked
}

// secrets are the forms of the password, and of what carries it.
func checkNoSecret(t *testing.T, where, text string) {
	t.Helper()
	for _, secret := range []string{proxyUser, proxyPassword, "hunter2", "Basic ", "b3BlcmF0b3I6"} {
		if strings.Contains(text, secret) {
			t.Errorf("%s contains %q: %s", where, secret, text)
		}
	}
}
