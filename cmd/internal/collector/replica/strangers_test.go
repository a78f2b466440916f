package replica_test

import (
	"bytes"
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector/replica"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/secret"
)

func configOf(t *testing.T, bytes []byte) *tls.Config {
	t.Helper()
	keys, err := secret.New(bytes)
	if err != nil {
		t.Fatal(err)
	}
	config, err := replica.Identity(keys)
	if err != nil {
		t.Fatal(err)
	}
	return config
}

// strangersConfig is that of another secret, without its checks.
func strangersConfig(t *testing.T) *tls.Config {
	config := configOf(t, bytes.Repeat([]byte("t"), 32))
	config.VerifyConnection = nil
	return config
}

// ownClient gives a slow machine time. A replica does not: it connects again.
func ownClient(t *testing.T) *http.Client {
	c := replica.NewClient(configOf(t, secretBytes))
	c.Transport.(*http.Transport).TLSHandshakeTimeout = time.Minute
	return c
}

// strangersServer runs a server with the key of another secret, which lets in
// everybody.
func strangersServer(t *testing.T) string {
	t.Helper()
	s := httptest.NewUnstartedServer(http.NotFoundHandler())
	s.TLS = strangersConfig(t)
	s.TLS.ClientAuth = tls.NoClientCert
	s.StartTLS()
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}
