package legacy_test

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/access"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/server"
)

// A client in Python reports over HTTP to a server, and is counted.
func TestPythonClient(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		skipLoudly(t, err.Error())
	}
	r := newRig(t)
	s, err := server.New(server.Options{Collector: r.c, Access: access.New(r.c, nil), Legacy: r.handler})
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(s.Handler())
	defer web.Close()
	out, err := exec.CommandContext(t.Context(), python, "testdata/client.py", web.URL).Output()
	if err != nil {
		if failed, ok := err.(*exec.ExitError); ok {
			t.Fatalf("%v\n%s", err, failed.Stderr)
		}
		t.Fatal(err)
	}
	var said struct {
		Installation string            `json:"installation"`
		Results      []json.RawMessage `json:"results"`
	}
	if err := json.Unmarshal(out, &said); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	want := []string{
		`["/heartbeat", 200, {"status": "ok"}]`,
		`["/heartbeat", 200, {"status": "ok"}]`,
		`["/health-issues", 200, {"status": "ok", "accepted": 1, "duplicate": false}]`,
		`["/health-issues", 429, {"error": "Rate limit exceeded"}]`,
	}
	if len(said.Results) != len(want) {
		t.Fatalf("got %s", out)
	}
	for i := range want {
		if got := string(said.Results[i]); got != want[i] {
			t.Errorf("report %d: got %s, want %s", i, got, want[i])
		}
	}
	held := r.held(said.Installation)
	for dimension, want := range map[string]string{
		collector.DimVersion: "2.15.1+abc1234", "fact.configuration.model_type": "convnext_large", "fact.notifications.discord_enabled": "true",
		"fact.runtime.inference_health_total_runtimes": "3", "fact.deployment.app_branch": "",
	} {
		if got := held.Values[dimension]; got != want {
			t.Errorf("%s: got %q, want %q", dimension, got, want)
		}
	}
	if len(held.Faults) != 1 || held.Faults[0].Count != 3 || held.Faults[0].Component != "camera" || held.Faults[0].Reason != "decode_failed" {
		t.Errorf("got faults %+v", held.Faults)
	}
}

// skipLoudly says on standard error, where it is seen without -v, what is not tested. With ROLLCALL_REQUIRE_ALL=1, as in
// CI, the test fails instead.
func skipLoudly(t *testing.T, reason string) {
	t.Helper()
	if os.Getenv("ROLLCALL_REQUIRE_ALL") == "1" {
		t.Fatalf("cannot run: %s", reason)
	}
	fmt.Fprintf(os.Stderr, "SKIPPED %s: %s\n", t.Name(), reason)
	t.Skip(reason)
}

// Of an app that is public everyone sees the figures, but not those of small groups.
func TestPublicStats(t *testing.T) { synctest.Test(t, testPublicStats) }

func testPublicStats(t *testing.T) {
	r := newRig(t)
	r.app.Public, r.app.K = true, 10
	if err := r.c.UpdateApp(t.Context(), r.app); err != nil {
		t.Fatal(err)
	}
	send := func(n int, model string, llm bool) {
		for range n {
			r.sent++
			body := fmt.Sprintf(`{"installation_id":"public-%d","version":"2.0","configuration":{"model_type":%q,"llm_enabled":%t}}`, r.sent, model, llm)
			r.wants("heartbeat", "POST", "/heartbeat", body, 200, `{"status":"ok"}`)
		}
	}
	for range 2 {
		r.sent = 0
		send(20, "large", true)
		send(3, "rare", false)
		time.Sleep(24 * time.Hour) // after the second day they are established
	}
	for i := range 10 { // as many as k, so that nothing is rounded
		r.do("POST", "/health-issues", fmt.Sprintf(`{"installation_id":"public-%d","version":"2.0","issues":[%s]}`, i+1, issue(`"count":5`)))
	}
	const none = `{"active_last_7_days":null,"features":{"birdnet":null,"clips_cache":null,"ebird":null,"email_notifs":null,"inaturalist":null,` +
		`"llm":null,"public_access":null},"models":[],"total_installs":null,"versions":[]}`
	r.wants("summary before the window is over", "GET", "/stats/summary", "", 200, none)
	day := collector.DayOf(time.Now())
	time.Sleep(time.Until((collector.LastPublicDay(day-1) + collector.PublicDays + 1).Time()) + time.Hour)
	r.wants("summary", "GET", "/stats/summary", "", 200, `{"active_last_7_days":null,"features":{"birdnet":null,"clips_cache":null,"ebird":null,`+
		`"email_notifs":null,"inaturalist":null,"llm":20,"public_access":null},"models":[{"model_type":"large","count":20}],`+
		`"total_installs":null,"versions":[{"app_version":"2.0","count":20}]}`)
	r.wants("issues", "GET", "/stats/health-issues", "", 200, `{"active_last_30_days":10,`+
		`"by_component":[{"issue_component":"inference","issue_count":10,"report_count":10,"occurrence_count":null}],`+
		`"by_severity":[{"severity":"error","issue_count":10,"report_count":10,"occurrence_count":null}],`+
		`"top_issues":[{"issue_component":"inference","issue_reason_code":"gpu_unhealthy","severity":"error","app_version":"","install_count":10,`+
		`"report_count":10,"occurrence_count":null,"last_seen":""}],"total_issues":10}`)
}
