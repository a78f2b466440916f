package replica

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector/secret"
)

var errStranger = errors.New("the other end does not have this collector's secret")

// identity returns a TLS configuration that lets owners of a secret recognize
// each other, as a client and as a server. Names and dates of certificates mean
// nothing; only the key does. The random serial number tells one owner from another.
func identity(s *secret.Secret) (*tls.Config, error) {
	key := s.KeyPair()
	own := key.Public().(ed25519.PublicKey)
	template := &x509.Certificate{NotAfter: time.Unix(1<<36, 0)} // the serial number is a random one
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, own, key)
	if err != nil {
		return nil, fmt.Errorf("create the certificate of a replica: %w", err)
	}
	return &tls.Config{
		MinVersion:             tls.VersionTLS13,
		Certificates:           []tls.Certificate{{Certificate: [][]byte{certificate}, PrivateKey: key}},
		NextProtos:             []string{"http/1.1"},
		ClientAuth:             tls.RequireAnyClientCert,
		SessionTicketsDisabled: true,
		InsecureSkipVerify:     true, // VerifyConnection does it
		VerifyConnection: func(state tls.ConnectionState) error {
			if len(state.PeerCertificates) == 0 || !own.Equal(state.PeerCertificates[0].PublicKey) {
				return errStranger
			}
			return nil
		},
	}, nil
}

// replicaOf returns which replica is at the other end of a connection. It means
// something only once the handshake is complete.
func replicaOf(state tls.ConnectionState) string {
	return state.PeerCertificates[0].SerialNumber.String()
}

// connectTimeout bounds connecting to another replica.
const connectTimeout = 2 * time.Second

// newClient returns a client that talks to replicas only.
func newClient(config *tls.Config) *http.Client {
	transport := &http.Transport{
		DialContext:         dialer.DialContext,
		TLSClientConfig:     config,
		TLSHandshakeTimeout: connectTimeout,
		MaxIdleConnsPerHost: 64,
		IdleConnTimeout:     time.Minute,
		DisableCompression:  true, // answers pass through as they are
	}
	return &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}
