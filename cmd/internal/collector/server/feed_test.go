package server_test

import (
	"context"
	"encoding/xml"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/access"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/insight"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/server"
)

// An atomFeed is what a reader of feeds looks at.
type atomFeed struct {
	XMLName xml.Name `xml:"http://www.w3.org/2005/Atom feed"`
	ID      string   `xml:"id"`
	Title   string   `xml:"title"`
	Updated string   `xml:"updated"`
	Author  string   `xml:"author>name"`
	Links   []struct {
		Rel  string `xml:"rel,attr"`
		Href string `xml:"href,attr"`
	} `xml:"link"`
	Entries []struct {
		ID      string `xml:"id"`
		Title   string `xml:"title"`
		Updated string `xml:"updated"`
		Content struct {
			Type string `xml:"type,attr"`
			Text string `xml:",chardata"`
		} `xml:"content"`
		Links []struct {
			Rel  string `xml:"rel,attr"`
			Href string `xml:"href,attr"`
		} `xml:"link"`
	} `xml:"entry"`
}

// parseFeed checks what RFC 4287 requires of a feed.
func parseFeed(t *testing.T, w *httptest.ResponseRecorder) (f atomFeed) {
	t.Helper()
	if w.Code != 200 || w.Header().Get("Content-Type") != "application/atom+xml; charset=utf-8" || w.Header().Get("X-Content-Type-Options") != "nosniff" {
		t.Fatalf("got %d %v %s", w.Code, w.Header(), w.Body)
	}
	decoder := xml.NewDecoder(w.Body)
	if err := decoder.Decode(&f); err != nil {
		t.Fatal(err)
	}
	ids := map[string]bool{}
	item := func(id, title, updated string) {
		t.Helper()
		if ids[id] || !regexp.MustCompile(`^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`).MatchString(id) {
			t.Errorf("ID %q is not a UUID, or used twice", id)
		}
		ids[id] = true
		if _, err := time.Parse(time.RFC3339, updated); err != nil || title == "" {
			t.Errorf("title %q, updated %q: %v", title, updated, err)
		}
	}
	item(f.ID, f.Title, f.Updated)
	self := false
	for _, l := range f.Links {
		at, err := url.Parse(l.Href)
		self = self || l.Rel == "self"
		if err != nil || !at.IsAbs() {
			t.Errorf("link %q", l.Href)
		}
	}
	if !self || f.Author == "" {
		t.Error("the feed has no link to itself, or no author")
	}
	for _, e := range f.Entries {
		item(e.ID, e.Title, e.Updated)
		if len(e.Links) != 1 || e.Links[0].Rel != "alternate" || e.Content.Text == "" {
			t.Errorf("entry %+v", e)
		}
	}
	return f
}

// A feed of a private app needs a token, and its address at most one that permits
// nothing else. Entries are always the same.
func TestFeed(t *testing.T) {
	weeks := []insight.Week{
		{To: 20500, Made: time.Unix(20501*86400, 0).UTC(), Findings: []insight.Finding{
			{Kind: insight.Adopted, Version: `1.2<b>"&`, Now: 65, Of: 100, Before: 10, OfBefore: 100},
		}},
		{To: 20493, Made: time.Unix(20494*86400, 0).UTC()},
	}
	r := newRig(t, func(o *server.Options) {
		o.Weeks = func(context.Context, collector.AppNum) ([]insight.Week, error) { return weeks, nil }
	})
	tokens := map[access.Scope]string{}
	for _, scope := range access.Scopes() {
		var err error
		if tokens[scope], err = r.tokens.Add(t.Context(), access.Machine, "a "+string(scope), scope, "app"); err != nil {
			t.Fatal(err)
		}
	}
	const path = "/api/v1/apps/app/feed.atom"
	get := func(target, token string, header ...string) *httptest.ResponseRecorder {
		if token != "" {
			header = append(header, "Authorization: Bearer "+token)
		}
		return r.do("GET", target, here, "", header...)
	}
	for _, tt := range []struct {
		what, target, token string
		status              int
	}{
		{"nobody", path, "", 401},
		{"a feed token in the address", path + "?token=" + tokens[access.Feed], "", 200},
		{"a feed token", path, tokens[access.Feed], 200},
		{"a read token", path, tokens[access.Read], 200},
		{"an admin token", path, tokens[access.Admin], 200},
		{"a release token", path, tokens[access.Release], 401},
		{"a read token in the address", path + "?token=" + tokens[access.Read], "", 403},
		{"an admin token in the address", path + "?token=" + tokens[access.Admin], "", 403},
		{"a wrong token", path + "?token=rct_x", "", 401},
		{"another app", "/api/v1/apps/other/feed.atom?token=" + tokens[access.Feed], "", 401},
		{"another parameter", path + "?to=2026-05-06", tokens[access.Read], 400},
		{"a feed token for figures", "/api/v1/apps/app/series", tokens[access.Feed], 401},
		{"a feed token for figures, in the address", "/api/v1/apps/app/series?token=" + tokens[access.Feed], "", 401},
	} {
		if w := get(tt.target, tt.token); w.Code != tt.status {
			t.Errorf("%s: got %d %s, want %d", tt.what, w.Code, w.Body, tt.status)
		}
	}
	w := get(path+"?token="+tokens[access.Feed], "")
	tag := w.Header().Get("ETag")
	if h := w.Header(); h.Get("Cache-Control") != "private, no-cache" || h.Get("Referrer-Policy") != "no-referrer" || strings.Contains(w.Body.String(), tokens[access.Feed]) {
		t.Errorf("got %v", h)
	}
	f := parseFeed(t, w)
	if len(f.Entries) != 2 || f.Updated != f.Entries[0].Updated || f.Entries[0].Title != `Week to 16 February 2026: 1.2<b>"& reached 65%, from 10% a week before` ||
		f.Entries[1].Title != "Week to 9 February 2026: Nothing unusual this week" {
		t.Errorf("got %+v", f)
	}
	if want := `<ul><li><a href="http://example.com/a/app/version?from=2026-02-03&amp;to=2026-02-16&amp;version=1.2%3Cb%3E%22%26#running">1.2&lt;b&gt;&#34;&amp; reached 65%, from 10% a week before</a></li></ul>`; f.Entries[0].Content.Text != want {
		t.Errorf("got %s, want %s", f.Entries[0].Content.Text, want)
	}
	if again := parseFeed(t, get(path, tokens[access.Read])); again.ID != f.ID || again.Entries[0].ID != f.Entries[0].ID {
		t.Error("the IDs differ")
	}
	if w := get(path, tokens[access.Feed], "If-None-Match: "+tag); w.Code != 304 {
		t.Errorf("unchanged: got %d", w.Code)
	}
	weeks = nil
	if f := parseFeed(t, get(path, tokens[access.Feed], "If-None-Match: "+tag)); len(f.Entries) != 0 {
		t.Errorf("without weeks: got %+v", f)
	}
}
