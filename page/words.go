package page

import (
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// maxText bounds a text from outside in bytes, because an error may quote
// something long.
const maxText = 600

// plain returns a text from outside as one short line; see [visible].
func plain(text string) string {
	line := visible(text)
	if len(line) <= maxText {
		return line
	}
	const more = " …"
	return strings.ToValidUTF8(line[:maxText-len(more)], "") + more
}

// visible returns a text from outside as one line. It writes out characters
// that are invisible or that reorder the text.
func visible(text string) string {
	var b strings.Builder
	for _, r := range strings.ToValidUTF8(text, "\uFFFD") {
		switch {
		case unicode.IsSpace(r):
			r = ' '
		case !unicode.IsGraphic(r):
			fmt.Fprintf(&b, "\\u{%X}", r)
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}

// sentence returns a text that begins with a capital and ends with a full stop.
func sentence(text string) string {
	first, size := utf8.DecodeRuneInString(text)
	if size == 0 {
		return ""
	}
	return string(unicode.ToUpper(first)) + text[size:] + "."
}

type moment struct{ Machine, Text, Distance string }

// momentOf returns nil for the zero time.
func momentOf(t, now time.Time) *moment {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &moment{
		Machine:  t.Format(time.RFC3339),
		Text:     t.Format("2006-01-02 15:04:05") + " UTC",
		Distance: distance(t.Sub(now)),
	}
}

// distance says in words how far a time is from now.
func distance(d time.Duration) string {
	ahead := d > 0
	d = d.Abs().Round(time.Second)
	var span string
	switch {
	case d < 2*time.Second:
		return "now"
	case d < 2*time.Minute:
		span = fmt.Sprintf("%d seconds", d/time.Second)
	case d < 2*time.Hour:
		span = fmt.Sprintf("%d minutes", d/time.Minute)
	case d < 48*time.Hour:
		span = fmt.Sprintf("%d hours", d/time.Hour)
	default:
		span = fmt.Sprintf("%d days", d/(24*time.Hour))
	}
	if ahead {
		return "in " + span
	}
	return span + " ago"
}
