package dashboard_test

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector/access"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/dashboard"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/release"
)

// TestReleases publishes and removes releases on the settings page.
func TestReleases(t *testing.T) {
	s := newSite(t)
	admin := s.token(access.Admin, "app")
	if page := s.settings(admin); !strings.Contains(page, "No releases yet.") {
		t.Error("the page does not say that there are no releases")
	}
	publish := func(want int, fields ...string) string {
		t.Helper()
		form := url.Values{"do": {"release"}, "channel": {"stable"}}
		for i := 0; i < len(fields); i += 2 {
			form.Set(fields[i], fields[i+1])
		}
		return s.post(admin, want, form)
	}
	const bad, done = http.StatusBadRequest, http.StatusSeeOther
	publish(bad, "version", "")
	publish(bad, "version", "1.0", "channel", "")
	publish(bad, "version", "1.0", "url", "http://example.com/")
	publish(bad, "version", "1.0", "url", "javascript:alert(1)")
	publish(bad, "version", "1.0", "date", "6 May")
	publish(bad, "version", "1.0", "severity", "urgent")
	publish(bad, "version", "1.0", "commit", "main")
	publish(done, "version", " v1.0 ", "date", "2026-05-06", "url", "https://example.com/?a&b", "severity", "security", "commit", "0123abc")
	for i := range 7 {
		publish(done, "channel", "dev", "version", "2.0."+strconv.Itoa(i))
	}
	channels, err := s.releases.Channels(t.Context(), s.app.Num)
	if err != nil {
		t.Fatal(err)
	}
	got, _ := channels.Current("stable")
	if got.Version != "1.0" || got.Date.String() != "2026-05-06" || got.URL != "https://example.com/?a&b" || got.Severity != release.Security || got.Commit != "0123abc" {
		t.Errorf("got %+v", got)
	}
	page := s.settings(admin)
	for text, want := range map[string]int{
		`1.0 (current)`: 1, `2.0.6 (current)`: 1, `(current)`: 2, `https://example.com/?a&amp;b`: 1, `>2.0.2<`: 1, `2.0.1`: 0,
	} {
		if n := strings.Count(page, text); n != want {
			t.Errorf("the page has %q %d times, want %d", text, n, want)
		}
	}

	remove := url.Values{"do": {"release-remove"}, "channel": {"dev"}, "version": {"2.0.6"}}
	s.post(admin, done, remove)
	s.post(admin, bad, remove)
	s.post(admin, bad, url.Values{"do": {"release-remove"}, "channel": {"dev"}}) // not the channel
	if page := s.settings(admin); !strings.Contains(page, "2.0.5 (current)") {
		t.Error("the release before is not current")
	}
	s.post(s.token(access.Read, "app"), http.StatusNotFound, remove)
	_, log := s.do("GET", "/a/app/audit", admin, nil)
	for _, want := range []string{"release_set", "stable 1.0", "release_removed", "dev 2.0.6"} {
		if !strings.Contains(log, want) {
			t.Errorf("the audit log does not have %q", want)
		}
	}
}

// Without a store of releases the page has no panel, and changes are refused.
func TestNoReleases(t *testing.T) {
	s := newSite(t)
	pages, err := dashboard.New(dashboard.Options{Collector: s.c, Access: s.access})
	if err != nil {
		t.Fatal(err)
	}
	s.serve(pages)
	admin := s.token(access.Admin, "app")
	if page := s.settings(admin); strings.Contains(page, `id="releases"`) {
		t.Error("the page has the panel")
	}
	s.post(admin, http.StatusBadRequest, url.Values{"do": {"release"}, "channel": {"stable"}, "version": {"1.0"}})
	s.post(admin, http.StatusBadRequest, url.Values{"do": {"release-remove"}, "channel": {"stable"}, "version": {"1.0"}})
}
