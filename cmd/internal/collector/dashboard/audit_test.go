package dashboard_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/access"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/audit"
)

// The settings have the title and the navigation of their own page.
func TestSettingsTitle(t *testing.T) {
	s := newSite(t)
	body := s.get("/a/app/settings", s.token(access.Admin, "app"), http.StatusOK)
	if !strings.Contains(body, "<title>Settings ·") || strings.Contains(body, `aria-current="page">Audit log`) {
		t.Errorf("got %.600s", body)
	}
}

// A download is an export, of a page as of the API. To the admins of an app,
// the tokens of another are nobody.
func TestDownloadsAreAudited(t *testing.T) {
	s := newSite(t)
	app, _ := s.c.App("app")
	app.Public = true
	if err := s.c.UpdateApp(t.Context(), app); err != nil {
		t.Fatal(err)
	}
	if _, err := s.c.AddApp(t.Context(), collector.App{Key: "other"}); err != nil {
		t.Fatal(err)
	}
	s.fill(120, 60)
	for _, app := range []string{"app", "other"} {
		token, err := s.access.Add(t.Context(), access.Machine, "of "+app, access.Read, app)
		if err != nil {
			t.Fatal(err)
		}
		s.get("/a/app/overview/active.csv", token, http.StatusOK)
	}
	list, err := s.audit.Entries(t.Context(), "app")
	if err != nil || len(list) != 2 || list[0].Actor != audit.Nobody || list[1].Actor != "of app" || list[0].Action != audit.Exported ||
		list[0].Detail != "overview/active" {
		t.Errorf("got %+v, %v", list, err)
	}
}

// A form says what was changed only where something is.
func TestClearHasNoDetail(t *testing.T) {
	s := newSite(t)
	form := url.Values{"fault": {"admin token for somebody"}, "": {"x"}}
	if resp, body := s.do("POST", "/a/app/quality", s.token(access.Admin, "app"), form); resp.StatusCode != http.StatusSeeOther {
		t.Fatalf("%d %s", resp.StatusCode, body)
	}
	if list, err := s.audit.Entries(t.Context(), ""); err != nil || len(list) != 1 || list[0].Detail != "" {
		t.Errorf("got %+v, %v", list, err)
	}
}
