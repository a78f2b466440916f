package legacy

import (
	"strconv"
	"strings"
	"time"
)

// An object is a JSON object of a client, with arbitrary values.
type object map[string]any

// text returns a value as trimmed text. It is empty if the value is missing,
// null, zero, false, or a list or object.
func (o object) text(key string) string {
	switch v := o[key].(type) {
	case string:
		return strings.TrimSpace(v)
	case float64:
		if v != 0 {
			return strconv.FormatFloat(v, 'f', -1, 64)
		}
	case bool:
		if v {
			return "true"
		}
	}
	return ""
}

func (o object) object(key string) object {
	inner, _ := o[key].(map[string]any)
	return inner
}

// time returns a value as a time, and whether it is one that a report can have.
func (o object) time(key string) (time.Time, bool) {
	t, err := time.Parse(time.RFC3339, o.text(key))
	if err != nil || t.UTC().Year() < 1970 || t.UTC().Year() > 9999 {
		return time.Time{}, false
	}
	return t.UTC().Truncate(time.Second), true
}

func (o object) sentAt(now time.Time) time.Time {
	if t, ok := o.time("timestamp"); ok {
		return t
	}
	return now.UTC().Truncate(time.Second)
}
