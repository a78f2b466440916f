package agent_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/rollcall-dev/rollcall"
	"github.com/rollcall-dev/rollcall/cmd/internal/agent"
	"github.com/rollcall-dev/rollcall/cmd/internal/operator"
	"github.com/rollcall-dev/rollcall/report"
	"github.com/rollcall-dev/rollcall/rollcalltest"
)

// TestUpdate: everyone reads what is known, and only the operator lets the agent
// ask.
func TestUpdate(t *testing.T) {
	config, collector := rollcalltest.Config(t), rollcalltest.NewCollector(t)
	config.Endpoint, config.Updates.URLPrefix = collector.URL, "https://example.org/"
	collector.SetReleases(report.Releases{List: []report.Release{{Version: "1.1.0", URL: "https://example.org/1.1.0", Severity: "security"}}})
	service := rollcalltest.Start(t, config)
	proof, err := service.CreateToken(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	h := newHandler(t, service, agent.Options{Gate: operator.New(service)})
	do := func(method, path, token, body string) (int, rollcall.UpdateStatus, string) {
		t.Helper()
		r := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
		r.Host, r.RemoteAddr = testListen, "127.0.0.1:1"
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Authorization", "Bearer "+token)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		var st rollcall.UpdateStatus
		if err := json.Unmarshal(w.Body.Bytes(), &st); err != nil {
			t.Fatalf("%v: %s", err, w.Body)
		}
		return w.Code, st, w.Body.String()
	}
	code, st, text := do("GET", agent.PathUpdate, "", "")
	if code != 200 || st.Consent.State != rollcall.Unset || st.Channel != "stable" || strings.Contains(text, "newer") {
		t.Errorf("at first: got %d %s", code, text)
	}
	if code, _, text := do("POST", agent.PathUpdate, proof.Token, ""); code != http.StatusConflict || !strings.Contains(text, "the update check is unset") {
		t.Errorf("without consent: got %d %s", code, text)
	}
	if code, _, text := do("POST", agent.PathConsent, "", `{"update_check": true}`); code != http.StatusUnauthorized {
		t.Errorf("a grant by anyone: got %d %s", code, text)
	}
	if code, _, text := do("POST", agent.PathConsent, proof.Token, `{"update_check": true}`); code != 200 || !strings.Contains(text, `"update_check"`) {
		t.Errorf("a grant: got %d %s", code, text)
	}
	if code, _, _ := do("POST", agent.PathUpdate, "", ""); code != http.StatusUnauthorized {
		t.Errorf("a check by anyone: got %d", code)
	}
	want := rollcall.Update{Version: "1.1.0", URL: "https://example.org/1.1.0", Severity: "security"}
	if code, st, text := do("POST", agent.PathUpdate, proof.Token, ""); code != 200 || st.Newer != want {
		t.Errorf("a check: got %d %s", code, text)
	}
	if code, st, text := do("GET", agent.PathUpdate, "", ""); code != 200 || st.Newer != want || st.LastSuccess.IsZero() {
		t.Errorf("after the check: got %d %s", code, text)
	}
	if n := len(collector.Requests()); n != 1 {
		t.Errorf("got %d requests", n)
	}
	if code, _, _ := do("POST", agent.PathConsent, "", `{"update_check": false}`); code != 200 { // by anyone on this machine
		t.Errorf("a denial: got %d", code)
	}
	if _, st, text := do("GET", agent.PathUpdate, "", ""); st.Newer != (rollcall.Update{}) || st.Consent.State != rollcall.Denied {
		t.Errorf("after the denial: got %s", text)
	}
	without := rollcalltest.Config(t)
	h = newHandler(t, rollcalltest.Start(t, without), agent.Options{Gate: operator.New(service)})
	if code, _, text := do("POST", agent.PathUpdate, proof.Token, ""); code != http.StatusConflict || !strings.Contains(text, "no update check") {
		t.Errorf("without an update check: got %d %s", code, text)
	}
}
