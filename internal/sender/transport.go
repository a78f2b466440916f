//go:build !rollcall_nosend

package sender

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/rollcall-dev/rollcall/internal/flight"
	"github.com/rollcall-dev/rollcall/internal/loopback"
)

// Enabled tells whether this build can send at all.
const Enabled = true

const (
	// connectTimeout bounds the way to the first byte of a request: DNS, TCP, a proxy, TLS.
	connectTimeout = 10 * time.Second
	// attemptTimeout bounds an attempt as a whole.
	attemptTimeout = 30 * time.Second
	// drainTimeout bounds how long the rest of an answer is waited for, once its status is known.
	drainTimeout = time.Second
	// maxAnswer is how much of an answer's body is read, and maxAnswerHeader of its header.
	maxAnswer       = 4 << 10
	maxAnswerHeader = 16 << 10
	// maxRedirects is how many redirects are followed, on the endpoint's host only.
	maxRedirects = 3
	// maxCAFile bounds the file of further certificates.
	maxCAFile = 1 << 20
)

// A wire is what requests go over.
type wire struct {
	files *flight.Flight // reads of the CAFile

	// The rest is for tests.
	connectTimeout, attemptTimeout, drainTimeout time.Duration
	resolver                                     *net.Resolver
	roundTripper                                 http.RoundTripper
}

func newWire() wire {
	return wire{
		files:          new(flight.Flight),
		connectTimeout: connectTimeout,
		attemptTimeout: attemptTimeout,
		drainTimeout:   drainTimeout,
	}
}

// A client makes the requests of one report. It keeps no connection: the next report is a day away.
type client struct {
	wire      wire
	proxy     func(*http.Request) (*url.URL, error)
	roots     *x509.CertPool // nil for the system's
	userAgent string
}

func newClient(ctx context.Context, c Config, w wire) (*client, error) {
	proxy, err := proxies(c.Proxy)
	if err != nil {
		return nil, fmt.Errorf("Proxy: %w", err)
	}
	cl := &client{wire: w, proxy: proxy, userAgent: c.UserAgent}
	if c.CAFile == "" {
		return cl, nil
	}
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	cl.roots, err = flight.Do(ctx, w.files, "read", func(context.Context) (*x509.CertPool, error) { return rootCAs(c.CAFile) })
	if err != nil {
		return nil, fmt.Errorf("CAFile: %w", err)
	}
	return cl, nil
}

// proxies tells which proxy to take: the one configured, or those of the environment. What is on this machine is
// reached without: plain HTTP, which is allowed there only, would leave it.
func proxies(configured string) (func(*http.Request) (*url.URL, error), error) {
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

// rootCAs are the system's and those of a file in PEM form.
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
		return nil, errors.New("no certificate in it")
	}
	return pool, nil
}

// CheckEndpoint tells what is wrong with the URL of a collector: it is https, and http only to this machine.
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

// checkRedirect follows a redirect on the same host only, never down to plain HTTP, and never one that would turn the
// report into a GET.
func checkRedirect(req *http.Request, via []*http.Request) error {
	first, last := via[0], via[len(via)-1]
	switch {
	case len(via) > maxRedirects:
		return redirectError("redirects again and again")
	case req.Method != first.Method:
		return redirectError("redirects with a status that loses the report; it should answer 307 or 308")
	case !strings.EqualFold(req.URL.Hostname(), first.URL.Hostname()):
		return redirectError("redirects to another host, which is not followed")
	case req.URL.Scheme != "https" && req.URL.Scheme != last.URL.Scheme:
		return redirectError("redirects from https to something else, which is not followed")
	}
	return nil
}

// post makes one attempt; nil when the report was accepted.
func (c *client) post(ctx context.Context, url string, body []byte) *Error {
	return c.do(ctx, http.MethodPost, url, body)
}

// remove asks to delete what is held at the URL.
func (c *client) remove(ctx context.Context, url string) *Error {
	return c.do(ctx, http.MethodDelete, url, nil)
}

func (c *client) do(ctx context.Context, method, url string, body []byte) *Error {
	ctx, cancel := context.WithCancelCause(ctx)
	l := &lines{ctx: ctx}
	// The request hears that it is over when its connections are closed, so that it cannot tell the server.
	requestCtx, endRequest := context.WithCancelCause(context.WithoutCancel(ctx))
	end := func() {
		l.close()
		endRequest(context.Cause(ctx))
	}
	unbind := context.AfterFunc(ctx, end)
	defer func() {
		unbind()
		cancel(nil)
		end()
	}()

	defer time.AfterFunc(c.wire.attemptTimeout, func() { cancel(errAttempt) }).Stop()
	connecting := time.AfterFunc(c.wire.connectTimeout, func() { cancel(errConnect) })
	defer connecting.Stop()
	requestCtx = httptrace.WithClientTrace(requestCtx, &httptrace.ClientTrace{
		GetConn: func(string) { connecting.Reset(c.wire.connectTimeout) }, // again after a redirect
		GotConn: func(httptrace.GotConnInfo) { connecting.Stop() },
	})
	req, err := http.NewRequestWithContext(requestCtx, method, url, bytes.NewReader(body))
	if err != nil {
		return &Error{Text: "the endpoint is not a URL", Refused: true, Err: err}
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("User-Agent", cmp.Or(c.userAgent, "rollcall"))
	req.Header.Set("Accept", "application/json")

	hc := http.Client{Transport: c.wire.roundTripper, CheckRedirect: checkRedirect}
	if hc.Transport == nil {
		hc.Transport = c.transport(l)
	}
	resp, err := hc.Do(req)
	if err != nil {
		return noAnswer(context.Cause(ctx), err)
	}
	defer resp.Body.Close()
	// The status is the answer. The rest is read so that the connection ends in order, and no further.
	defer time.AfterFunc(c.wire.drainTimeout, func() { cancel(nil) }).Stop()
	io.Copy(io.Discard, io.LimitReader(resp.Body, maxAnswer))
	return answerError(resp.StatusCode, resp.Header, time.Now())
}

func (c *client) transport(l *lines) *http.Transport {
	dialer := l.dialer(c.wire.connectTimeout, cmp.Or(c.wire.resolver, net.DefaultResolver))
	return &http.Transport{
		Proxy:                  c.proxy,
		OnProxyConnectResponse: checkProxy,
		DialContext:            l.through(dialer.DialContext),
		TLSClientConfig:        &tls.Config{RootCAs: c.roots, MinVersion: tls.VersionTLS12},
		ForceAttemptHTTP2:      true,
		DisableKeepAlives:      true,
		DisableCompression:     true, // an answer is a few bytes; a compressed one could be a bomb
		MaxResponseHeaderBytes: maxAnswerHeader,
	}
}
