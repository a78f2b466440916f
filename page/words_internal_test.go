package page

import (
	"html/template"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/rollcall-dev/rollcall"
	"github.com/rollcall-dev/rollcall/report"
)

func TestPlain(t *testing.T) {
	for text, want := range map[string]string{
		"":                            "",
		"config /srv/app.json, key k": "config /srv/app.json, key k",
		"Grüße, 世界":                   "Grüße, 世界",
		"two\nlines\tand\u00a0spaces": "two lines and spaces",
		"a\u202eb":                    `a\u{202E}b`, // right-to-left override
		"zero\u200bwidth\x1b[31m\x00": `zero\u{200B}width\u{1B}[31m\u{0}`,
		"not\xffUTF-8":                "not\uFFFDUTF-8",
		"\u2028":                      " ",
	} {
		if got := plain(text); got != want {
			t.Errorf("plain(%q): got %q, want %q", text, got, want)
		}
	}
}

func TestPlainIsShort(t *testing.T) {
	for _, text := range []string{strings.Repeat("a", 10_000), strings.Repeat("€", 10_000), strings.Repeat("\x00", 10_000)} {
		got := plain(text)
		if len(got) > maxText || !utf8.ValidString(got) || !strings.HasSuffix(got, " …") {
			t.Errorf("got %d bytes: %q", len(got), got)
		}
	}
}

func TestDistance(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0:                        "now",
		-1400 * time.Millisecond: "now",
		2 * time.Second:          "in 2 seconds",
		-119 * time.Second:       "119 seconds ago",
		-2 * time.Minute:         "2 minutes ago",
		119 * time.Minute:        "in 119 minutes",
		2 * time.Hour:            "in 2 hours",
		-47 * time.Hour:          "47 hours ago",
		-48 * time.Hour:          "2 days ago",
		1<<63 - 1:                "in 106751 days",
		-1 << 63:                 "106751 days ago",
	} {
		if got := distance(d); got != want {
			t.Errorf("distance(%v): got %q, want %q", d, got, want)
		}
	}
}

func TestMomentIsUTC(t *testing.T) {
	in := now.In(time.FixedZone("Elsewhere", 5*60*60))
	if got, want := *momentOf(in, now), (moment{"2026-11-23T17:20:05Z", "2026-11-23 17:20:05 UTC", "now"}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got := momentOf(time.Time{}, now); got != nil {
		t.Errorf("got %+v for no time, want nil", got)
	}
}

// hostile is a text from outside that must stay text and must not look like
// another one.
const hostile = "</code><script>alert(1)</script><img src=x onerror=alert(1)>\"'`{{.}}\u202e javascript:alert(1)"

// Everything from outside is shown as text.
func TestEscaping(t *testing.T) {
	s := working()
	for _, text := range []*string{
		&s.status.Place, &s.status.Reason, &s.status.LastError, &s.status.Stuck, &s.status.Consent.Source.Name,
		&s.status.Reporting.Endpoint, &s.status.Reporting.LastError, &s.status.Reporting.Withheld, &s.status.Reporting.Health.Source.Name,
	} {
		*text = hostile
	}
	s.status.StuckSince = now.Add(-time.Hour)
	s.glance.preview.Heartbeat = []byte(hostile)
	s.glance.preview.Health = []byte(hostile)
	s.glance.preview.Fields = []rollcall.ExplainedField{{Field: report.Field{Name: hostile, Reason: hostile}, Value: hostile}, {
		Field: report.Field{Name: hostile, Since: 2},
	}}
	n := notices[notSent]
	n.Detail = plain(hostile)

	templates := template.Must(parseTemplates())
	v := newView(hostile, &n, &s.status, s.glance, now)
	pages := []string{
		execute(t, templates, "page.html", v),
		execute(t, templates, "confirm.html", confirmation{step: forgetting, view: v, Short: plain(hostile), Can: true}),
		execute(t, templates, "foreign.html", v),
	}
	s.glance.previewError = errorText(hostile)
	pages = append(pages, execute(t, templates, "page.html", newView(hostile, nil, &s.status, s.glance, now)))
	for _, page := range pages {
		if !strings.Contains(page, "&lt;script&gt;alert(1)&lt;/script&gt;") {
			t.Errorf("the text is not on the page:\n%s", page)
		}
		for _, unwanted := range []string{"<script>", "<img", "href=\"javascript:", "action=\"&", "ZgotmplZ"} {
			if strings.Contains(page, unwanted) {
				t.Errorf("got %q in\n%s", unwanted, page)
			}
		}
	}
	// Reports are shown byte for byte. Everywhere else the override is written out.
	if got := strings.Count(pages[0], "\u202e"); got != 4 {
		t.Errorf("got %d right-to-left overrides, want those of two reports, each shown twice", got)
	}
}

type errorText string

func (e errorText) Error() string { return string(e) }
