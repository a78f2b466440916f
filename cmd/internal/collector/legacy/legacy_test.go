package legacy_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/engine"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/legacy"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/storetest"
)

type rig struct {
	t       *testing.T
	c       *engine.Engine
	app     collector.App
	handler *legacy.Handler
	senders int
	sent    int
}

func newRig(t *testing.T) *rig {
	t.Helper()
	c, err := engine.Open(t.Context(), storetest.NewMemory(), engine.Options{Secret: bytes.Repeat([]byte("s"), 32)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(context.Background()) })
	app, err := c.AddApp(t.Context(), collector.App{Key: "wamf", Legacy: true})
	if err != nil {
		t.Fatal(err)
	}
	h, err := legacy.New(legacy.Options{Collector: c, MayRead: func(r *http.Request, app string) bool { return r.Header.Get("Authorization") == "Bearer "+app }})
	if err != nil {
		t.Fatal(err)
	}
	return &rig{t: t, c: c, app: app, handler: h}
}

// do sends a request from a new address.
func (r *rig) do(method, path, body string) (*http.Response, string) {
	r.senders++
	return r.from(fmt.Sprintf("10.%d.%d.%d:1", r.senders>>16&255, r.senders>>8&255, r.senders&255), method, path, body)
}

func (r *rig) from(address, method, path, body string) (*http.Response, string) {
	r.t.Helper()
	req := httptest.NewRequestWithContext(r.t.Context(), method, path, strings.NewReader(body))
	req.RemoteAddr = address
	w := httptest.NewRecorder()
	r.handler.ServeHTTP(w, req)
	data, err := io.ReadAll(w.Result().Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return w.Result(), strings.TrimSpace(string(data))
}

func (r *rig) wants(what, method, path, body string, status int, answer string) {
	r.t.Helper()
	resp, got := r.do(method, path, body)
	if resp.StatusCode != status || answer != "" && got != answer {
		r.t.Errorf("%s: got %d %s, want %d %s", what, resp.StatusCode, got, status, answer)
	}
}

// held returns what the collector holds about an installation.
func (r *rig) held(id string) collector.Held {
	r.t.Helper()
	held, err := r.c.Describe(r.t.Context(), legacy.InstallationID(id))
	if err != nil || len(held) != 1 {
		r.t.Fatalf("%s: got %+v, %v", id, held, err)
	}
	return held[0]
}

const beat = `{"installation_id":"%s","timestamp":"2026-05-06T07:08:09Z","version":"2.10.0+abc","platform":{"system":"Linux","release":"6.12.0","machine":"x86_64"},
"configuration":{"model_type":"MobileNet V2","llm_enabled":true,"llm_provider":"gemini","media_cache_enabled":false},
"integrations":{"birdnet_enabled":true,"ebird_enabled":false},"access":{"auth_enabled":true},
"runtime":{"inference_health_total_runtimes":3,"last_recovery_reason":null},"hardware":{"cuda_available":null},"deployment":{"mode":"docker","git_hash":"0123abc"}}`

func TestHeartbeat(t *testing.T) {
	r := newRig(t)
	for range 2 {
		r.wants("heartbeat", "POST", "/heartbeat", fmt.Sprintf(beat, "8F14E45F-ceea-467f-9575-5a2b5d1f3c11"), 200, `{"status":"ok"}`)
	}
	r.wants("another", "POST", "/heartbeat", fmt.Sprintf(beat, "not-a-uuid"), 200, `{"status":"ok"}`)
	for what, tt := range map[string]struct {
		body   string
		status int
		answer string
	}{
		"no body":     {"", 400, `{"error":"Missing JSON body"}`},
		"not JSON":    {"{", 400, `{"error":"Invalid JSON body"}`},
		"no object":   {"[]", 400, `{"error":"JSON body must be an object"}`},
		"null":        {"null", 400, `{"error":"JSON body must be an object"}`},
		"no ID":       {"{}", 400, `{"error":"Missing installation_id"}`},
		"too large":   {`{"installation_id":"` + strings.Repeat("x", legacy.MaxBody) + `"}`, 413, `{"error":"Payload too large"}`},
		"wrong types": {`{"installation_id":"w","platform":7,"configuration":[],"version":{}}`, 200, `{"status":"ok"}`},
	} {
		r.wants(what, "POST", "/heartbeat", tt.body, tt.status, tt.answer)
	}
	held, err := r.c.Describe(t.Context(), "8f14e45f-ceea-467f-9575-5a2b5d1f3c11")
	if err != nil || len(held) != 1 {
		t.Fatalf("got %+v, %v", held, err)
	}
	for dimension, want := range map[string]string{
		"version": "2.10.0+abc", "system": "linux", "machine": "x86_64", "fact.configuration.model_type": "mobilenet-v2",
		"fact.configuration.llm_enabled": "true", "fact.integrations.ebird_enabled": "false", "fact.deployment.mode": "docker",
		"fact.runtime.inference_health_total_runtimes": "2-9", "fact.runtime.last_recovery_reason": "", "fact.hardware.cuda_available": "",
		"fact.deployment.git_hash": "",
	} {
		if got := held[0].Values[dimension]; got != want {
			t.Errorf("%s: got %q, want %q", dimension, got, want)
		}
	}
	if id := legacy.InstallationID("not-a-uuid"); id == legacy.InstallationID("not-a-uuid2") || len(id) != 36 || id[14] != '8' {
		t.Errorf("got %q", id)
	}
}

func TestLimits(t *testing.T) {
	r := newRig(t)
	for i := range legacy.HeartbeatsPerMinute {
		if resp, body := r.from("192.0.2.1:1", "POST", "/heartbeat", fmt.Sprintf(beat, fmt.Sprint("a", i))); resp.StatusCode != 200 {
			t.Fatalf("%d: %d %s", i, resp.StatusCode, body)
		}
	}
	resp, body := r.from("192.0.2.1:2", "POST", "/heartbeat", fmt.Sprintf(beat, "b"))
	if resp.StatusCode != 429 || resp.Header.Get("Retry-After") != "60" || body != `{"error":"Rate limit exceeded"}` {
		t.Errorf("got %d, %q, %s", resp.StatusCode, resp.Header.Get("Retry-After"), body)
	}
	for range legacy.HeartbeatsPerMinute {
		r.do("POST", "/heartbeat", fmt.Sprintf(beat, "c"))
	}
	if resp, _ := r.do("POST", "/heartbeat", fmt.Sprintf(beat, "c")); resp.StatusCode != 429 {
		t.Errorf("one installation from many addresses: %d", resp.StatusCode)
	}
}

var hex = strings.Repeat("0123456789abcdef", 4)

func issue(fields string) string {
	return `{"fingerprint":"f","source":"backend","component":"inference","reason_code":"gpu_unhealthy","severity":"error",` +
		`"first_seen_at":"2026-05-06T07:08:09Z","last_seen_at":"2026-05-06T07:09:09Z","sample_context":{"secret":"x"},` + fields + `}`
}

// Health reports of all three versions are counted once.
func TestHealth(t *testing.T) {
	r := newRig(t)
	send := func(id, head, fields string) string {
		t.Helper()
		_, body := r.do("POST", "/health-issues", `{"installation_id":"`+id+`","timestamp":"2026-05-06T07:08:09Z","version":"2.0"`+head+`,"issues":[`+issue(fields)+`]}`)
		return body
	}
	one, none := `{"status":"ok","accepted":1,"duplicate":false}`, `{"status":"ok","accepted":0,"duplicate":true}`
	ids := [3]string{"a", "b", "c"}
	v2 := `,"report_id":"` + hex + `"`
	v3 := `,"schema_version":"2026-07-25.health-issues.v3"` + v2
	for _, tt := range []struct{ what, id, head, fields, want string }{
		{"v1", ids[0], "", `"count":3`, one},
	} {
		if got := send(tt.id, tt.head, tt.fields); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.what, got, tt.want)
		}
	}
	if got := send(ids[1], v2, `"count":4`); got != one {
		t.Errorf("v2: got %s", got)
	}
	if got := send(ids[2], v3, `"count":9,"event_ids":["`+hex+`","`+strings.Repeat("f", 64)+`","no"]`); got != one {
		t.Errorf("v3: got %s", got)
	}
	total := func(id string) (n uint64) {
		held, err := r.c.Describe(t.Context(), legacy.InstallationID(id))
		if err != nil || len(held) != 1 || len(held[0].Faults) != 1 {
			t.Fatalf("got %+v, %v", held, err)
		}
		return held[0].Faults[0].Count
	}
	for id, want := range map[string]uint64{"a": 3, "b": 4, "c": 2} {
		if got := total(id); got != want {
			t.Errorf("%s: counted %d, want %d", id, got, want)
		}
	}
	// The limit is one per minute, so another handler receives the repeats.
	again, err := legacy.New(legacy.Options{Collector: r.c})
	if err != nil {
		t.Fatal(err)
	}
	r.handler = again
	for i, repeat := range []string{send(ids[0], "", `"count":3`), send(ids[1], v2, `"count":4`), send(ids[2], v3, `"event_ids":["`+hex+`"]`)} {
		if repeat != none {
			t.Errorf("repeat %d: got %s, want %s", i, repeat, none)
		}
	}
	r.wants("no issues", "POST", "/health-issues", `{"installation_id":"d","issues":[]}`, 200, `{"status":"ok","accepted":0,"duplicate":false}`)
	r.wants("no list", "POST", "/health-issues", `{"installation_id":"e"}`, 400, `{"error":"Missing issues"}`)
	many := strings.TrimSuffix(strings.Repeat(issue(`"count":1,"stage":"s"`)+",", 40), ",")
	resp, body := r.do("POST", "/health-issues", `{"installation_id":"f","issues":[`+many+`]}`)
	if resp.StatusCode != 200 || !strings.Contains(body, fmt.Sprintf(`"accepted":%d`, legacy.MaxFaults)) {
		t.Errorf("40 issues: %d %s", resp.StatusCode, body)
	}
}

