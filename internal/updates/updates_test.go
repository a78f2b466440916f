package updates_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/internal/schedule"
	"github.com/rollcall-dev/rollcall/internal/updates"
	"github.com/rollcall-dev/rollcall/report"
)

const prefix = "https://example.org/releases/"

// list returns releases, whose severity follows the version after a colon.
func list(order report.VersionOrder, versions ...string) report.Releases {
	l := report.Releases{Order: order}
	for _, text := range versions {
		version, severity, _ := strings.Cut(text, "#")
		l.List = append(l.List, report.Release{Version: version, URL: prefix + "x", Severity: report.ReleaseSeverity(severity)})
	}
	return l
}

// TestFor: the newest release counts, wherever it is in the list, with the
// greatest severity of all that are newer.
func TestFor(t *testing.T) {
	for _, tt := range []struct {
		order    report.VersionOrder
		releases []string
		running  string
		want     string
	}{
		{"natural", nil, "1.0", ""},
		{"natural", []string{"1.0"}, "1.0", ""},
		{"natural", []string{"1.0"}, "v1.0", ""},
		{"natural", []string{"1.0#security"}, "1.0", ""},
		{"natural", []string{"1.0#security"}, "1.1", ""},
		{"natural", []string{"1.1"}, "1.0", "1.1"},
		{"natural", []string{"1.9", "1.10", "1.2"}, "1.2", "1.10"},
		{"natural", []string{"1.3", "1.2#security", "1.1#recommended"}, "1.0", "1.3#security"},
		{"natural", []string{"1.3", "1.2#security", "1.1#recommended"}, "1.1", "1.3#security"},
		{"natural", []string{"1.3", "1.2#security", "1.1#recommended"}, "1.2", "1.3"},
		{"natural", []string{"1.3#recommended", "1.2#security"}, "1.2", "1.3#recommended"},
		{"natural", []string{"1.3#recommended", "1.2"}, "1.3", ""},
		{"natural", []string{"1.3", "1.2#recommended", "1.1#security"}, "1.1", "1.3#recommended"},
		// The order is the app's.
		{"natural", []string{"2.0.0-ls5"}, "2.0.0", "2.0.0-ls5"},
		{"semver", []string{"2.0.0-ls5"}, "2.0.0", ""},
		{"pep440", []string{"1!0.1", "2.0"}, "2.0", "1!0.1"},
		{"pep440", []string{"2.0.post1"}, "2.0", "2.0.post1"},
		{"pep440", []string{"2.0a1"}, "2.0", ""},
		{"debian", []string{"1:1.0-1"}, "2.0-1", "1:1.0-1"},
		{"debian", []string{"2.0~rc1"}, "2.0", ""},
		// What does not name a version has no updates.
		{"natural", []string{"1.0"}, "", ""},
		{"natural", []string{"1.0"}, "(devel)", ""},
		{"natural", []string{"1.0"}, "unknown", ""},
	} {
		got := updates.From(list(tt.order, tt.releases...), prefix).For(tt.running)
		text := got.Version
		if got.Severity != "" {
			text += "#" + string(got.Severity)
		}
		if text != tt.want || (got.URL != "") != (tt.want != "") {
			t.Errorf("%s %q, running %q: got %+v, want %q", tt.order, tt.releases, tt.running, got, tt.want)
		}
	}
}

