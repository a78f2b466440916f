package alert_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector/alert"
)

// An error names the invalid field, and nothing is stored.
func TestBadConfigs(t *testing.T) {
	f := newFake()
	w := alert.New(f, local)
	rule := func(text string) string { return `{"rules":[` + text + `]}` }
	hook := func(text string) string { return `{"webhooks":[` + text + `]}` }
	mail := func(text string) string {
		return `{"email":{"server":"h:25","from":"a@b.example","to":["c@d.example"],` + text + `}}`
	}
	many := func(n int, entry string) string {
		var list []string
		for i := range n {
			list = append(list, fmt.Sprintf(entry, i+1))
		}
		return strings.Join(list, ",")
	}
	long := strings.Repeat("x", alert.MaxTextLen+1)
	for text, want := range map[string]string{
		rule(`{"kind":"what"}`):                                           "rules[0].kind",
		rule(`{"hours":1}`):                                               "rules[0].kind",
		rule(`{"kind":"active_drop"}`):                                    "rules[0].percent is not 1 to 100",
		rule(`{"kind":"active_drop","percent":0.5}`):                      "rules[0].percent",
		rule(`{"kind":"active_drop","percent":101}`):                      "rules[0].percent",
		rule(`{"kind":"new_burst","percent":100001}`):                     "rules[0].percent",
		rule(`{"kind":"fault_rate","percent":50,"least":-1}`):             "rules[0].least",
		rule(`{"kind":"fault_rate","percent":50,"hours":1}`):              "rules[0].hours is not a field of fault_rate",
		rule(`{"kind":"silence","hours":0.9}`):                            "rules[0].hours",
		rule(`{"kind":"silence","hours":721}`):                            "rules[0].hours",
		rule(`{"kind":"silence","hours":1,"percent":5}`):                  "rules[0].percent is not a field of silence",
		rule(`{"kind":"adoption","percent":50}`):                          "rules[0].version",
		rule(`{"kind":"adoption","percent":50,"version":"v1"}`):           "rules[0].version",
		rule(`{"kind":"adoption","percent":50,"version":"1\n"}`):          "rules[0].version",
		rule(`{"kind":"adoption","percent":150,"version":"1"}`):           "rules[0].percent",
		rule(`{"kind":"silence","hours":1},{"kind":"silence","hours":1}`): "rules[1] is the same as rules[0]",
		rule(many(alert.MaxRules+1, `{"kind":"silence","hours":%d}`)):     "rules has 21",

		hook(many(alert.MaxTargets+1, `{"url":"https://x.example/%d"}`)): "webhooks has 11",
		hook(`{"url":"ftp://x"}`):                                          "webhooks[0].url",
		hook(`{"url":"https://"}`):                                         "webhooks[0].url",
		hook(`{"url":"https://:80/"}`):                                     "webhooks[0].url",
		hook(`{"url":"https://u:p@x.example/"}`):                           "webhooks[0].url",
		hook(`{"url":"https://x.example/` + long + `"}`):                   "webhooks[0].url",
		hook(`{"url":"https://x.example/","secret":"` + long + `"}`):       "webhooks[0].secret",
		hook(`{"url":"https://x.example/"},{"url":"https://x.example/"}`):  "webhooks[1].url is a duplicate",
		hook(`{"url":"https://x.example/","secret":"` + alert.Kept + `"}`): "webhooks[0].secret is required",

		`{"email":{"server":"host","from":"a@b.example","to":["c@d.example"]}}`:                                       "email.server",
		`{"email":{"server":":25","from":"a@b.example","to":["c@d.example"]}}`:                                        "email.server",
		`{"email":{"server":"h:0","from":"a@b.example","to":["c@d.example"]}}`:                                        "email.server",
		`{"email":{"server":"h:smtp","from":"a@b.example","to":["c@d.example"]}}`:                                     "email.server",
		`{"email":{"server":"h:25","from":"a","to":["c@d.example"]}}`:                                                 "email.from",
		`{"email":{"server":"h:25","from":"a@b.example\r\nX: y","to":["c@d.example"]}}`:                               "email.from",
		`{"email":{"server":"h:25","from":"ä@b.example","to":["c@d.example"]}}`:                                       "email.from",
		`{"email":{"server":"h:25","from":"a@b.example","to":[]}}`:                                                    "email.to",
		`{"email":{"server":"h:25","from":"a@b.example","to":["x\r\nBcc: y@z.example"]}}`:                             "email.to[0]",
		`{"email":{"server":"h:25","from":"a@b.example","to":[` + many(alert.MaxTargets+1, `"c%d@d.example"`) + `]}}`: "email.to",
		mail(`"user":"` + long + `"`):                      "email.user",
		mail(`"user":"u","password":"` + long + `"`):       "email.password",
		mail(`"password":"p"`):                             "email.user is missing",
		mail(`"user":"u","password":"` + alert.Kept + `"`): "email.password is required",
	} {
		if err := w.SetJSON(t.Context(), 1, text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.200s: got %v, want %q", text, err, want)
		}
	}
	if len(f.settings) != 0 {
		t.Errorf("stored %q", f.settings)
	}
	if err := w.Test(t.Context(), 1); err == nil || !strings.Contains(err.Error(), "no target") {
		t.Errorf("a test without a target: got %v", err)
	}
}

