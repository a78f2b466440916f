package daemon_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/acme"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector/daemon"
)

// The configured authority issues a certificate after it has found the proof at
// the collector's address (RFC 8737). The data directory keeps the certificate,
// so that the next start needs no authority.
func TestACME(t *testing.T) {
	ca := newAuthority(t)
	dir := filepath.Join(t.TempDir(), "data")
	opts := daemon.Options{Dir: dir, Listen: loopback, ACMEDomains: []string{"collector.example"}, ACMEDirectory: ca.URL + "/directory"}
	handshake := func(p *daemon.Daemon, name string) error {
		conn, err := tls.Dial("tcp", p.Addr().String(), &tls.Config{ServerName: name, RootCAs: ca.pool})
		if err == nil {
			conn.Close()
		}
		return err
	}
	p, stop := start(t, opts)
	ca.prove(p.Addr().String())
	err := handshake(p, "collector.example")
	// A handshake may take five seconds. On a slow machine, the certificate takes longer.
	for deadline := time.Now().Add(time.Minute); err != nil && time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		err = handshake(p, "collector.example")
	}
	if err != nil {
		t.Fatal(err)
	}
	if issued := ca.issuedNames(); !slices.Equal(issued, []string{"collector.example"}) {
		t.Errorf("issued %v", issued)
	}
	if err := handshake(p, "other.example"); err == nil {
		t.Error("got a certificate for a name that is not configured")
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	ca.Close()
	p, _ = start(t, opts)
	if err := handshake(p, "collector.example"); err != nil {
		t.Errorf("after a restart, without the authority: %v", err)
	}
	err = filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err == nil && entry.Type().IsRegular() && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s may hold keys and has mode %v", path, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// An authority implements as much of ACME (RFC 8555) as one order needs. It does
// not check signatures.
type authority struct {
	*httptest.Server
	t    *testing.T
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
	pool *x509.CertPool

	mu     sync.Mutex
	proof  string // where to look for the proof
	name   string // in the order
	proved bool
	issued []string
	chain  []byte
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	form := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, form, form, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	a := &authority{t: t, key: key, pool: x509.NewCertPool()}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	a.pool.AddCert(a.cert)
	a.Server = httptest.NewServer(a)
	t.Cleanup(a.Close)
	return a
}

func (a *authority) prove(address string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.proof = address
}

func (a *authority) issuedNames() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.issued
}

func (a *authority) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	w.Header().Set("Replay-Nonce", rand.Text())
	payload := payloadOf(r)
	answer := func(status int, location string, value map[string]any) {
		if location != "" {
			w.Header().Set("Location", a.URL+location)
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		json.NewEncoder(w).Encode(value)
	}
	switch r.URL.Path {
	case "/directory":
		answer(http.StatusOK, "", map[string]any{"newNonce": a.URL + "/nonce", "newAccount": a.URL + "/account", "newOrder": a.URL + "/order"})
	case "/nonce":
	case "/account":
		answer(http.StatusCreated, "/account/1", map[string]any{"status": "valid"})
	case "/order":
		var order struct{ Identifiers []struct{ Value string } }
		if json.Unmarshal(payload, &order); len(order.Identifiers) == 1 {
			a.name = order.Identifiers[0].Value
		}
		answer(http.StatusCreated, "/order/1", a.order())
	case "/order/1":
		answer(http.StatusOK, "/order/1", a.order())
	case "/authz/1":
		answer(http.StatusOK, "", map[string]any{
			"status": a.status("valid"), "identifier": map[string]any{"type": "dns", "value": a.name}, "challenges": []any{a.challenge()},
		})
	case "/challenge/1":
		a.validate()
		answer(http.StatusOK, "", a.challenge())
	case "/finalize/1":
		a.issue(payload)
		answer(http.StatusOK, "/order/1", a.order())
	case "/cert/1":
		w.Header().Set("Content-Type", "application/pem-certificate-chain")
		w.Write(a.chain)
	default:
		http.NotFound(w, r)
	}
}

// payloadOf returns the payload of a signed request.
func payloadOf(r *http.Request) []byte {
	var signed struct{ Payload string }
	if json.NewDecoder(r.Body).Decode(&signed) != nil {
		return nil
	}
	payload, _ := base64.RawURLEncoding.DecodeString(signed.Payload)
	return payload
}

func (a *authority) status(done string) string {
	if a.proved {
		return done
	}
	return "pending"
}

func (a *authority) order() map[string]any {
	order := map[string]any{
		"status": a.status("ready"), "identifiers": []any{map[string]any{"type": "dns", "value": a.name}},
		"authorizations": []any{a.URL + "/authz/1"}, "finalize": a.URL + "/finalize/1",
	}
	if a.chain != nil {
		order["status"], order["certificate"] = "valid", a.URL+"/cert/1"
	}
	return order
}

func (a *authority) challenge() map[string]any {
	return map[string]any{"type": "tls-alpn-01", "status": a.status("valid"), "url": a.URL + "/challenge/1", "token": "token"}
}

// validate looks for the proof at the collector: a certificate for the name
// with the extension of RFC 8737.
func (a *authority) validate() {
	conn, err := tls.Dial("tcp", a.proof, &tls.Config{ServerName: a.name, NextProtos: []string{acme.ALPNProto}, InsecureSkipVerify: true})
	if err != nil {
		a.t.Error(err)
		return
	}
	defer conn.Close()
	state := conn.ConnectionState()
	cert := state.PeerCertificates[0]
	identifier := asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 31}
	a.proved = state.NegotiatedProtocol == acme.ALPNProto && cert.VerifyHostname(a.name) == nil &&
		slices.ContainsFunc(cert.Extensions, func(e pkix.Extension) bool { return e.Id.Equal(identifier) && e.Critical })
	if !a.proved {
		a.t.Errorf("no proof in %+v", cert)
	}
}

// issue issues the certificate that was requested.
func (a *authority) issue(payload []byte) {
	var request struct{ CSR string }
	json.Unmarshal(payload, &request)
	der, _ := base64.RawURLEncoding.DecodeString(request.CSR)
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil || !a.proved || !slices.Equal(csr.DNSNames, []string{a.name}) {
		a.t.Errorf("request for a certificate with %v, proved: %v, %v", csr, a.proved, err)
		return
	}
	form := &x509.Certificate{
		SerialNumber: big.NewInt(2), DNSNames: csr.DNSNames, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(90 * 24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	leaf, err := x509.CreateCertificate(rand.Reader, form, a.cert, csr.PublicKey, a.key)
	if err != nil {
		a.t.Error(err)
		return
	}
	var chain bytes.Buffer
	for _, der := range [][]byte{leaf, a.cert.Raw} {
		if err := pem.Encode(&chain, &pem.Block{Type: "CERTIFICATE", Bytes: der}); err != nil {
			a.t.Error(err)
		}
	}
	a.chain, a.issued = chain.Bytes(), append(a.issued, csr.DNSNames[0])
}
