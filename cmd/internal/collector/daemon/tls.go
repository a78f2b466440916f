package daemon

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"

	"golang.org/x/crypto/acme"
	"golang.org/x/crypto/acme/autocert"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector/datadir"
)

type encryption struct {
	// config is nil without TLS.
	config *tls.Config
	// plain handles requests at the address without TLS.
	plain http.Handler
}

func newEncryption(o *Options) (encryption, error) {
	switch {
	case (o.TLSCert == "") != (o.TLSKey == ""):
		return encryption{}, errors.New("a certificate needs its key, and a key its certificate")
	case o.TLSCert != "" && len(o.ACMEDomains) > 0:
		return encryption{}, errors.New("certificates come either from files or from a certificate authority")
	case o.TLSCert != "":
		return encryptionFromFiles(o.TLSCert, o.TLSKey, o.Logger)
	case len(o.ACMEDomains) > 0:
		return encryptionFromAuthority(o), nil
	case o.PlainListen != "":
		return encryption{}, errors.New("a second address without TLS requires TLS at the first")
	}
	return encryption{}, nil
}

func encryptionFromFiles(cert, key string, log *slog.Logger) (encryption, error) {
	load := func() (*tls.Certificate, error) {
		pair, err := tls.LoadX509KeyPair(cert, key)
		return &pair, err
	}
	pair, err := newReloaded(log, load, cert, key)
	if err != nil {
		return encryption{}, fmt.Errorf("read certificate: %w", err)
	}
	config := &tls.Config{
		MinVersion:     tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return pair.get(), nil },
	}
	return encryption{config, http.HandlerFunc(redirectToTLS)}, nil
}

// encryptionFromAuthority requests certificates by TLS-ALPN-01 at the main
// address, or by HTTP-01 at the address without TLS.
func encryptionFromAuthority(o *Options) encryption {
	m := &autocert.Manager{
		Prompt:     autocert.AcceptTOS,
		Cache:      autocert.DirCache(filepath.Join(o.Dir, datadir.ACMEDir)),
		HostPolicy: autocert.HostWhitelist(o.ACMEDomains...),
		Email:      o.ACMEEmail,
	}
	if o.ACMEDirectory != "" {
		m.Client = &acme.Client{DirectoryURL: o.ACMEDirectory}
	}
	config := m.TLSConfig()
	config.MinVersion = tls.VersionTLS12
	return encryption{config, m.HTTPHandler(http.HandlerFunc(redirectToTLS))}
}

// redirectToTLS redirects browsers to https. It refuses reports: a program that
// is configured to send IDs in the clear must fail rather than go on doing so.
func redirectToTLS(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		http.Error(w, "use https", http.StatusBadRequest)
		return
	}
	host := r.Host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	http.Redirect(w, r, "https://"+host+r.URL.RequestURI(), http.StatusMovedPermanently)
}
