package dashboard_test

import (
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/access"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/alert"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/figures"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/insight"
)

var changedLines = regexp.MustCompile(`(?s)<section class="changed".*?</section>`)

// The overview says what changed to readers with a token, each with a page that
// shows it.
func TestChanged(t *testing.T) {
	s := newSite(t)
	s.fill(600, 90)
	admin := s.token(access.Admin, "app")
	page := changedLines.FindString(s.get("/a/app/overview", admin, http.StatusOK))
	links := regexp.MustCompile(`<a href="([^"#]*)#([^"]*)">`).FindAllStringSubmatch(page, -1)
	if len(links) == 0 {
		t.Fatalf("nothing changed: %s", page)
	}
	for _, l := range links {
		if !strings.Contains(s.get(html.UnescapeString(l[1]), admin, http.StatusOK), `id="`+l[2]+`"`) {
			t.Errorf("%s has no panel %s", l[1], l[2])
		}
	}
	s.app.Public = true
	if err := s.c.UpdateApp(t.Context(), s.app); err != nil {
		t.Fatal(err)
	}
	if page := s.get("/a/app/overview", "", http.StatusOK); strings.Contains(page, "What changed") {
		t.Error("the public sees what changed")
	}
}

// Every kind of finding leads to a panel that exists.
func TestPagesOfFindings(t *testing.T) {
	s := newSite(t)
	s.fill(300, 60)
	admin := s.token(access.Admin, "app")
	today, _, err := s.c.Today(s.app.Num)
	if err != nil {
		t.Fatal(err)
	}
	r := insight.Report{To: today - 1, Before: today - 8}
	faults, err := s.c.Faults(t.Context(), s.app.Num, collector.Range{From: today - 14, To: today - 1}, figures.View{})
	if err != nil || len(faults.Faults) == 0 {
		t.Fatalf("no faults: %v", err)
	}
	var findings []insight.Finding
	for _, kind := range []insight.Kind{
		insight.Silent, insight.FaultNew, insight.FaultRose, insight.FaultFell, insight.ReleaseNew, insight.Adopted, insight.ActiveRose,
		insight.ActiveFell, insight.NewRose, insight.NewFell, insight.ValueNew, insight.ShareRose, insight.ShareFell,
	} {
		findings = append(findings, insight.Finding{Kind: kind, Version: "1.1.1"}, insight.Finding{Kind: kind, Dimension: collector.DimMachine, Value: "arm64"},
			insight.Finding{Kind: kind, Fault: faults.Faults[0].ID},
			insight.Finding{Kind: insight.Firing, About: kind})
	}
	for _, f := range findings {
		path, panel, _ := strings.Cut(f.Page(r), "#")
		if page := s.get("/a/app/"+path, admin, http.StatusOK); !strings.Contains(page, `id="`+panel+`"`) {
			t.Errorf("%+v leads to %s, which has no panel %s", f, path, panel)
		}
	}
}

// The settings page chooses the day of the weekly report.
func TestWeeklyForm(t *testing.T) {
	s := newSite(t)
	admin := s.token(access.Admin, "app")
	s.post(admin, http.StatusSeeOther, url.Values{"do": {"weekly"}, "weekly": {"friday"}})
	if page := s.settings(admin); !strings.Contains(page, `<option value="friday" selected>Friday</option>`) || s.config().Weekly != alert.Weekday("friday") {
		t.Error("Friday is not chosen")
	}
	s.post(admin, http.StatusBadRequest, url.Values{"do": {"weekly"}, "weekly": {"someday"}})
	s.post(admin, http.StatusSeeOther, url.Values{"do": {"weekly"}, "weekly": {""}})
	if s.config().Weekly != "" {
		t.Error("a day is still chosen")
	}
}
