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
	"testing/synctest"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/counter"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/engine"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/figures"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/legacy"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/release"
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
	h, err := legacy.New(legacy.Options{Collector: c, Releases: release.New(c), MayRead: func(r *http.Request, app string) bool { return r.Header.Get("Authorization") == "Bearer "+app }})
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
"runtime":{"inference_health_total_runtimes":3,"last_recovery_reason":"OOM_Restart"},"hardware":{"cuda_available":null},"deployment":{"mode":"docker","git_hash":"0123abc"}}`

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
		"version": "2.10.0+abc", "system": "linux", "machine": "amd64", "fact.configuration.model_type": "mobilenet-v2",
		"fact.configuration.llm_enabled": "true", "fact.integrations.ebird_enabled": "false", "fact.deployment.mode": "docker",
		"fact.runtime.inference_health_total_runtimes": "3", "fact.runtime.last_recovery_reason": "oom_restart", "fact.hardware.cuda_available": "",
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
	for i := range counter.LegacyHeartbeatsPerMinute {
		if resp, body := r.from("192.0.2.1:1", "POST", "/heartbeat", fmt.Sprintf(beat, fmt.Sprint("a", i))); resp.StatusCode != 200 {
			t.Fatalf("%d: %d %s", i, resp.StatusCode, body)
		}
	}
	resp, body := r.from("192.0.2.1:2", "POST", "/heartbeat", fmt.Sprintf(beat, "b"))
	if resp.StatusCode != 429 || resp.Header.Get("Retry-After") != "60" || body != `{"error":"Rate limit exceeded"}` {
		t.Errorf("got %d, %q, %s", resp.StatusCode, resp.Header.Get("Retry-After"), body)
	}
	for range counter.LegacyHeartbeatsPerMinute {
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
	again, err := legacy.New(legacy.Options{Collector: r.c, Releases: release.New(r.c)})
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
	// Each version has the occurrences that were reported in it.
	r.do("POST", "/heartbeat", strings.Replace(fmt.Sprintf(beat, "s1"), "2.10.0+abc", "2.11.0", 1))
	r.do("POST", "/health-issues", `{"installation_id":"s1","version":"2.11.0","issues":[`+issue(`"count":3`)+`]}`)
	counts := make(map[string]any)
	for _, top := range get("/stats/health-issues")["top_issues"].([]any) {
		entry := top.(map[string]any)
		counts[fmt.Sprint(entry["app_version"])] = entry["occurrence_count"]
	}
	if len(counts) != 2 || counts["2.10.0+abc"] != 5.0 || counts["2.11.0"] != 3.0 {
		t.Errorf("occurrences by version: got %v, want 5 and 3", counts)
	}
	if resp, _ := r.do("GET", "/dashboard", ""); resp.StatusCode != 302 || resp.Header.Get("Location") != "/a/wamf/overview" {
		t.Errorf("dashboard: %d to %q", resp.StatusCode, resp.Header.Get("Location"))
	}
	if resp, _ := r.do("OPTIONS", "/heartbeat", ""); resp.StatusCode != 204 || resp.Header.Get("Access-Control-Allow-Origin") != "*" {
		t.Errorf("preflight: %d", resp.StatusCode)
	}
}

// Events and reports stay known however many follow, as with the worker.
func TestKnownForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		send := func(what, head, fields, want string) {
			t.Helper()
			time.Sleep(time.Minute)
			r.wants(what, "POST", "/health-issues", `{"installation_id":"x","version":"2.0"`+head+`,"issues":[`+issue(fields)+`]}`, 200, want)
		}
		one, none := `{"status":"ok","accepted":1,"duplicate":false}`, `{"status":"ok","accepted":0,"duplicate":true}`
		v2 := func(n int) string { return fmt.Sprintf(`,"report_id":"%016x%048d"`, 1<<40+n, 0) }
		v3 := `,"schema_version":"2026-07-25.health-issues.v3"` + v2(0)
		events := func(from int) string {
			var ids []string
			for n := range legacy.MaxEvents {
				ids = append(ids, fmt.Sprintf(`"%016x%048d"`, from+n, 0))
			}
			return `"event_ids":[` + strings.Join(ids, ",") + `]`
		}
		send("v2", v2(1), `"count":250`, one)
		for n := range 4 {
			send("v3", v3, events(1000*n), one)
		}
		for n := range 10 {
			send("v2", v2(2+n), `"count":250`, one)
		}
		send("v3 again", v3, events(0), none)
		send("v2 again", v2(1), `"count":250`, none)
		send("v2 with another count", v2(1), `"count":3`, none)
		if got := r.held("x").Faults[0].Count; got != 250*15 {
			t.Errorf("counted %d, want %d", got, 250*15)
		}
	})
}

// A limit that lasts until tomorrow is answered like the worker's own.
func TestDailyLimit(t *testing.T) {
	r := newRig(t)
	app := r.app
	app.MaxNewPerDay = 1
	if err := r.c.UpdateApp(t.Context(), app); err != nil {
		t.Fatal(err)
	}
	r.wants("first", "POST", "/heartbeat", fmt.Sprintf(beat, "a"), 200, "")
	resp, body := r.do("POST", "/heartbeat", fmt.Sprintf(beat, "b"))
	if resp.StatusCode != 503 || resp.Header.Get("Retry-After") != "86400" || body != `{"error":"Daily ingestion budget exhausted"}` {
		t.Errorf("got %d, %q, %s", resp.StatusCode, resp.Header.Get("Retry-After"), body)
	}
}

// A value left out on purpose is not missing, and one that is not expected is.
func TestLeftOut(t *testing.T) {
	r := newRig(t)
	for id, fields := range map[string]string{"a": `"git_hash":"0123abc"`, "b": `"git_hash":"0123abc","host":"x"`} {
		r.wants(id, "POST", "/heartbeat", `{"installation_id":"`+id+`","version":"2.0","deployment":{`+fields+`}}`, 200, "")
	}
	today, _, err := r.c.Today(r.app.Num)
	if err != nil {
		t.Fatal(err)
	}
	q, err := r.c.Quality(t.Context(), r.app.Num, collector.Range{From: today, To: today})
	if err != nil || len(q.Points) != 1 || q.Points[0].DroppedFacts != 1 {
		t.Errorf("got %+v, %v; want 1 dropped fact", q.Points, err)
	}
}

// Of the sample context only codes under known keys are kept.
func TestSample(t *testing.T) {
	r := newRig(t)
	r.wants("report", "POST", "/health-issues", `{"installation_id":"x","version":"2.0","issues":[{"fingerprint":"f","count":1,`+
		`"sample_context":{"error_type":"RuntimeError","device":" GPU ","stage":7,"kind":"<b>","secret":"x","provider":{"a":"b"},"attempt":3}}]}`, 200, "")
	today, _, err := r.c.Today(r.app.Num)
	if err != nil {
		t.Fatal(err)
	}
	faults, err := r.c.Faults(t.Context(), r.app.Num, collector.Range{From: today, To: today}, figures.View{})
	if err != nil || len(faults.Faults) != 1 {
		t.Fatalf("got %+v, %v", faults, err)
	}
	if got, want := fmt.Sprint(faults.Faults[0].Sample), "map[device:gpu error_type:runtimeerror kind:b-]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// Images are counted by flavor, architecture, and mode at once.
func TestImage(t *testing.T) {
	r := newRig(t)
	for i, tt := range []struct{ deployment, want string }{
		{`{"image_flavor":"Full","image_arch":"x86_64","mode":"monolith"}`, "full.x86_64.monolith"},
		{`{"image_arch":"aarch64"}`, "unknown.aarch64.unknown"},
		{`{"image_flavor":7,"app_branch":"main"}`, ""},
		{`{"image_flavor":"` + strings.Repeat("f", 40) + `"}`, strings.Repeat("f", 32)},
		{`{"image":"invented"}`, ""},
	} {
		id := fmt.Sprint("i", i)
		r.wants(tt.deployment, "POST", "/heartbeat", `{"installation_id":"`+id+`","version":"2.0","deployment":`+tt.deployment+`}`, 200, "")
		if got := r.held(id).Values["fact.deployment.image"]; got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.deployment, got, tt.want)
		}
	}
}

// The reason of a recovery is a code or nothing.
func TestRecoveryReason(t *testing.T) {
	r := newRig(t)
	for i, tt := range []struct{ value, want string }{
		{`"gpu_lost"`, "gpu_lost"}, {`" GPU_lost "`, "gpu_lost"}, {`"gpu lost"`, ""}, {`"<script>"`, ""}, {`"gpu-lost"`, ""}, {`"a.b"`, ""},
		{`""`, ""}, {`7`, ""}, {`null`, ""}, {`"` + strings.Repeat("a", 65) + `"`, ""}, {`"` + strings.Repeat("a", 64) + `"`, strings.Repeat("a", 32)},
	} {
		id := fmt.Sprint("r", i)
		r.wants(tt.value, "POST", "/heartbeat", `{"installation_id":"`+id+`","version":"2.0","runtime":{"last_recovery_reason":`+tt.value+`}}`, 200, "")
		if got := r.held(id).Values["fact.runtime.last_recovery_reason"]; got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.value, got, tt.want)
		}
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
