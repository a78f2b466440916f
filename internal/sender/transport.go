//go:build !rollcall_nosend

package sender

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"time"
)

// Enabled tells whether this build can send at all.
const Enabled = true

const (
	// connectTimeout bounds the way to the first byte of a request: DNS, TCP, a proxy, TLS.
	connectTimeout = 10 * time.Second
	// attemptTimeout bounds an attempt as a whole.
	attemptTimeout = 30 * time.Second
	// maxAnswer is how much of an answer's body is read, and maxAnswerHeader of its header.
	maxAnswer       = 4 << 10
	maxAnswerHeader = 16 << 10
	// maxRedirects is how many redirects are followed, on the endpoint's host only.
	maxRedirects = 3
)

var (
	errConnect  = errors.New("no connection within 10 seconds")
	errAttempt  = errors.New("no answer within 30 seconds")
	errRedirect = errors.New("the collector redirects to another host or to plain HTTP, which is not followed")
)

// client makes the requests. It keeps no connection between reports, which are a day apart.
type client struct {
	http      *http.Client
	userAgent string
}

func newClient(c Config) (*client, error) {
	proxy := http.ProxyFromEnvironment
	if c.Proxy != "" {
		u, err := url.Parse(c.Proxy)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" && u.Scheme != "socks5" {
			return nil, errors.New("Proxy: not a URL with http, https or socks5 and a host")
		}
		proxy = http.ProxyURL(u)
	}
	roots, err := rootCAs(c.CAFile)
	if err != nil {
		return nil, fmt.Errorf("CAFile: %w", err)
	}
	return &client{
		userAgent: c.UserAgent,
		http: &http.Client{
			Transport: &http.Transport{
				Proxy:                  proxy,
				DialContext:            (&net.Dialer{Timeout: connectTimeout}).DialContext,
				TLSClientConfig:        &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
				TLSHandshakeTimeout:    connectTimeout,
				ForceAttemptHTTP2:      true,
				DisableKeepAlives:      true,
				DisableCompression:     true, // an answer is a few bytes; a compressed one could be a bomb
				MaxResponseHeaderBytes: maxAnswerHeader,
			},
			CheckRedirect: checkRedirect,
		},
	}, nil
}

// rootCAs are the system's and those of a file in PEM form.
func rootCAs(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, err
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
	case err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return errors.New("not a URL of scheme, host and path")
	case u.Scheme == "https" || u.Scheme == "http" && isLoopback(u.Hostname()):
		return nil
	case u.Scheme == "http":
		return errors.New("plain HTTP is only for a collector on this machine; use https")
	}
	return errors.New("not an https URL")
}

func isLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback() || strings.EqualFold(host, "localhost")
}

// checkRedirect follows a redirect on the same host only, never down to plain HTTP, and never one that would turn the
// report into a GET.
func checkRedirect(req *http.Request, via []*http.Request) error {
	first := via[0]
	switch {
	case len(via) > maxRedirects:
		return errors.New("the collector redirects again and again")
	case req.Method != first.Method:
		return errors.New("the collector redirects with a status that loses the report; it should answer 307 or 308")
	case !strings.EqualFold(req.URL.Hostname(), first.URL.Hostname()):
		return errRedirect
	case first.URL.Scheme == "https" && req.URL.Scheme != "https":
		return errRedirect
	}
	return nil
}

// post makes one attempt; nil when the report was accepted.
func (c *client) post(ctx context.Context, endpoint string, body []byte) *Error {
	return c.do(ctx, http.MethodPost, endpoint, body)
}

// remove asks to delete what is held at the URL.
func (c *client) remove(ctx context.Context, endpoint string) *Error {
	return c.do(ctx, http.MethodDelete, endpoint, nil)
}

func (c *client) do(ctx context.Context, method, endpoint string, body []byte) *Error {
	ctx, cancelAttempt := context.WithTimeoutCause(ctx, attemptTimeout, errAttempt)
	defer cancelAttempt()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	connecting := time.AfterFunc(connectTimeout, func() { cancel(errConnect) })
	defer connecting.Stop()
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GetConn: func(string) { connecting.Reset(connectTimeout) },
		GotConn: func(httptrace.GotConnInfo) { connecting.Stop() },
	})
	req, err := http.NewRequestWithContext(ctx, method, endpoint, bytes.NewReader(body))
	if err != nil {
		return &Error{Text: "the endpoint is not a URL", Refused: true, Err: err}
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("User-Agent", c.userAgent)
	req.Header.Set("Accept", "application/json")
	resp, err := c.http.Do(req)
	if err != nil {
		return transportError(ctx, err)
	}
	defer resp.Body.Close()
	// The status is the answer. The body is read so far that the connection ends in order, and no further.
	io.Copy(io.Discard, io.LimitReader(resp.Body, maxAnswer))
	return answerError(resp.StatusCode, resp.Header, time.Now())
}

// transportError says in plain words why there was no answer.
func transportError(ctx context.Context, err error) *Error {
	e := &Error{Err: err}
	cause := context.Cause(ctx)
	var urlErr *url.Error
	if errors.As(err, &urlErr) {
		err = urlErr.Err
	}
	dns, isDNS := errors.AsType[*net.DNSError](err)
	certificate, isCertificate := errors.AsType[*tls.CertificateVerificationError](err)
	switch {
	case cause != nil && (errors.Is(cause, errConnect) || errors.Is(cause, errAttempt)):
		e.Text = cause.Error()
	case cause != nil:
		e.Text = "stopped before there was an answer"
	case isDNS:
		e.Text = "the collector's name could not be looked up"
		if dns.IsNotFound {
			e.Text = "the collector's name is not known"
		}
	case isCertificate:
		e.Text = "the collector's certificate is not trusted: " + certificate.Err.Error()
	case errors.Is(err, errRedirect):
		e.Text, e.Refused = err.Error(), true
	default:
		e.Text = "no answer from the collector: " + err.Error()
	}
	return e
}
