//go:build !rollcall_nosend

package sender

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// answerError judges an answer of the collector; nil when it accepted the report.
func answerError(status int, header http.Header, now time.Time) *Error {
	e := &Error{Status: status, RetryAfter: retryAfter(header.Get("Retry-After"), now)}
	text := strings.ToLower(http.StatusText(status))
	if text == "" {
		text = "an answer that is not known"
	}
	e.Text = fmt.Sprintf("the collector answered %d (%s)", status, text)
	switch {
	case status >= 200 && status < 300:
		return nil
	case status == http.StatusGone:
		e.Gone = true
		e.Text += ": it wants no more reports"
	case status == http.StatusTooManyRequests, status == http.StatusRequestTimeout, status == http.StatusTooEarly:
	case status >= 300 && status < 500:
		e.Refused = true
	}
	return e
}

// retryAfter reads the header field Retry-After (RFC 9110, section 10.2.3), in seconds or as a date, and keeps it
// within bounds. What lies in the past, or cannot be read, counts as absent.
func retryAfter(value string, now time.Time) time.Duration {
	value = strings.TrimSpace(value)
	var d time.Duration
	if seconds, err := strconv.ParseInt(value, 10, 64); err == nil {
		d = time.Duration(min(seconds, int64(maxRetryAfter/time.Second))) * time.Second
	} else if at, err := http.ParseTime(value); err == nil {
		d = at.Sub(now)
	} else if isDigits(value) {
		d = maxRetryAfter // more seconds than fit
	}
	if d <= 0 {
		return 0
	}
	return min(max(d, minRetryAfter), maxRetryAfter)
}

func isDigits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}
