//go:build !rollcall_nosend

package sender

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"encoding/pem"
	"fmt"
	"io"
	"log"
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
)

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

// issue returns a certificate for 127.0.0.1 and names, unless change says
// otherwise.
func (a *authority) issue(change func(*x509.Certificate)) tls.Certificate {
	template := &x509.Certificate{DNSNames: []string{"localhost", testHost}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	if change != nil {
		change(template)
	}
	cert, key := certificate(a.t, template, a)
	return tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key}
}

// certificate makes one, signed by itself if by is nil.
func certificate(t *testing.T, template *x509.Certificate, by *authority) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber = new(big.Int).SetBytes([]byte(rand.Text()))
	template.Subject = pkix.Name{CommonName: "rollcall test"}
	if template.NotBefore.IsZero() { // valid in bubbles and outside
		template.NotBefore, template.NotAfter = midnight.AddDate(-10, 0, 0), midnight.AddDate(10, 0, 0)
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

// serve runs an HTTP server; over TLS if there is a certificate.
func (m *memoryNet) serve(cert *tls.Certificate, handler http.HandlerFunc) *httptest.Server {
	m.t.Helper()
	l := &listener{conns: make(chan net.Conn), closed: make(chan struct{})}
	l.address = m.listen(l.serve)
	return start(m.t, l, cert, handler)
}

func start(t *testing.T, l net.Listener, cert *tls.Certificate, handler http.HandlerFunc) *httptest.Server {
	t.Helper()
	server := &httptest.Server{
		Listener: l,
		Config:   &http.Server{Handler: handler, ErrorLog: log.New(io.Discard, "", 0)},
	}
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

// A listener hands connections of a memoryNet to an HTTP server.
type listener struct {
	address string
	conns   chan net.Conn
	closed  chan struct{}
	once    sync.Once
}

func (l *listener) serve(conn net.Conn) {
	done := make(chan struct{})
	select {
	case l.conns <- &servedConn{conn, sync.OnceFunc(func() { close(done) })}:
	case <-l.closed:
		return
	}
	<-done
}

type servedConn struct {
	net.Conn
	done func()
}

func (c *servedConn) Close() error {
	c.done()
	return c.Conn.Close()
}

func (l *listener) Accept() (net.Conn, error) {
	select {
	case conn := <-l.conns:
		return conn, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *listener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *listener) Addr() net.Addr { return address(l.address) }

type address string

func (address) Network() string  { return "tcp" }
func (a address) String() string { return string(a) }

// A recorder is a collector that accepts everything.
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
	// proxyUser and proxyPassword are what the test's proxies want. They
	// must be seen nowhere else.
	proxyUser     = "operator"
	proxyPassword = "hunter2 & Co"
)

// A connectProxy is an HTTP proxy that wants a password. It leads everything
// to one address.
type connectProxy struct {
	lead    func(conn net.Conn, in io.Reader, to string)
	to      string
	asked   atomic.Int32
	through atomic.Int32
	target  atomic.Value // as asked for
}

func (p *connectProxy) serve(conn net.Conn) {
	in := bufio.NewReader(conn)
	req, err := http.ReadRequest(in)
	if err != nil {
		return
	}
	p.asked.Add(1)
	if req.Method != http.MethodConnect {
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
	io.WriteString(conn, "HTTP/1.1 200 OK\r\n\r\n")
	p.lead(conn, in, p.to)
}

// socks is a SOCKS 5 proxy (RFC 1928, 1929) that leads everything to one
// address.
func (m *memoryNet) socks(to string) func(net.Conn) {
	return func(conn net.Conn) {
		in := bufio.NewReader(conn)
		next := func() []byte { // a length and as many bytes
			n, _ := in.ReadByte()
			data := make([]byte, n)
			io.ReadFull(in, data)
			return data
		}
		in.ReadByte()
		if !bytes.Contains(next(), []byte{2}) {
			return
		}
		conn.Write([]byte{5, 2})
		in.ReadByte()
		if user, password := next(), next(); string(user) != proxyUser || string(password) != proxyPassword {
			conn.Write([]byte{1, 1})
			return
		}
		conn.Write([]byte{1, 0})
		in.Discard(4)
		next()
		binary.Read(in, binary.BigEndian, new(uint16))
		conn.Write([]byte{5, 0, 0, 1, 0, 0, 0, 0, 0, 0})
		m.lead(conn, in, to)
	}
}

// checkNoSecret checks that a text contains neither the password of the
// proxy nor what carries it.
func checkNoSecret(t *testing.T, where, text string) {
	t.Helper()
	for _, secret := range []string{proxyUser, proxyPassword, "hunter2", "Basic ", "b3BlcmF0b3I6"} {
		if strings.Contains(text, secret) {
			t.Errorf("%s contains %q: %s", where, secret, text)
		}
	}
}
