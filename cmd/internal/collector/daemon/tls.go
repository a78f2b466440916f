package daemon

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/crypto/acme"
	"golang.org/x/crypto/acme/autocert"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector/datadir"
)

type encryption struct {
	// config and tickets are nil without TLS.
	config  *tls.Config
	tickets *tickets
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
	return newEncrypted(config, redirectToTLS(func(host string) bool {
		leaf := pair.get().Leaf
		return leaf != nil && leaf.VerifyHostname(host) == nil
	})), nil
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
	return newEncrypted(config, m.HTTPHandler(redirectToTLS(func(host string) bool {
		return slices.ContainsFunc(o.ACMEDomains, func(name string) bool { return strings.EqualFold(name, host) })
	})))
}

func newEncrypted(config *tls.Config, plain http.Handler) encryption {
	e := encryption{plain: plain}
	e.config, e.tickets = withTickets(config)
	return e
}

// redirectToTLS redirects browsers to https, under the names that the
// certificate has. It refuses reports: a program that is configured to send IDs
// in the clear must fail rather than go on doing so.
func redirectToTLS(known func(host string) bool) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			http.Error(w, "use https", http.StatusBadRequest)
			return
		}
		host := r.Host
		if name, _, err := net.SplitHostPort(host); err == nil {
			host = name
		}
		if !known(strings.ToLower(host)) {
			http.Error(w, "the certificate does not have this name", http.StatusMisdirectedRequest)
			return
		}
		if strings.Contains(host, ":") && !strings.HasPrefix(host, "[") { // an IPv6 address that had a port
			host = "[" + host + "]"
		}
		http.Redirect(w, r, "https://"+host+r.URL.RequestURI(), http.StatusMovedPermanently)
	}
}
