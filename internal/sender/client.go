//go:build !rollcall_nosend

package sender

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"sync"
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
	// maxBody and maxHeader bound what is read of an answer, in bytes.
	maxBody   = 4 << 10
	maxHeader = 16 << 10
)

// A network is what clients share. What follows the sessions is for tests.
type network struct {
	caFiles      *flight.Flight // reads of the CAFile
	requests     *flight.Flight // of the host's transport
	sessions     *sessions
	dial         dialFunc // instead of a net.Dialer's
	resolver     *net.Resolver
	roundTripper http.RoundTripper
}

func newNetwork() network {
	return network{caFiles: new(flight.Flight), requests: new(flight.Flight), sessions: new(sessions)}
}

// sessions keep the TLS session of the last report, so that the next one needs no
// new certificate. They are forgotten with the ID: the collector must not learn
// from a session which ID replaced which.
type sessions struct {
	mu    sync.Mutex
	about string
	cache tls.ClientSessionCache
}

// of returns the cache for reports about an ID; nil, which resumes nothing, for "".
func (s *sessions) of(about string) tls.ClientSessionCache {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.about != about {
		s.about, s.cache = about, nil
		if about != "" {
			s.cache = tls.NewLRUClientSessionCache(1)
		}
	}
	return s.cache
}

// A client makes the requests of one report. It keeps no connection, since
// the next report is a day away.
type client struct {
	network   network
	host      http.RoundTripper // of the host; nil for the client's own
	proxy     func(*http.Request) (*url.URL, error)
	roots     *x509.CertPool // nil for the system's
	userAgent string
}

func newClient(ctx context.Context, c Config, n network) (Requester, error) {
	if c.Transport != nil {
		return (&client{network: n, host: c.Transport, userAgent: c.UserAgent}).do, nil
	}
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

// do is a Requester.
func (c *client) do(ctx context.Context, m Message) (Answer, *Error) {
	ctx, cancel := context.WithCancelCause(ctx)
	open := &conns{ctx: ctx}
	// The request learns of the end only after its connections are closed,
	// so that it cannot tell the server.
	requestCtx, endRequest := context.WithCancelCause(context.WithoutCancel(ctx))
	end := func() {
		open.close()
		endRequest(context.Cause(ctx))
	}
	unbind := context.AfterFunc(ctx, end)
	defer func() {
		unbind()
		cancel(nil)
		end()
	}()

	defer time.AfterFunc(attemptTimeout, func() { cancel(errAttemptTimeout) }).Stop()
	connecting := time.AfterFunc(connectTimeout, func() { cancel(errConnectTimeout) })
	defer connecting.Stop()
	requestCtx = httptrace.WithClientTrace(requestCtx, &httptrace.ClientTrace{
		GetConn: func(string) { connecting.Reset(connectTimeout) }, // again after a redirect
		GotConn: func(httptrace.GotConnInfo) { connecting.Stop() },
	})
	req, err := http.NewRequestWithContext(requestCtx, m.Method, m.URL, bytes.NewReader(m.Body))
	if err != nil {
		return Answer{}, &Error{Text: "the endpoint is not a URL", Refused: true, Err: err}
	}
	if m.ETag != "" {
		req.Header.Set("If-None-Match", m.ETag)
	}
	if m.Body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("User-Agent", cmp.Or(c.userAgent, "rollcall"))
	req.Header.Set("Accept", "application/json")

	hc := http.Client{Transport: c.network.roundTripper, CheckRedirect: checkRedirect}
	switch {
	case c.host != nil:
		connecting.Stop() // it need not say when it has a connection
		hc.Transport = bounded{c.host, c.network.requests, max(maxBody, m.Want)}
	case hc.Transport == nil:
		hc.Transport = c.transport(open, c.network.sessions.of(m.About))
	}
	resp, err := hc.Do(req)
	if err != nil {
		return Answer{}, noAnswer(context.Cause(ctx), err)
	}
	defer resp.Body.Close()
	if m.Want > 0 && resp.StatusCode == http.StatusOK {
		body, err := io.ReadAll(io.LimitReader(resp.Body, int64(m.Want)+1))
		switch {
		case err != nil:
			return Answer{}, noAnswer(context.Cause(ctx), err)
		case len(body) > m.Want:
			return Answer{}, &Error{Text: fmt.Sprintf("the collector's answer has more than %d bytes", m.Want), Status: http.StatusOK, Refused: true}
		}
		return Answer{ETag: resp.Header.Get("ETag"), Body: body}, nil
	}
	// The status is the answer. Some of the rest is read, so that the
	// connection can end in order.
	defer time.AfterFunc(drainTimeout, func() { cancel(nil) }).Stop()
	io.Copy(io.Discard, io.LimitReader(resp.Body, maxBody))
	if m.ETag != "" && resp.StatusCode == http.StatusNotModified {
		return Answer{Unchanged: true}, nil
	}
	return Answer{}, statusError(resp.StatusCode, resp.Header, time.Now())
}

func (c *client) transport(open *conns, resume tls.ClientSessionCache) *http.Transport {
	dial := c.network.dial
	if dial == nil {
		dial = open.dialer(connectTimeout, cmp.Or(c.network.resolver, net.DefaultResolver)).DialContext
	}
	// HTTP/2 would repeat the request whenever a server asks.
	var http1 http.Protocols
	http1.SetHTTP1(true)
	return &http.Transport{
		Proxy:                  c.proxy,
		OnProxyConnectResponse: checkProxy,
		DialContext:            open.bind(dial),
		TLSClientConfig:        &tls.Config{RootCAs: c.roots, MinVersion: tls.VersionTLS12, ClientSessionCache: resume},
		Protocols:              &http1,
		DisableKeepAlives:      true,
		DisableCompression:     true, // an answer is a few bytes; a compressed one could be a bomb
		MaxResponseHeaderBytes: maxHeader,
	}
}
