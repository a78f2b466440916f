//go:build !rollcall_nosend

package sender

import (
	"crypto/x509"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/rollcall-dev/rollcall/internal/loopback"
)

// CheckEndpoint returns what is wrong with the URL of a collector. It must
// be https; http is for a collector on this machine.
func CheckEndpoint(endpoint string) error {
	u, err := url.Parse(endpoint)
	switch {
	case err != nil || u.Hostname() == "" || u.User != nil || strings.ContainsAny(endpoint, "?#"):
		return errors.New("not a URL of scheme, host and path")
	case u.Scheme == "https" || u.Scheme == "http" && loopback.IsHost(u.Hostname()):
		return nil
	case u.Scheme == "http":
		return errors.New("plain HTTP is only for a collector on this machine; use https")
	}
	return errors.New("not an https URL")
}

// proxyFor returns a function that chooses the proxy of a request: the one
// configured, or else that of the environment. This machine is reached
// without: a proxy elsewhere would see the plain HTTP that is allowed here.
func proxyFor(configured string) (func(*http.Request) (*url.URL, error), error) {
	choose := http.ProxyFromEnvironment
	if configured != "" {
		u, err := url.Parse(configured)
		if err != nil || u.Hostname() == "" {
			return nil, errors.New("not a URL of scheme and host") // err could quote a password
		}
		switch u.Scheme {
		case "http", "https", "socks5", "socks5h":
		default:
			return nil, errors.New("the scheme is not http, https, socks5 or socks5h")
		}
		choose = http.ProxyURL(u)
	}
	return func(req *http.Request) (*url.URL, error) {
		if loopback.IsHost(req.URL.Hostname()) {
			return nil, nil
		}
		return choose(req)
	}, nil
}

// maxCAFile bounds the file of additional certificates, in bytes.
const maxCAFile = 1 << 20

// rootCAs returns the system's certificates and those of a file in PEM form.
func rootCAs(file string) (*x509.CertPool, error) {
	if info, err := os.Stat(file); err != nil {
		return nil, err
	} else if !info.Mode().IsRegular() {
		return nil, errors.New("not a regular file")
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	pem, err := io.ReadAll(io.LimitReader(f, maxCAFile+1))
	if err != nil {
		return nil, err
	}
	if len(pem) > maxCAFile {
		return nil, errors.New("larger than 1 MiB")
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, errors.New("contains no certificate")
	}
	return pool, nil
}
