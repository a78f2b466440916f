//go:build !rollcall_nosend

package sender

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"
)

var (
	errConnect = errors.New("no connection within 10 seconds")
	errAttempt = errors.New("no answer within 30 seconds")
)

// A redirectError says why a redirect is not followed.
type redirectError string

func (e redirectError) Error() string { return "the collector " + string(e) }

// A proxyError is the status with which a proxy refuses.
type proxyError int

func (e proxyError) Error() string { return "the proxy answered " + statusText(int(e)) }

// checkProxy judges how a proxy answers a CONNECT. What it says besides the status is not repeated: it was told a
// password.
func checkProxy(_ context.Context, _ *url.URL, _ *http.Request, resp *http.Response) error {
	if resp.StatusCode != http.StatusOK {
		return proxyError(resp.StatusCode)
	}
	return nil
}

// answerError judges an answer of the collector; nil when it accepted the report.
func answerError(status int, header http.Header, now time.Time) *Error {
	if status >= 200 && status < 300 {
		return nil
	}
	e := &Error{
		Text:       "the collector answered " + statusText(status),
		Status:     status,
		RetryAfter: retryAfter(header.Get("Retry-After"), now),
	}
	switch {
	case status == http.StatusGone:
		e.Gone = true
		e.Text += ": it wants no more reports"
	case status == http.StatusTooManyRequests, status == http.StatusRequestTimeout, status == http.StatusTooEarly:
	case status >= 300 && status < 500:
		e.Refused = true
	}
	return e
}

func statusText(status int) string {
	text := strings.ToLower(http.StatusText(status))
	if text == "" {
		text = "which is not known"
	}
	return fmt.Sprintf("%d (%s)", status, text)
}

// retryAfter reads the header field Retry-After (RFC 9110, section 10.2.3), in seconds or as a date, and keeps it
// within bounds. What lies in the past, or cannot be read, counts as absent.
func retryAfter(value string, now time.Time) time.Duration {
	value = strings.TrimSpace(value)
	var d time.Duration
	if isDigits(value) {
		seconds, err := strconv.ParseInt(value, 10, 64)
		if err != nil || seconds > int64(maxRetryAfter/time.Second) {
			return maxRetryAfter
		}
		d = time.Duration(seconds) * time.Second
	} else if at, err := http.ParseTime(value); err == nil {
		d = at.Sub(now)
	}
	if d <= 0 {
		return 0
	}
	return min(max(d, minRetryAfter), maxRetryAfter)
}

func isDigits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// noAnswer says in plain words why there was no answer: cause is why the attempt was ended, nil when it ended by itself.
func noAnswer(cause, err error) *Error {
	e := &Error{Err: err}
	redirect, isRedirect := errors.AsType[redirectError](err)
	refusal, isRefusal := errors.AsType[proxyError](err)
	certificate, isCertificate := errors.AsType[*tls.CertificateVerificationError](err)
	timeout, isNet := errors.AsType[net.Error](err)
	switch {
	case errors.Is(cause, errConnect), errors.Is(cause, errAttempt):
		e.Text = cause.Error()
	case errors.Is(cause, context.DeadlineExceeded):
		e.Text = "no answer within the time that the program gave"
	case cause != nil:
		e.Text = "stopped before there was an answer"
	case isNet && timeout.Timeout():
		e.Text = errConnect.Error() // the dialler's own limit, which is the same
	case isRedirect:
		e.Text, e.Refused = redirect.Error(), true
	case isRefusal:
		e.Text = refusal.Error()
	case isProxyConnect(err):
		e.Text = "no connection to the proxy: " + reason(err)
	case isCertificate:
		e.Text = "the collector's certificate is not trusted: " + distrust(certificate.Err)
	default:
		e.Text = "no answer from the collector: " + reason(err)
	}
	return e
}

func isProxyConnect(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "proxyconnect"
}

// reason gives a cause in words that are known beforehand: those of a server could be anything, also what it was sent.
func reason(err error) string {
	dns, isDNS := errors.AsType[*net.DNSError](err)
	errno, isErrno := errors.AsType[syscall.Errno](err)
	alert, isAlert := errors.AsType[tls.AlertError](err)
	_, isRecord := errors.AsType[tls.RecordHeaderError](err)
	_, isCertificate := errors.AsType[*tls.CertificateVerificationError](err)
	switch {
	case isDNS && dns.IsNotFound:
		return "its name is not known"
	case isDNS:
		return "its name could not be looked up"
	case isCertificate:
		return "its certificate is not trusted"
	case isErrno:
		return errno.Error()
	case isAlert:
		return alert.Error()
	case errors.Is(err, http.ErrSchemeMismatch):
		return "it speaks plain HTTP"
	case isRecord:
		return "it does not speak TLS"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed):
		return "the connection was closed"
	}
	return "what it says cannot be understood"
}

// distrust says why a certificate is not trusted.
func distrust(err error) string {
	invalid, isInvalid := errors.AsType[x509.CertificateInvalidError](err)
	_, isUnknown := errors.AsType[x509.UnknownAuthorityError](err)
	_, isOther := errors.AsType[x509.HostnameError](err)
	switch {
	case isInvalid && invalid.Reason == x509.Expired:
		return "it is expired or not valid yet, or the clock here is wrong"
	case isUnknown:
		return "it is signed by an authority that is not known here"
	case isOther:
		return "it is for another name"
	}
	return "it is not valid"
}