// TestAddress: no URL leads anywhere else than below the prefix.
func TestAddress(t *testing.T) {
	for _, tt := range []struct {
		prefix string
		below  []string
		not    []string
	}{
		{"https://example.org", []string{
			"https://example.org", "https://example.org/", "https://example.org/a/b", "https://example.org?v=1", "https://example.org#x",
		}, []string{
			"", "https://example.org.evil", "https://example.org.evil/", "https://example.org@evil.example/", "https://example.org:8443/", "https://example.orgevil/",
			"http://example.org/", "HTTPS://example.org/", "https://user@example.org/", "https://user:pw@example.org/", "//example.org/", "javascript:alert(1)",
			"https://EXAMPLE.org/", "https://example.org\\@evil.example/", "https:/example.org/", " https://example.org/", "https://example.org\t/", "https://evil.example/https://example.org/",
		}},
		{"https://example.org/app/releases", []string{
			"https://example.org/app/releases", "https://example.org/app/releases/tag/v1.2.3%2Bbuild", "https://example.org/app/releases?q=a.b&c=../x", "https://example.org/app/releases/a//b",
			"https://example.org/app/releases/.hidden/..x/x..", "https://example.org/app/releases/#1.0",
		}, []string{
			"https://example.org/app/releases-evil", "https://example.org/app/releases.evil", "https://example.org/app", "https://example.org/app/",
			"https://example.org/app/releases/../../evil", "https://example.org/app/releases/..", "https://example.org/app/releases/./x", "https://example.org/app/releases/a/../b",
			"https://example.org/app/releases/%2e%2e/evil", "https://example.org/app/releases/%2E./evil", "https://example.org/app/releases/.%2e/evil", "https://example.org/app/releases/%2fevil",
			"https://example.org/app/releases/%5c..%5cevil", "https://example.org/app/releases/%252e%252e/evil", "https://example.org/app/releases/..\\..\\evil", "https://example.org/app/releases/\\evil",
			"https://example.org/app/releases/%", "https://example.org/app/releases/%2", "https://example.org/app/releases/%zz", "https://example.org/app/releases/%00", "https://example.org/app/releases/%0d%0aSet-Cookie",
			"https://example.org/app/releases/\n", "https://example.org/app/releases/\"onclick", "https://example.org/app/releases/<b>", "https://example.org/app/releases/ä", "https://example.org/app/releases/ x",
		}},
		{"https://example.org/releases/", []string{"https://example.org/releases/", "https://example.org/releases/1.0"}, []string{"https://example.org/releases", "https://example.org/releasesevil", "https://example.org/releases/../x"}},
		{"https://example.org:8443/", []string{"https://example.org:8443/x"}, []string{"https://example.org/x", "https://example.org:84430/"}},
	} {
		if err := updates.CheckPrefix(tt.prefix); err != nil {
			t.Errorf("%q: %v", tt.prefix, err)
		}
		shown := func(url string) bool {
			l := report.Releases{Order: "natural", List: []report.Release{{Version: "2", URL: url}}}
			r := updates.From(l, tt.prefix).For("1")
			if r.Version != "2" || r.URL != "" && r.URL != url {
				t.Errorf("%q: got %+v", url, r)
			}
			return r.URL != ""
		}
		for _, url := range tt.below {
			if !shown(url) {
				t.Errorf("prefix %q: %q is dropped", tt.prefix, url)
			}
		}
		for _, url := range tt.not {
			if shown(url) {
				t.Errorf("prefix %q: %q is shown", tt.prefix, url)
			}
		}
	}
	for _, text := range []string{
		"", "https://", "https:///x", "http://example.org/", "ftp://example.org/", "example.org", "https://user@example.org/", "https://example.org/?q", "https://example.org/#x", "https://example.org?q",
		"https://example.org/../x", "https://example.org/a/./b", "https://example.org/%2e", "https://example.org/a b", "https://exa mple.org/", "https://-x/", "https://example.org\\x", "HTTPS://example.org/",
		"https://example.org/" + strings.Repeat("x", 240),
	} {
		if updates.CheckPrefix(text) == nil {
			t.Errorf("prefix %q is allowed", text)
		}
	}
}

