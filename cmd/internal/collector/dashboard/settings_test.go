package dashboard_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/access"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/alert"
)

var (
	formOf  = regexp.MustCompile(`(?s)<form [^>]*>.*?</form>`)
	inputOf = regexp.MustCompile(`<input [^>]*>`)
	attr    = regexp.MustCompile(`(name|value)="([^"]*)"`)
)

// forms returns what each form of a page sends as it stands.
func forms(page string) (all []url.Values) {
	for _, form := range formOf.FindAllString(page, -1) {
		values := url.Values{}
		for _, input := range inputOf.FindAllString(form, -1) {
			var name, value string
			for _, m := range attr.FindAllStringSubmatch(input, -1) {
				if m[1] == "name" {
					name = m[2]
				} else {
					value = m[2]
				}
			}
			values.Set(name, value)
		}
		all = append(all, values)
	}
	return all
}

func (s *site) settings(token string) string {
	return s.get("/a/app/settings", token, http.StatusOK)
}

// post sends a form of the settings page and checks the status.
func (s *site) post(token string, want int, form url.Values) (body string) {
	s.t.Helper()
	resp, body := s.do("POST", "/a/app/settings", token, form)
	if resp.StatusCode != want {
		s.t.Errorf("%v: got %d, want %d: %s", form, resp.StatusCode, want, body)
	}
	return body
}

func (s *site) config() alert.Config {
	s.t.Helper()
	config, err := s.alerts.Config(s.t.Context(), s.app.Num)
	if err != nil {
		s.t.Fatal(err)
	}
	return config
}

// Each kind of rule has a form that works as it stands, and each rule a form that
// removes it.
func TestRuleForms(t *testing.T) {
	s := newSite(t)
	admin := s.token(access.Admin, "app")
	var kinds []alert.Kind
	for _, form := range forms(s.settings(admin)) {
		if form.Get("do") != "rule" {
			continue
		}
		kinds = append(kinds, alert.Kind(form.Get("kind")))
		if form.Has("version") {
			form.Set("version", " v1.2.3 ")
		}
		s.post(admin, http.StatusSeeOther, form)
		s.post(admin, http.StatusBadRequest, form) // exists already
	}
	slices.Sort(kinds)
	if want := alert.Kinds(); !slices.Equal(kinds, want) {
		t.Errorf("got forms for %v, want %v", kinds, want)
	}
	if rules := s.config().Rules; len(rules) != len(kinds) || rules[2].Version != "1.2.3" || rules[3].Hours != 12 {
		t.Errorf("got %+v", rules)
	}
	for _, bad := range []url.Values{
		{"kind": {"what"}, "percent": {"5"}}, {"kind": {"silence"}, "hours": {"x"}}, {"kind": {"silence"}, "hours": {"0"}},
		{"kind": {"active_drop"}, "percent": {"30"}, "least": {"1.5"}}, {"kind": {"adoption"}, "percent": {"50"}, "version": {""}},
	} {
		bad.Set("do", "rule")
		s.post(admin, http.StatusBadRequest, bad)
	}
	body := s.settings(admin)
	for _, want := range []string{"30% below", "50% more installations of the newest", "run 1.2.3 or newer", "for 12 hours", "300% above"} {
		if !strings.Contains(body, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	removed := 0
	for _, form := range forms(body) {
		if form.Get("do") == "rule-remove" {
			s.post(admin, http.StatusSeeOther, form)
			removed++
		}
	}
	if left := s.config().Rules; removed != len(kinds) || len(left) > 0 {
		t.Errorf("removed %d, left %+v", removed, left)
	}
	s.post(s.token(access.Read, "app"), http.StatusNotFound, url.Values{"do": {"rule"}, "kind": {"silence"}, "hours": {"5"}})
}

// Forms set webhooks and mail. Secrets are not shown. The test goes to all targets.
func TestTargetForms(t *testing.T) {
	s := newSite(t)
	admin := s.token(access.Admin, "app")
	var got alert.Message
	hook := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if err := json.NewDecoder(r.Body).Decode(&got); err != nil || r.Header.Get("X-Rollcall-Signature") == "" {
			t.Errorf("%v, header %v", err, r.Header)
		}
	}))
	defer hook.Close()
	if strings.Contains(s.settings(admin), "Send test") {
		t.Error("a test is offered without a target")
	}
	s.post(admin, http.StatusBadRequest, url.Values{"do": {"test"}})
	webhook := url.Values{"do": {"webhook"}, "url": {hook.URL}, "secret": {"s3cret"}}
	s.post(admin, http.StatusSeeOther, webhook)
	s.post(admin, http.StatusBadRequest, webhook)
	s.post(admin, http.StatusBadRequest, url.Values{"do": {"webhook"}, "url": {"ftp://x"}})
	s.post(admin, http.StatusSeeOther, url.Values{"do": {"test"}})
	if got.State != alert.Test || got.App != "app" {
		t.Errorf("got %+v", got)
	}
	mail := url.Values{
		"do": {"email"}, "server": {"mail.example:587"}, "user": {"u"}, "password": {"pa55"}, "from": {"a@b.example"}, "to": {"c@d.example, e@f.example"},
	}
	s.post(admin, http.StatusSeeOther, mail)
	body := s.settings(admin)
	if strings.Contains(body, "s3cret") || strings.Contains(body, "pa55") || !strings.Contains(body, "c@d.example, e@f.example") {
		t.Errorf("got %s", body)
	}
	for _, form := range forms(body) {
		if form.Get("do") == "email" {
			form.Del("tls")
			s.post(admin, http.StatusSeeOther, form) // the password is kept
			form.Set("server", "elsewhere.example:587")
			s.post(admin, http.StatusBadRequest, form)
		}
	}
	if c := s.config(); c.Email.Password != alert.Kept || c.Email.Server != "mail.example:587" || len(c.Email.To) != 2 || c.Webhooks[0].Secret != alert.Kept {
		t.Errorf("got %+v, %+v", c, c.Email)
	}
	mail.Set("user", "")
	mail.Set("password", "")
	s.post(admin, http.StatusSeeOther, mail)
	if c := s.config(); c.Email.Password != "" {
		t.Errorf("without a user: %+v", c.Email)
	}
	for _, form := range forms(s.settings(admin)) {
		if strings.HasSuffix(form.Get("do"), "-remove") {
			s.post(admin, http.StatusSeeOther, form)
		}
	}
	if c := s.config(); len(c.Webhooks) > 0 || c.Email != nil {
		t.Errorf("left: %+v", c)
	}
}

