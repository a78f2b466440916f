//go:build !rollcall_nosend

package sender

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/rollcall-dev/rollcall/internal/schedule"
)

// statusError returns the error of an answer; nil if the collector accepted
// the report.
func statusError(status int, header http.Header, now time.Time) *Error {
	if status >= 200 && status < 300 {
		return nil
	}
	e := &Error{
		Text:       "the collector answered " + statusText(status),
		Status:     status,
		RetryAfter: schedule.RetryAfter(header.Get("Retry-After"), now),
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
		text = "unknown"
	}
	return fmt.Sprintf("%d (%s)", status, text)
}

// A proxyError is the status with which a proxy refuses.
type proxyError int

func (e proxyError) Error() string { return "the proxy answered " + statusText(int(e)) }

// checkProxy judges a proxy's answer to CONNECT. It repeats only the status:
// the proxy was told a password.
func checkProxy(_ context.Context, _ *url.URL, _ *http.Request, resp *http.Response) error {
	if resp.StatusCode != http.StatusOK {
		return proxyError(resp.StatusCode)
	}
	return nil
}

// A redirectError says why a redirect is not followed.
type redirectError string

func (e redirectError) Error() string { return "the collector redirects " + string(e) }

// maxRedirects bounds the redirects that are followed.
const maxRedirects = 3

// checkRedirect follows redirects on the same host and port, but none to plain
// HTTP, and none that would turn the report into a GET.
func checkRedirect(req *http.Request, via []*http.Request) error {
	first, last := via[0], via[len(via)-1]
	req.Header.Del("Referer") // it would disclose the ID in the path of a deletion
	switch {
	case len(via) > maxRedirects:
		return redirectError("too many times")
	case req.Method != first.Method:
		return redirectError("with a status that loses the report; it should answer 307 or 308")
	case !strings.EqualFold(req.URL.Hostname(), first.URL.Hostname()):
		return redirectError("to another host, which is not followed")
	case req.URL.Scheme != "https" && req.URL.Scheme != last.URL.Scheme:
		return redirectError("from https to another scheme, which is not followed")
	case port(req.URL) != port(first.URL):
		return redirectError("to another port, which is not followed")
	}
	return nil
}

// port returns the port of a URL, which may be the usual one of its scheme.
func port(u *url.URL) string {
	if p := u.Port(); p != "" {
		return p
	}
	return map[string]string{"http": "80", "https": "443"}[u.Scheme]
}
