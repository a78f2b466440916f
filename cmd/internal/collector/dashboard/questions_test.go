package dashboard_test

import (
	"html"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/access"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/figures"
)

var anchors = regexp.MustCompile(`(?s)<a href="(/a/app/[^"]*)"[^>]*>(.*?)</a>`)

// click returns the address of the first link of a page, from a panel on, with a
// text.
func click(t *testing.T, body, panel, text string) string {
	t.Helper()
	if i := strings.Index(body, `id="`+panel+`"`); panel != "" && i >= 0 {
		body = body[i:]
	}
	for _, m := range anchors.FindAllStringSubmatch(body, -1) {
		if name := regexp.MustCompile(`<[^>]*>`).ReplaceAllString(m[2], ""); strings.TrimSpace(html.UnescapeString(name)) == text {
			return html.UnescapeString(m[1])
		}
	}
	t.Errorf("no link %q from %q on", text, panel)
	return ""
}

// TestQuestions puts ten questions to the pages. Each is answered after at most two
// clicks, on the page and in the panel that a reader is led to.
func TestQuestions(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.fill(200, 80)
	token := s.token(access.Admin, "app")
	today := mustToday(t, s)
	faults := s.monthsFaults()
	var newest string
	for _, r := range s.monthsReleases() {
		if d, err := s.c.Version(t.Context(), s.app.Num, r.Version, s.month(), figures.View{}); !r.Pre && err == nil && d.Before != "" && len(d.Kept) > 1 {
			newest = r.Version
			break
		}
	}
	floor, err := s.c.Floor(t.Context(), s.app.Num, today-1, figures.View{})
	if err != nil || newest == "" {
		t.Fatal(newest, err)
	}
	oldest := floor.Steps[0].Version
	fault := faults[0].Component + ": " + faults[0].Reason
	type step struct{ panel, link string }
	for _, q := range []struct {
		question, from string
		steps          []step
		answers        []string
	}{
		{"which version do Windows users of 30 days run", "overview?days=30", []step{{"by-system", "windows"}}, []string{"Remove Operating system windows", `id="by-version"`}},
		{"did the newest release lose more new users than the one before", "versions", []step{{"releases", newest}}, []string{"of its new installations", `id="kept"`}},
		{"who still runs what I want to drop, and where", "versions", []step{{"floor", oldest + " or newer"}}, []string{"Remove Version &lt;", "CPU architecture"}},
		{"what broke last week, and for whom", "health?days=7", []step{{"faults", fault}}, []string{`id="versions"`, "Operating system", "CPU architecture"}},
		{"is a fault new, or more frequent, in the newest release", "versions", []step{{"releases", newest}}, []string{"Significantly more frequent than in"}},
		{"where did the users of a release come from", "versions", []step{{"releases", newest}}, []string{`id="from"`, `id="to"`}},
		{"how is this quarter beside the one before", "overview", []step{{"", "period before"}}, []string{"Pale lines are the period before"}},
		{"which CPU architectures do Linux installations have", "features", []step{{"split-1", "linux"}}, []string{"Remove Operating system linux", "CPU architecture"}},
		{"what became of the installations of one cohort", "retention", []step{{"triangle", "100"}}, []string{"Remove First seen", `id="releases"`}},
		{"who said what of a fault", "health", []step{{"faults", fault}}, []string{`id="history"`}},
	} {
		at := "/a/app/" + q.from
		body := s.get(at, token, 200)
		for _, step := range q.steps {
			if at = click(t, body, step.panel, step.link); at == "" {
				break
			}
			at, _, _ = strings.Cut(at, "#")
			body = s.get(at, token, 200)
		}
		if len(q.steps) > 2 {
			t.Errorf("%s: takes %d clicks", q.question, len(q.steps))
		}
		for _, part := range q.answers {
			if !strings.Contains(body, part) {
				t.Errorf("%s: %s has no %q", q.question, at, part)
			}
		}
	}
	// The answers are those of the engine.
	segment, err := collector.ParseSegment("system=windows")
	if err != nil {
		t.Fatal(err)
	}
	_, data := s.do("GET", "/a/app/overview/by-version.csv?segment="+url.QueryEscape("system=windows"), token, nil)
	closed := today - 1
	b, err := s.c.Breakdown(t.Context(), s.app.Num, collector.DimVersion, 28, closed, figures.View{Segment: segment})
	if err != nil {
		t.Fatal(err)
	}
	if lines := strings.Count(strings.TrimSpace(data), "\n"); lines != len(b.Values) {
		t.Errorf("got %d versions of Windows users, want %d: %s", lines, len(b.Values), data)
	}
}
