//go:build !rollcall_nosend

package sender

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"syscall"
)

var (
	errConnectTimeout = errors.New("no connection within 10 seconds")
	errAttemptTimeout = errors.New("no answer within 30 seconds")
)

// noAnswer says in plain words why there was no answer. cause is why the
// attempt was ended; nil if it ended by itself.
func noAnswer(cause, err error) *Error {
	e := &Error{Err: err}
	redirect, isRedirect := as[redirectError](err)
	proxy, isProxy := as[proxyError](err)
	certificate, isCertificate := as[*tls.CertificateVerificationError](err)
	timeout, isNet := as[net.Error](err)
	op, isOp := as[*net.OpError](err)
	switch {
	case errors.Is(cause, errConnectTimeout), errors.Is(cause, errAttemptTimeout):
		e.Text = cause.Error()
	case errors.Is(cause, context.DeadlineExceeded):
		e.Text = "no answer within the caller's time limit"
	case cause != nil:
		e.Text = "stopped before there was an answer"
	case isNet && timeout.Timeout():
		e.Text = errConnectTimeout.Error() // the dialer has the same limit
	case isRedirect:
		e.Text, e.Refused = redirect.Error(), true
	case isProxy:
		e.Text = proxy.Error()
	case isOp && op.Op == "proxyconnect":
		e.Text = "no connection to the proxy: " + reason(err)
	case isCertificate:
		e.Text = "the collector's certificate is not trusted: " + distrust(certificate.Err)
	default:
		e.Text = "no answer from the collector: " + reason(err)
	}
	return e
}

// reason returns a cause in words of our own. Those of a server could be
// anything, even what it was sent.
func reason(err error) string {
	dns, isDNS := as[*net.DNSError](err)
	errno, isErrno := as[syscall.Errno](err)
	alert, isAlert := as[tls.AlertError](err)
	_, isRecord := as[tls.RecordHeaderError](err)
	_, isCertificate := as[*tls.CertificateVerificationError](err)
	switch {
	case isDNS && dns.IsNotFound:
		return "its host name does not exist"
	case isDNS:
		return "its host name cannot be looked up"
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
	return "its answer is malformed"
}

// distrust says why a certificate is not trusted.
func distrust(err error) string {
	invalid, isInvalid := as[x509.CertificateInvalidError](err)
	_, isUnknown := as[x509.UnknownAuthorityError](err)
	_, isHostname := as[x509.HostnameError](err)
	switch {
	case isInvalid && invalid.Reason == x509.Expired:
		return "it is expired or not valid yet, or the clock here is wrong"
	case isUnknown:
		return "it is signed by an unknown authority"
	case isHostname:
		return "it is for another host name"
	}
	return "it is not valid"
}

// as returns the first error in the tree of err that is a T.
func as[T error](err error) (T, bool) {
	var target T
	ok := errors.As(err, &target)
	return target, ok
}