// The figures have the worker's form, for those who may see them.
func TestStats(t *testing.T) {
	r := newRig(t)
	for i := range 3 {
		r.do("POST", "/heartbeat", fmt.Sprintf(beat, fmt.Sprint("s", i)))
	}
	r.do("POST", "/health-issues", `{"installation_id":"s0","version":"2.10.0+abc","issues":[`+issue(`"count":5`)+`]}`)
	for _, path := range []string{"/stats/summary", "/stats/health-issues"} {
		if resp, _ := r.do("GET", path, ""); resp.StatusCode != 401 {
			t.Errorf("%s of a closed app: %d", path, resp.StatusCode)
		}
	}
	get := func(path string) map[string]any {
		t.Helper()
		req := httptest.NewRequestWithContext(t.Context(), "GET", path, nil)
		req.Header.Set("Authorization", "Bearer wamf")
		w := httptest.NewRecorder()
		r.handler.ServeHTTP(w, req)
		var got map[string]any
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != 200 {
			t.Fatalf("%s: %d %s", path, w.Code, w.Body)
		}
		return got
	}
	summary, err := json.Marshal(get("/stats/summary"))
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"active_last_7_days":3,"features":{"birdnet":3,"clips_cache":0,"ebird":0,"email_notifs":0,"inaturalist":0,"llm":3,"public_access":0},` +
		`"models":[{"count":3,"model_type":"mobilenet-v2"}],"total_installs":3,"versions":[{"app_version":"2.10.0+abc","count":3}]}`
	if string(summary) != want {
		t.Errorf("got  %s\nwant %s", summary, want)
	}
	issues := get("/stats/health-issues")
	if issues["total_issues"] != 1.0 || len(issues["by_severity"].([]any)) != 1 || len(issues["top_issues"].([]any)) != 1 {
		t.Errorf("got %v", issues)
	}
	r.wants("version", "GET", "/version", "", 200, `{"branches":{},"dev":{"commit":null,"url":null,"version":null},"stable":{"url":null,"version":null}}`)
	if resp, _ := r.do("GET", "/dashboard", ""); resp.StatusCode != 302 || resp.Header.Get("Location") != "/a/wamf/overview" {
		t.Errorf("dashboard: %d to %q", resp.StatusCode, resp.Header.Get("Location"))
	}
	if resp, _ := r.do("OPTIONS", "/heartbeat", ""); resp.StatusCode != 204 || resp.Header.Get("Access-Control-Allow-Origin") != "*" {
		t.Errorf("preflight: %d", resp.StatusCode)
	}
}

func TestNoApp(t *testing.T) {
	r := newRig(t)
	app := r.app
	app.Legacy = false
	if err := r.c.UpdateApp(t.Context(), app); err != nil {
		t.Fatal(err)
	}
	r.wants("no app", "POST", "/heartbeat", fmt.Sprintf(beat, "x"), 404, "")
	app.Legacy, app.Gone = true, true
	if err := r.c.UpdateApp(t.Context(), app); err != nil {
		t.Fatal(err)
	}
	r.wants("gone", "POST", "/heartbeat", fmt.Sprintf(beat, "x"), 410, "")
}
