package schedule

import (
	"strconv"
	"strings"
	"time"
)

// A collector's Retry-After is kept within these bounds.
const (
	minRetryAfter = time.Minute
	maxRetryAfter = 7 * day
)

// RetryAfter returns the wait that a Retry-After header field asks for, in
// seconds or as a date (RFC 9110, section 10.2.3): one minute to seven days.
// A value in the past, or one that cannot be read, is 0.
func RetryAfter(value string, now time.Time) time.Duration {
	value = strings.TrimSpace(value)
	var d time.Duration
	if value != "" && strings.Trim(value, "0123456789") == "" {
		seconds, err := strconv.ParseInt(value, 10, 64)
		if err != nil || seconds > int64(maxRetryAfter/time.Second) {
			return maxRetryAfter
		}
		d = time.Duration(seconds) * time.Second
	}
	// The forms of a date in HTTP (section 5.6.7); net/http cannot be used
	// here because a build without sending must not link it.
	for _, layout := range []string{"Mon, 02 Jan 2006 15:04:05 GMT", time.RFC850, time.ANSIC} {
		if at, err := time.Parse(layout, value); err == nil {
			d = at.Sub(now)
		}
	}
	if d <= 0 {
		return 0
	}
	return min(max(d, minRetryAfter), maxRetryAfter)
}
