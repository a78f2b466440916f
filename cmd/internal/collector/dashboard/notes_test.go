package dashboard_test

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/access"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/release"
)

// The settings page adds and removes notes, as plain text.
func TestNotes(t *testing.T) {
	s := newSite(t)
	admin, reader := s.token(access.Admin, "app"), s.token(access.Read, "app")
	day := collector.DayOf(time.Now()).String()
	add := url.Values{"do": {"note"}, "day": {day}, "text": {" <b>talk</b> "}}
	s.post(reader, http.StatusNotFound, add)
	s.post(admin, http.StatusSeeOther, add)
	for field, value := range map[string]string{"day": "6 May", "text": strings.Repeat("x", 201)} {
		bad := url.Values{"do": {"note"}, "day": {day}, "text": {"text"}}
		bad.Set(field, value)
		s.post(admin, http.StatusBadRequest, bad)
	}
	if page := s.settings(admin); strings.Count(page, "&lt;b&gt;talk&lt;/b&gt;") != 2 || strings.Contains(page, "<b>talk") {
		t.Error("the page does not show the note as plain text")
	}
	remove := url.Values{"do": {"note-remove"}, "id": {"1"}}
	s.post(reader, http.StatusNotFound, remove)
	s.post(admin, http.StatusSeeOther, remove)
	s.post(admin, http.StatusBadRequest, remove)
	s.post(admin, http.StatusBadRequest, url.Values{"do": {"note-remove"}, "id": {"x"}})
	if page := s.settings(admin); strings.Contains(page, "&lt;b&gt;talk") {
		t.Error("the note is still there")
	}
	_, log := s.do("GET", "/a/app/audit", admin, nil)
	for _, want := range []string{"note_added", "note_removed", "&lt;b&gt;talk"} {
		if !strings.Contains(log, want) {
			t.Errorf("the audit log does not have %q", want)
		}
	}
}

// Releases and notes stand on the time axes. The public sees declared releases only.
func TestMarksOfPages(t *testing.T) {
	s := newSite(t)
	s.fill(300, 90)
	today, since, err := s.c.Today(s.app.Num)
	if err != nil {
		t.Fatal(err)
	}
	admin := s.token(access.Admin, "app")
	s.get("/a/app/overview", admin, http.StatusOK)
	resp, before := s.do("GET", "/a/app/overview", admin, nil)
	if !strings.Contains(before, "1.2.1 first seen") {
		t.Error("a release that was first seen is not marked")
	}
	s.post(admin, http.StatusSeeOther, url.Values{"do": {"note"}, "day": {(today - 3).String()}, "text": {"<i>mirror</i>"}})
	if err := s.releases.Set(t.Context(), s.app.Num, "stable", release.Release{Version: "1.2.1", Date: today - 20}); err != nil {
		t.Fatal(err)
	}
	after, _ := s.do("GET", "/a/app/overview", admin, nil, "If-None-Match", resp.Header.Get("ETag"))
	if after.StatusCode != http.StatusOK {
		t.Errorf("a browser keeps the page without the note: got %d", after.StatusCode)
	}
	for _, page := range []string{"overview", "versions", "health", "features", "quality"} {
		body := s.get("/a/app/"+page, admin, http.StatusOK)
		if !strings.Contains(body, `<g class="event note"><title>&lt;i&gt;mirror&lt;/i&gt;`) || !strings.Contains(body, "1.2.1 released") ||
			strings.Contains(body, "1.2.1 first seen") || strings.Contains(body, "<i>mirror") || !strings.Contains(body, `id="events"`) {
			t.Errorf("%s: a mark is missing", page)
		}
	}
	if body := s.get("/a/app/overview?days=2", admin, http.StatusOK); strings.Contains(body, "mirror") {
		t.Error("a note of an earlier day is marked")
	}
	s.app.Public = true
	if err := s.c.UpdateApp(t.Context(), s.app); err != nil {
		t.Fatal(err)
	}
	body := s.get("/a/app/versions?days=90&from="+since.String(), "", http.StatusOK)
	if strings.Contains(body, "mirror") || regexp.MustCompile(`<title>[^<]*first seen`).MatchString(body) {
		t.Error("the public sees notes or first sights")
	}
	if !strings.Contains(body, "1.2.1 released") {
		t.Error("the public does not see a declared release")
	}
}