// Of concurrent changes none is lost, and a change that fails changes nothing.
func TestChange(t *testing.T) {
	f := newFake()
	w := alert.New(f, local)
	var wg sync.WaitGroup
	for i := range alert.MaxTargets {
		wg.Go(func() {
			err := w.Change(t.Context(), 1, func(c *alert.Config) error {
				runtime.Gosched() // let the others interfere, if they can
				c.Webhooks = append(c.Webhooks, alert.Webhook{URL: fmt.Sprintf("https://%d.example/", i)})
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	gone := errors.New("gone")
	if err := w.Change(t.Context(), 1, func(c *alert.Config) error { c.Webhooks = nil; return gone }); !errors.Is(err, gone) {
		t.Errorf("got %v", err)
	}
	if c, err := w.Config(t.Context(), 1); err != nil || len(c.Webhooks) != alert.MaxTargets {
		t.Errorf("got %d webhooks, %v, want %d", len(c.Webhooks), err, alert.MaxTargets)
	}
}

// Secrets are not shown. They stay the same when the shown configuration is
// stored, unless they would be sent elsewhere.
func TestSecrets(t *testing.T) {
	f := newFake()
	w := alert.New(f, local)
	stored := func() (c alert.Config) {
		t.Helper()
		if err := json.Unmarshal(f.settings["1alerts"], &c); err != nil {
			t.Fatal(err)
		}
		return c
	}
	const config = `{"rules":[],"webhooks":[{"url":"https://a.example/?x=1&y=2","secret":"s3cret"},{"url":"https://b.example/"}],` +
		`"email":{"server":"h:25","user":"u","password":"pa55","from":"a@b.example","to":["c@d.example"]}}`
	if err := w.SetJSON(t.Context(), 1, config); err != nil {
		t.Fatal(err)
	}
	shown, err := w.Config(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	if shown.Webhooks[0].Secret != alert.Kept || shown.Webhooks[1].Secret != "" || shown.Email.Password != alert.Kept {
		t.Errorf("got %+v, %+v", shown, shown.Email)
	}
	if err := w.SetConfig(t.Context(), 1, shown); err != nil {
		t.Fatal(err)
	}
	if c := stored(); c.Webhooks[0].Secret != "s3cret" || c.Webhooks[1].Secret != "" || c.Email.Password != "pa55" {
		t.Errorf("got %+v, %+v", c, c.Email)
	}
	if shown.Webhooks[0].Secret != alert.Kept || shown.Email.Password != alert.Kept {
		t.Error("the argument now contains the secrets")
	}
	for what, change := range map[string]func(*alert.Config){
		"server": func(c *alert.Config) { c.Email.Server = "evil:25" },
		"url":    func(c *alert.Config) { c.Webhooks[0].URL = "https://evil.example/" },
		"user":   func(c *alert.Config) { c.Email.User = "v" },
		"tls":    func(c *alert.Config) { c.Email.TLS = true },
	} {
		elsewhere, err := w.Config(t.Context(), 1)
		if err != nil {
			t.Fatal(err)
		}
		change(&elsewhere)
		if err := w.SetConfig(t.Context(), 1, elsewhere); err == nil || !strings.Contains(err.Error(), "is required") {
			t.Errorf("%s: got %v", what, err)
		}
	}
	shown.Webhooks[0].Secret, shown.Email.Password = "new", "newer"
	if err := w.SetConfig(t.Context(), 1, shown); err != nil {
		t.Fatal(err)
	}
	if c := stored(); c.Webhooks[0].Secret != "new" || c.Email.Password != "newer" {
		t.Errorf("got %+v, %+v", c, c.Email)
	}
	if err := w.SetConfig(t.Context(), 1, alert.Config{}); err != nil {
		t.Fatal(err)
	}
	if c, err := w.Config(t.Context(), 1); err != nil || len(c.Rules)+len(c.Webhooks) > 0 || c.Email != nil {
		t.Errorf("got %+v, %v", c, err)
	}
}