// TestRecord: a record survives, and what is not valid in it does not.
func TestRecord(t *testing.T) {
	at := time.Date(2027, 3, 1, 2, 3, 4, 0, time.UTC)
	full := updates.Record{
		Seed: "abc123", Source: updates.SourceOf("https://c.example/v1/releases/app?channel=stable", prefix), ETag: `W/"0123abcd"`,
		Known: updates.Known{
			Order: "pep440", Recommended: "2.0", Security: "1.9",
			Newest: report.Release{Version: "2.1", URL: prefix + "2.1?a=1&b=2", Date: time.Date(2027, 2, 28, 0, 0, 0, 0, time.UTC), Severity: "recommended"},
		},
		State: schedule.State{Success: at, Attempt: at, Attempts: 2, Error: "the collector answered 500 (internal server error)"},
	}
	empty := updates.Record{Known: updates.Known{Order: "natural"}}
	for _, r := range []updates.Record{full, full.Forgotten()} {
		got := updates.Parse(r.Marshal(), prefix)
		if got.Known.Order == "natural" {
			got.Known.Order = ""
		}
		if got != r {
			t.Errorf("got  %+v\nwant %+v", got, r)
		}
	}
	if full.IsForgotten() || !full.Forgotten().IsForgotten() || full.Forgotten().State.Attempts != 2 {
		t.Errorf("got %+v", full.Forgotten())
	}
	if got := updates.Parse(full.Marshal(), "https://other.example/"); got.Known.Newest.URL != "" || got.Known.Newest.Version != "2.1" {
		t.Errorf("with another prefix: got %+v", got.Known)
	}
	for _, text := range []string{"", "null", "[]", "{}", `{"seed"`, `{"newest":"1 call now","source":"a b"}`, `{"newest":1,"source":7,"etag":"\"x\""}`} {
		got := updates.Parse([]byte(text), prefix)
		got.Known.Order = "natural"
		if got != empty {
			t.Errorf("%q: got %+v", text, got)
		}
	}
	damaged := `{"seed":"a b","source":"x","etag":"no","order":"best","newest":"2.0","url":"https://evil.example/","date":"soon","severity":"dire","recommended":"<b>","security":"1 2","last_success":"x"}`
	want := updates.Record{Source: "x", Known: updates.Known{Order: "natural", Newest: report.Release{Version: "2.0"}}}
	if got := updates.Parse([]byte(damaged), prefix); got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	// The largest record fits.
	largest := full
	largest.Known.Newest.URL = prefix + strings.Repeat("&", 256-len(prefix))
	largest.Known.Newest.Version, largest.Known.Recommended, largest.Known.Security = strings.Repeat("1", 64), strings.Repeat("2", 64), strings.Repeat("3", 64)
	largest.ETag = `W/"` + strings.Repeat("&", 96) + `"`
	largest.Seed, largest.Source = strings.Repeat("s", 40), strings.Repeat("s", 40)
	largest.State = schedule.State{Since: at, Success: at, Present: at, Attempt: at, Attempts: 1 << 62, Failing: at, Retry: at, Error: strings.Repeat("x", 200), Gone: "0123456789abcdef", HealthGone: "0123456789abcdef"}
	if n := len(largest.Marshal()); n > 4<<10 {
		t.Errorf("%d bytes", n)
	}
	if got := updates.Parse(largest.Marshal(), prefix); got != largest {
		t.Errorf("got  %+v\nwant %+v", got, largest)
	}
}

func TestValidETag(t *testing.T) {
	for text, want := range map[string]bool{
		`"a"`: true, `W/"a"`: true, `""`: true, `"!#~"`: true, "": false, "a": false, `"`: false, `W/"`: false, `w/"a"`: false, `"a"b"`: false, `"a b"`: false,
		"\"a\r\nX: y\"": false, `"ä"`: false, `"` + strings.Repeat("x", 98) + `"`: true, `"` + strings.Repeat("x", 99) + `"`: false,
	} {
		if got := updates.ValidETag(text); got != want {
			t.Errorf("%q: got %v", text, got)
		}
	}
}

// FuzzParse: whatever is in the file, what comes out is valid.
func FuzzParse(f *testing.F) {
	f.Add(fmt.Appendf(nil, `{"newest":"2.1","url":%q,"source":"x","last_success":"2027-03-01T00:00:00Z"}`, prefix+"a"))
	f.Fuzz(func(t *testing.T, data []byte) {
		k := updates.Parse(data, prefix).Known
		for _, version := range []string{k.Newest.Version, k.Recommended, k.Security} {
			if version != "" && !report.ValidRelease(version) {
				t.Errorf("version %q", version)
			}
		}
		if k.Newest.URL != "" && !strings.HasPrefix(k.Newest.URL, prefix) {
			t.Errorf("URL %q", k.Newest.URL)
		}
	})
}
