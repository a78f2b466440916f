//go:build !rollcall_nosend

package sender

import (
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

// A redirectError says why a redirect is not followed.
type redirectError string

func (e redirectError) Error() string { return "the collector redirects " + string(e) }

// maxRedirects bounds the redirects that are followed.
const maxRedirects = 3

func isRedirect(status int) bool {
	switch status {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther,
		http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		return true
	}
	return false
}

// checkRedirect allows redirects on the same host, but none to plain HTTP, and
// none that would turn the report into a GET.
func checkRedirect(followed, status int, from, to *url.URL) error {
	switch {
	case followed >= maxRedirects:
		return redirectError("too many times")
	case status != http.StatusTemporaryRedirect && status != http.StatusPermanentRedirect:
		return redirectError("with a status that loses the report; it should answer 307 or 308")
	case !strings.EqualFold(to.Hostname(), from.Hostname()):
		return redirectError("to another host, which is not followed")
	case to.Scheme != "https" && to.Scheme != from.Scheme:
		return redirectError("from https to another scheme, which is not followed")
	}
	return nil
}
