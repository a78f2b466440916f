package page_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/rollcall-dev/rollcall"
	"github.com/rollcall-dev/rollcall/page"
	"github.com/rollcall-dev/rollcall/rollcalltest"
)

// Nobody changes more than their rights say, and the page offers no more.
func TestRights(t *testing.T) {
	grant, deny := url.Values{"decision": {"grant"}}, url.Values{"decision": {"deny"}}
	id := url.Values{"id": {"0b9d6f1e..."}}
	requests := []struct {
		method, path string
		form         url.Values
		needs        page.Rights
	}{
		{http.MethodGet, "/", nil, page.ReadOnly},
		{http.MethodPost, "/consent", deny, page.MayDeny},
		{http.MethodPost, "/health-consent", deny, page.MayDeny},
		{http.MethodPost, "/consent", grant, page.MayChange},
		{http.MethodPost, "/health-consent", grant, page.MayChange},
		{http.MethodPost, "/send", nil, page.MayChange},
		{http.MethodGet, "/reset", nil, page.MayChange},
		{http.MethodPost, "/reset", id, page.MayChange},
		{http.MethodGet, "/forget", nil, page.MayChange},
		{http.MethodPost, "/forget", id, page.MayChange},
	}
	senders := []struct {
		name    string
		rights  func(*http.Request) page.Rights
		has     page.Rights
		want    []string
		without []string
	}{
		{"no rights function", nil, page.ReadOnly, []string{"You can only read this page.", "Sign in first."}, []string{"<form", "reset\"", "forget\""}},
		{"reader", func(*http.Request) page.Rights { return page.ReadOnly }, page.ReadOnly, []string{"You can only read this page."}, []string{"<form"}},
		{
			"denier", func(*http.Request) page.Rights { return page.MayDeny }, page.MayDeny,
			[]string{"Here you can turn telemetry off.", "Sign in first.", "Turn off telemetry", "Turn off health reports"},
			[]string{`value="grant"`, "send\"", "reset\"", "forget\""},
		},
		{"operator", page.BehindLogin, page.MayChange, []string{"Turn on health reports", "Send a heartbeat now", "reset\"", "forget\""}, []string{"Sign in first."}},
	}
	for _, sender := range senders {
		t.Run(sender.name, func(t *testing.T) {
			collector := rollcalltest.NewCollector(t)
			for _, request := range requests {
				s := newSite(t, grantedConfig, func(c *rollcall.Config) { c.Endpoint = collector.URL })
				s.Handler = page.Handler(s.service, page.Options{Rights: sender.rights, SignIn: "Sign in first."})
				body := get(s, "/").Body.String()
				wantText(t, body, sender.want...)
				wantNoText(t, body, sender.without...)
				before := s.config()
				w := do(s, request.method, request.path, request.form)
				refused := w.Code == http.StatusForbidden && strings.Contains(w.Body.String(), "Only the operator may change this. Sign in first.")
				if want := sender.has < request.needs; refused != want {
					t.Errorf("%s %s %v: got %d %s, want refused %v", request.method, request.path, request.form, w.Code, w.Body, want)
				}
				if refused && s.config() != before {
					t.Errorf("%s %s %v: refused, but the config changed to %s", request.method, request.path, request.form, s.config())
				}
			}
			if got := len(collector.Requests()); sender.has < page.MayChange && got > 0 {
				t.Errorf("the collector got %d requests", got)
			}
		})
	}
}

// The rights are those of the request, not of the page.
func TestRightsOfRequest(t *testing.T) {
	s := newSite(t, hostConfig)
	s.Handler = page.Handler(s.service, page.Options{Rights: func(r *http.Request) page.Rights {
		if r.Header.Get("X-Role") == "admin" {
			return page.MayChange
		}
		return page.ReadOnly
	}})
	admin := func(r *http.Request) { r.Header.Set("X-Role", "admin") }
	grant := url.Values{"decision": {"grant"}}
	wantNoText(t, get(s, "/").Body.String(), "<form")
	wantText(t, get(s, "/", admin).Body.String(), "<form")
	if got := do(s, http.MethodPost, "/consent", grant).Code; got != http.StatusForbidden {
		t.Errorf("got %d, want 403", got)
	}
	s.wantConfig(hostConfig)
	if got := do(s, http.MethodPost, "/consent", grant, admin).Code; got != http.StatusSeeOther {
		t.Errorf("got %d, want 303", got)
	}
	s.wantConfig(grantedConfig)
}
