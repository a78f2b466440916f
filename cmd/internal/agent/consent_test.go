package agent_test

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rollcall-dev/rollcall"
	"github.com/rollcall-dev/rollcall/cmd/internal/agent"
)

func TestConsent(t *testing.T) {
	config := filepath.Join(t.TempDir(), "config.json")
	const before = "{\n  // of the host\n  \"telemetry\": {\"enabled\": true}\n}\n"
	if err := os.WriteFile(config, []byte(before), 0o600); err != nil {
		t.Fatal(err)
	}
	service, err := rollcall.New(rollcall.Config{ConfigPath: config, Consent: rollcall.ConsentConfig{PolicyPath: filepath.Join(t.TempDir(), "none.json")}})
	if err != nil {
		t.Fatal(err)
	}
	url := serve(t, newHandler(t, service, agent.Options{}))
	ask := func(method, kind, body string) (int, string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, url+agent.PathConsent, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", kind)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		answer, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(answer)
	}
	const kind = "application/json; charset=utf-8"

	if status, answer := ask(http.MethodGet, "", ""); status != 200 || !strings.Contains(answer, `"granted"`) {
		t.Errorf("got %d %s, want granted", status, answer)
	}
	status, answer := ask(http.MethodPost, kind, `{"telemetry": false}`)
	if status != 200 || !strings.Contains(answer, `"denied"`) {
		t.Errorf("got %d %s, want denied", status, answer)
	}
	want := strings.Replace(before, "true", "false", 1)
	if got, err := os.ReadFile(config); err != nil || string(got) != want {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
	if status, _ := ask(http.MethodPost, kind, `{"telemetry": true, "health": true}`); status != 200 {
		t.Errorf("got %d", status)
	}
	if got, _ := os.ReadFile(config); !strings.Contains(string(got), `"health_enabled": true`) {
		t.Errorf("got %q, want health reports granted", got)
	}

	for name, bad := range map[string][2]string{
		"a form":      {"application/x-www-form-urlencoded", "telemetry=true"},
		"plain text":  {"text/plain", `{"telemetry": true}`},
		"no decision": {kind, `{}`},
		"no boolean":  {kind, `{"telemetry": "yes"}`},
		"too long":    {kind, `{"telemetry": true}` + strings.Repeat(" ", 1024)},
	} {
		if status, _ := ask(http.MethodPost, bad[0], bad[1]); status != http.StatusBadRequest {
			t.Errorf("%s: got %d, want 400", name, status)
		}
	}
	if status, _ := ask(http.MethodDelete, kind, ""); status != http.StatusMethodNotAllowed {
		t.Errorf("got %d, want 405", status)
	}
}
