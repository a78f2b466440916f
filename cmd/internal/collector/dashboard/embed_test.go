package dashboard_test

import (
	"html"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector/access"
)

// A public app's pages say what other sites show beside a link to them, and the
// settings have lines to copy. A private app's have neither.
func TestEmbed(t *testing.T) {
	s := newSite(t)
	s.fill(300, 60)
	admin := s.token(access.Admin, "app")
	if page := s.get("/a/app/overview", admin, http.StatusOK); strings.Contains(page, "og:") || strings.Contains(page, "feed.atom") {
		t.Error("a private app has a card")
	}
	if page := s.settings(admin); strings.Contains(page, "chart/active.svg") || !strings.Contains(page, s.url+"/api/v1/apps/app/feed.atom?token=") {
		t.Error("the settings of a private app have charts, or no feed")
	}
	s.app.Public = true
	if err := s.c.UpdateApp(t.Context(), s.app); err != nil {
		t.Fatal(err)
	}
	page := s.get("/a/app/overview", "", http.StatusOK)
	for _, want := range []string{
		`<meta property="og:title" content="&lt;b&gt;App&lt;/b&gt;: active installations">`,
		`<meta property="og:url" content="` + s.url + `/a/app/overview">`,
		`<meta property="og:image" content="` + s.url + `/api/v1/apps/app/card.png">`,
		`<meta property="og:image:width" content="1200">`, `<meta property="og:image:height" content="630">`,
		`<meta name="twitter:card" content="summary_large_image">`,
		`<link rel="alternate" type="application/atom+xml" title="&lt;b&gt;App&lt;/b&gt;: active installations" href="` + s.url + `/api/v1/apps/app/feed.atom">`,
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
	lines := regexp.MustCompile(`<pre tabindex="0" id="(embed-\w+)"><code>(.*?)</code>`).FindAllStringSubmatch(s.settings(admin), -1)
	if len(lines) != 5 {
		t.Fatalf("got %d lines to copy", len(lines))
	}
	for _, l := range lines {
		line := html.UnescapeString(l[2])
		if !strings.Contains(line, s.url+"/a/app/overview") || !strings.Contains(line, s.url+"/api/v1/apps/app/") {
			t.Errorf("%s: %s", l[1], line)
		}
	}
}
