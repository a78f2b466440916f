//go:build !rollcall_nosend

package sender

import (
	"bytes"
	"cmp"
	"context"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/rollcall-dev/rollcall/internal/flight"
)

// Enabled reports whether this build can send.
const Enabled = true

const (
	// connectTimeout bounds what comes before a request: DNS, TCP, a proxy,
	// TLS.
	connectTimeout = 10 * time.Second
	// attemptTimeout bounds an attempt as a whole.
	attemptTimeout = 30 * time.Second
	// drainTimeout bounds the wait for the rest of an answer whose status
	// is known.
	drainTimeout = time.Second
	// maxHeader and maxBody bound what is read of an answer, in bytes.
	maxHeader = 16 << 10
	maxBody   = 4 << 10
)

// A network is what clients share. All but caFiles is for tests.
type network struct {
	caFiles   *flight.Flight // reads of the CAFile
	dial      dialFunc       // instead of a net.Dialer's
	resolver  *net.Resolver
	roundTrip func(*http.Request) (*http.Response, error)
}

func newNetwork() network { return network{caFiles: new(flight.Flight)} }

// A client makes the requests of one report. It keeps no connection, since
// the next report is a day away.
type client struct {
	network   network
	proxy     func(*http.Request) (*url.URL, error)
	roots     *x509.CertPool // nil for the system's
	userAgent string
}

func newClient(ctx context.Context, c Config, n network) (requester, error) {
	proxy, err := proxyFor(c.Proxy)
	if err != nil {
		return nil, fmt.Errorf("Proxy: %w", err)
	}
	cl := &client{network: n, proxy: proxy, userAgent: c.UserAgent}
	if c.CAFile == "" {
		return cl.do, nil
	}
	ctx, cancel := context.WithTimeout(ctx, stateTimeout)
	defer cancel()
	cl.roots, err = flight.Do(ctx, n.caFiles, "read", func(context.Context) (*x509.CertPool, error) { return rootCAs(c.CAFile) })
	if err != nil {
		return nil, fmt.Errorf("CAFile: %w", err)
	}
	return cl.do, nil
}

// do is a requester.
func (c *client) do(ctx context.Context, method, url string, body []byte) *Error {
	ctx, cancel := context.WithCancelCause(ctx)
	open := &conns{ctx: ctx}
	unbind := context.AfterFunc(ctx, open.close)
	defer func() {
		unbind()
		cancel(nil)
		open.close()
	}()
	defer time.AfterFunc(attemptTimeout, func() { cancel(errAttemptTimeout) }).Stop()

	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return &Error{Text: "the endpoint is not a URL", Refused: true, Err: err}
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("User-Agent", cmp.Or(c.userAgent, "rollcall"))
	req.Header.Set("Accept", "application/json")

	roundTrip := c.network.roundTrip
	if roundTrip == nil {
		roundTrip = (&exchange{c, open, cancel}).roundTrip
	}
	resp, err := follow(req, body, roundTrip)
	if err != nil {
		return noAnswer(context.Cause(ctx), err)
	}
	// The status is the answer. Some of the rest is read, so that the
	// connection can end in order. Closing the body would read all of it.
	defer time.AfterFunc(drainTimeout, func() { cancel(nil) }).Stop()
	io.Copy(io.Discard, io.LimitReader(resp.Body, maxBody))
	return statusError(resp.StatusCode, resp.Header, time.Now())
}

// follow makes a request, and those that the answers redirect to.
func follow(req *http.Request, body []byte, roundTrip func(*http.Request) (*http.Response, error)) (*http.Response, error) {
	for redirects := 0; ; redirects++ {
		resp, err := roundTrip(req)
		if err != nil {
			return nil, err
		}
		to := resp.Header.Get("Location")
		if to == "" || !isRedirect(resp.StatusCode) {
			return resp, nil
		}
		target, err := req.URL.Parse(to)
		if err != nil {
			return nil, err
		}
		if err := checkRedirect(redirects, resp.StatusCode, req.URL, target); err != nil {
			return nil, err
		}
		req = req.Clone(req.Context())
		req.URL, req.Host, req.Body = target, "", io.NopCloser(bytes.NewReader(body))
	}
}
