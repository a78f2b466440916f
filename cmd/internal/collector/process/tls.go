package process

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
)

// encryption is how the connections are encrypted.
type encryption struct {
	// config is nil for connections in plain text.
	config *tls.Config
	// plain answers at the address for connections in plain text, if there is one.
	plain http.Handler
}

// newEncryption checks what the options say of it.
func newEncryption(o *Options) (encryption, error) {
	switch {
	case (o.TLSCert == "") != (o.TLSKey == ""):
		return encryption{}, errors.New("a certificate needs its key, and a key its certificate")
	case o.TLSCert != "" && len(o.ACMEDomains) > 0:
		return encryption{}, errors.New("certificates come from files or from a certificate authority, and not from both")
	case o.TLSCert != "":
		return fromFiles(o.TLSCert, o.TLSKey, o.Logger)
	case len(o.ACMEDomains) > 0:
		return fromAuthority(o), nil
	case o.PlainListen != "":
		return encryption{}, errors.New("an address for plain text beside the main one is of use with TLS only")
	}
	return encryption{}, nil
}

func fromFiles(cert, key string, log *slog.Logger) (encryption, error) {
	load := func() (*tls.Certificate, error) {
		pair, err := tls.LoadX509KeyPair(cert, key)
		return &pair, err
	}
	pair, err := watch(log, load, cert, key)
	if err != nil {
		return encryption{}, fmt.Errorf("read certificate: %w", err)
	}
	config := &tls.Config{
		MinVersion:     tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return pair.get(), nil },
	}
	return encryption{config, http.HandlerFunc(toTLS)}, nil
}

// fromAuthority has certificates made, by TLS-ALPN-01 at the main address or by HTTP-01 at the one for plain text.
func fromAuthority(o *Options) encryption {
	m := &autocert.Manager{
		Prompt:     autocert.AcceptTOS,
		Cache:      autocert.DirCache(filepath.Join(o.Dir, acmeName)),
		HostPolicy: autocert.HostWhitelist(o.ACMEDomains...),
		Email:      o.ACMEEmail,
	}
	if o.ACMEDirectory != "" {
		m.Client = &acme.Client{DirectoryURL: o.ACMEDirectory}
	}
	config := m.TLSConfig()
	config.MinVersion = tls.VersionTLS12
	return encryption{config, m.HTTPHandler(http.HandlerFunc(toTLS))}
}

// toTLS sends a browser from plain text to TLS. Reports are not sent on: whoever is configured so sends their IDs in the
// clear, and had better see it fail.
func toTLS(w http.ResponseWriter, r *http.Request) {
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