// The home page lets an admin of all apps add the first one, and tells others who
// can.
func TestFirstApp(t *testing.T) {
	s := newEmptySite(t)
	all, reader := s.token(access.Admin, ""), s.token(access.Read, "")
	if body := s.get("/", reader, http.StatusOK); strings.Contains(body, `action="/apps"`) || !strings.Contains(body, "rollcall collector app add") {
		t.Errorf("got %s", body)
	}
	if resp, _ := s.do("POST", "/apps", reader, url.Values{"key": {"mine"}}); resp.StatusCode != http.StatusForbidden {
		t.Errorf("a reader adds an app: %d", resp.StatusCode)
	}
	if body := s.get("/", all, http.StatusOK); !strings.Contains(body, `action="/apps"`) {
		t.Errorf("got %s", body)
	}
	for _, bad := range []string{"", "No Good", strings.Repeat("x", 65)} {
		if resp, _ := s.do("POST", "/apps", all, url.Values{"key": {bad}}); resp.StatusCode != http.StatusBadRequest {
			t.Errorf("key %q: %d", bad, resp.StatusCode)
		}
	}
	resp, _ := s.do("POST", "/apps", all, url.Values{"key": {" mine "}, "name": {"Mine"}})
	if resp.StatusCode != http.StatusSeeOther || resp.Header.Get("Location") != "/a/mine/overview" {
		t.Errorf("got %d, %v", resp.StatusCode, resp.Header)
	}
	if app, ok := s.c.App("mine"); !ok || app.Name != "Mine" {
		t.Errorf("got %+v", app)
	}
}

// A maintainer triages a fault and sets the date of a release.
func TestTriage(t *testing.T) {
	s := newSite(t)
	s.fill(120, 60)
	admin := s.token(access.Admin, "app")
	id := s.monthsFaults()[0].ID
	form := url.Values{"fault": {id}, "status": {"fixed"}, "fixed_in": {"9.9"}, "note": {"a <note>"}}
	resp, _ := s.do("POST", "/a/app/health", admin, form)
	if got, want := resp.Header.Get("Location"), "/a/app/health?saved=1&status=all"; resp.StatusCode != http.StatusSeeOther || got != want {
		t.Errorf("got %d to %q, want 303 to %q", resp.StatusCode, got, want)
	}
	if f := s.monthsFaults()[0]; f.Status != collector.FaultFixed || f.FixedIn != "9.9" || f.Note != "a <note>" {
		t.Errorf("got %+v", f)
	}
	body := s.get("/a/app/health?status=all", admin, http.StatusOK)
	if !strings.Contains(body, `value="a &lt;note&gt;"`) {
		t.Error("the form lacks the note")
	}
	if body := s.get("/a/app/health?status=all", s.token(access.Read, "app"), http.StatusOK); strings.Contains(body, "<h2 id=\"triage-title\">") {
		t.Error("a reader sees the form")
	}
	form.Set("status", "whatever")
	if resp, _ := s.do("POST", "/a/app/health", admin, form); resp.StatusCode != http.StatusBadRequest {
		t.Errorf("unknown status: got %d, want 400", resp.StatusCode)
	}

	release := url.Values{"version": {s.monthsReleases()[0].Version}, "day": {"2020-02-01"}}
	if resp, body := s.do("POST", "/a/app/versions", admin, release); resp.StatusCode != http.StatusSeeOther {
		t.Errorf("release date: got %d %s, want 303", resp.StatusCode, body)
	}
	if got := s.monthsReleases()[0].Released.String(); got != "2020-02-01" {
		t.Errorf("got released on %s", got)
	}
	release.Set("day", "1 February")
	if resp, _ := s.do("POST", "/a/app/versions", admin, release); resp.StatusCode != http.StatusBadRequest {
		t.Errorf("bad release date: got %d, want 400", resp.StatusCode)
	}
}

func TestSignOut(t *testing.T) {
	s := newSite(t)
	resp, _ := s.do("POST", "/signin", "", url.Values{"token": {s.token(access.Read, "app")}})
	cookie := resp.Cookies()[0].String()
	for _, want := range []int{http.StatusOK, http.StatusFound} {
		if resp, _ := s.do("GET", "/a/app/overview", "", nil, "Cookie", cookie); resp.StatusCode != want {
			t.Errorf("got %d, want %d", resp.StatusCode, want)
		}
		if resp, _ := s.do("POST", "/signout", "", nil, "Cookie", cookie); resp.StatusCode != http.StatusSeeOther {
			t.Errorf("sign out: got %d, want 303", resp.StatusCode)
		}
	}
}
