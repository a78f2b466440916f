package agent_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollcall-dev/rollcall"
	"github.com/rollcall-dev/rollcall/cmd/internal/agent"
	"github.com/rollcall-dev/rollcall/cmd/internal/operator"
)

// TestConsentOfClientThatLeaves: a denial is recorded although the client does
// not wait for the answer.
func TestConsentOfClientThatLeaves(t *testing.T) {
	config := filepath.Join(t.TempDir(), "config.json")
	const before = `{"telemetry": {"enabled": true}}`
	if err := os.WriteFile(config, []byte(before), 0o600); err != nil {
		t.Fatal(err)
	}
	service, err := rollcall.New(rollcall.Config{ConfigPath: config, Consent: rollcall.ConsentConfig{PolicyPath: filepath.Join(t.TempDir(), "none.json")}})
	if err != nil {
		t.Fatal(err)
	}
	gone, leave := context.WithCancel(t.Context())
	leave()
	r := httptest.NewRequestWithContext(gone, http.MethodPost, "http://127.0.0.1"+agent.PathConsent, strings.NewReader(`{"telemetry": false}`))
	r.RemoteAddr = "127.0.0.1:1"
	r.Header.Set("Content-Type", "application/json")
	newHandler(t, service, agent.Options{}).ServeHTTP(httptest.NewRecorder(), r)
	if got, err := os.ReadFile(config); err != nil || string(got) != strings.Replace(before, "true", "false", 1) {
		t.Errorf("got config %q, %v", got, err)
	}
	if got, err := os.ReadFile(service.Files().Denial); err != nil || !strings.Contains(string(got), "agent endpoint") {
		t.Errorf("got record %q, %v", got, err)
	}
}

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
	gate := operator.New(service)
	proof, err := service.CreateToken(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	url := serve(t, newHandler(t, service, agent.Options{Gate: gate}))
	ask := func(method, kind, body string) (int, string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, url+agent.PathConsent, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", kind)
		req.Header.Set("Authorization", "Bearer "+proof.Token)
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

// noGrant is a service whose grants of telemetry cannot be saved.
type noGrant struct{ *rollcall.Service }

func (s noGrant) SetConsent(ctx context.Context, granted bool) error {
	if granted {
		return errors.New("disk full")
	}
	return s.Service.SetConsent(ctx, granted)
}

// TestDenyFirst: a grant that cannot be saved does not stop a denial in the same
// request.
func TestDenyFirst(t *testing.T) {
	config := filepath.Join(t.TempDir(), "config.json")
	if err := os.WriteFile(config, []byte(`{"telemetry": {"enabled": true, "health_enabled": true}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	service, err := rollcall.New(rollcall.Config{ConfigPath: config, Consent: rollcall.ConsentConfig{PolicyPath: filepath.Join(t.TempDir(), "none.json")}})
	if err != nil {
		t.Fatal(err)
	}
	proof, err := service.CreateToken(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest(http.MethodPost, "http://"+testListen+agent.PathConsent, strings.NewReader(`{"telemetry": true, "health": false}`))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+proof.Token)
	w := httptest.NewRecorder()
	newHandler(t, noGrant{service}, agent.Options{Gate: operator.New(service)}).ServeHTTP(w, r)
	if w.Code != http.StatusInternalServerError || !strings.Contains(w.Body.String(), "disk full") {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
	if got, err := os.ReadFile(config); err != nil || !strings.Contains(string(got), `"health_enabled": false`) {
		t.Errorf("got config %q, %v, want health reports denied", got, err)
	}
}

// TestStatusFollows: the status shows what another process decided, without
// reading the disk at each request or waiting for one that hangs.
func TestStatusFollows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		service := newFakeService()
		reads := 0
		var takes time.Duration
		service.decide = func(context.Context) {
			reads++
			time.Sleep(takes)
		}
		handler := newHandler(t, service, agent.Options{})
		for _, step := range []struct {
			pause, takes, waits time.Duration
			reads               int
		}{
			{0, 0, 0, 1},
			{900 * time.Millisecond, 0, 0, 1},
			{100 * time.Millisecond, time.Minute, 250 * time.Millisecond, 2},
			{time.Second, 0, 250 * time.Millisecond, 2}, // it still hangs
			{time.Minute, 0, 0, 3},
		} {
			time.Sleep(step.pause)
			takes = step.takes
			begin := time.Now()
			r := httptest.NewRequest(http.MethodGet, "http://"+testListen+agent.PathStatus, nil)
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, r)
			synctest.Wait()
			if waited := time.Since(begin); w.Code != http.StatusOK || waited != step.waits || reads != step.reads {
				t.Errorf("%+v: got %d after %v, %d reads", step, w.Code, waited, reads)
			}
		}
		time.Sleep(time.Hour)
	})
}
