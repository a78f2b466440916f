package rollcall_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/rollcall-dev/rollcall/report"
	"github.com/rollcall-dev/rollcall/rollcalltest"
)

const privacyPage, protocolPage = "docs/privacy.md", "docs/protocol.md"

func readPage(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// TestPrivacyPage compares the table of fields with the declarations. With
// UPDATE_DOCS=1 it writes the table.
func TestPrivacyPage(t *testing.T) {
	const begin, end = "<!-- fields:begin -->\n", "<!-- fields:end -->\n"
	page := readPage(t, privacyPage)
	before, rest, found := strings.Cut(page, begin)
	_, after, closed := strings.Cut(rest, end)
	if !found || !closed {
		t.Fatalf("%s: no %s and %s", privacyPage, begin, end)
	}
	want := before + begin + fieldTable("Heartbeat", report.Fields()) + fieldTable("Health report", report.HealthFields()) + "\n" + end + after
	if page == want {
		return
	}
	if os.Getenv("UPDATE_DOCS") != "1" {
		t.Fatalf("%s: the table of fields differs from package report; run UPDATE_DOCS=1 go test -run '^TestPrivacyPage$' .", privacyPage)
	}
	if err := os.WriteFile(privacyPage, []byte(want), 0o644); err != nil {
		t.Fatal(err)
	}
}

func fieldTable(title string, fields []report.Field) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n### %s\n\n| field | what it can be | why it is sent |\n|---|---|---|\n", title)
	for _, f := range fields {
		bound := f.Type + ": " + f.Bound
		if f.Optional {
			bound += "; may be left out"
		}
		if f.Since > 1 {
			bound += fmt.Sprintf("; since schema %d", f.Since)
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", f.Name, bound, f.Reason)
	}
	return b.String()
}

// TestPrivacyPageNames: the page names every key, variable and verb that decides.
func TestPrivacyPageNames(t *testing.T) {
	page := readPage(t, privacyPage)
	for _, name := range []string{
		"telemetry.enabled", "telemetry.health_enabled", "telemetry.granted_schema", "telemetry.granted_facts",
		"DO_NOT_TRACK", "ROLLCALL_TELEMETRY", "/etc/rollcall/policy.json", "consent.json", "rollcall_nosend",
		"rollcall status", "rollcall preview", "rollcall enable", "rollcall disable", "rollcall reset", "rollcall forget",
		"rollcall export FILE", "rollcall send FILE",
	} {
		if !strings.Contains(page, "`"+name) {
			t.Errorf("%s does not name %s", privacyPage, name)
		}
	}
}

// TestProtocolPage compares the page with package report.
func TestProtocolPage(t *testing.T) {
	page := strings.Join(strings.Fields(readPage(t, protocolPage)), " ")
	for _, want := range []string{
		fmt.Sprintf("a heartbeat, at most %d KiB", report.MaxHeartbeatBytes>>10),
		fmt.Sprintf("a health report, at most %d KiB", report.MaxHealthBytes>>10),
		fmt.Sprintf("nested at most %d deep", report.MaxDepth),
		fmt.Sprintf("at most %d facts", report.MaxFacts),
		fmt.Sprintf("1 to %d faults", report.MaxFaults),
		fmt.Sprintf("at most %d entries of context", report.MaxContext),
		fmt.Sprintf("at most %d.", report.MaxFaultCount),
		fmt.Sprintf("follows, now %d.", report.SchemaVersion),
	} {
		if !strings.Contains(page, want) {
			t.Errorf("%s does not say %q", protocolPage, want)
		}
	}
	for _, code := range report.Codes() {
		if !strings.Contains(page, "| `"+string(code)+"` |") {
			t.Errorf("%s does not explain %s", protocolPage, code)
		}
	}
	blocks := codeBlocks(t, "json")
	if len(blocks) != 3 { // a test of the collector checks the third
		t.Fatalf("got %d examples in JSON, want 3", len(blocks))
	}
	h, dropped, err := report.ParseHeartbeat([]byte(blocks[0]))
	if err != nil || dropped != (report.Dropped{}) {
		t.Errorf("heartbeat: %v, dropped %+v", err, dropped)
	}
	health, dropped, err := report.ParseHealth([]byte(blocks[1]))
	if err != nil || dropped != (report.Dropped{}) {
		t.Errorf("health report: %v, dropped %+v", err, dropped)
	}
	// The examples have every field.
	heartbeat, _ := h.Marshal()
	for _, f := range report.Fields() {
		if name := f.Name[strings.LastIndex(f.Name, ".")+1:]; !bytes.Contains(heartbeat, []byte(`"`+name+`":`)) {
			t.Errorf("the heartbeat has no %s", f.Name)
		}
	}
	body, _ := health.Marshal()
	for _, f := range report.HealthFields() {
		if name := f.Name[strings.LastIndex(f.Name, ".")+1:]; !bytes.Contains(body, []byte(`"`+name+`":`)) {
			t.Errorf("the health report has no %s", f.Name)
		}
	}
}

// codeBlocks returns the code blocks of a language on the protocol page.
func codeBlocks(t *testing.T, language string) []string {
	t.Helper()
	var blocks []string
	for _, m := range regexp.MustCompile("(?s)\n```"+language+"\n(.*?)\n```\n").FindAllStringSubmatch(readPage(t, protocolPage), -1) {
		blocks = append(blocks, m[1])
	}
	return blocks
}

// TestProtocolExamples runs the example in shell on the page. TestProtocolProgram of
// cmd/rollcall runs the one in Python.
func TestProtocolExamples(t *testing.T) {
	const exampleEndpoint = "https://telemetry.example.org"
	run := func(t *testing.T, language string, program ...string) *rollcalltest.Collector {
		t.Helper()
		needTool(t, program[0])
		collector := rollcalltest.NewCollector(t)
		blocks := codeBlocks(t, language)
		if len(blocks) != 1 || strings.Count(blocks[0], exampleEndpoint) != 1 {
			t.Fatalf("got %q", blocks)
		}
		code := strings.ReplaceAll(blocks[0], exampleEndpoint, collector.URL)
		dir := t.TempDir()
		for range 2 { // each can be repeated
			cmd := exec.CommandContext(t.Context(), program[0], append(program[1:], code)...)
			cmd.Dir = dir
			cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "NO_PROXY=*", "DO_NOT_TRACK=no"}
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
		}
		return collector
	}
	t.Run("curl", func(t *testing.T) {
		needTool(t, "curl")
		c := run(t, "sh", "sh", "-euc")
		if h := c.Heartbeats(); len(h) != 2 || h[0].App != "my-app" || h[0].InstallationID != h[1].InstallationID {
			t.Errorf("got %+v", h)
		}
		if got := c.Forgotten(); len(got) != 2 || got[0] != c.Heartbeats()[0].InstallationID {
			t.Errorf("forgotten: got %v", got)
		}
		if n := len(c.Requests()); n != 4 {
			t.Errorf("got %d requests", n)
		}
	})
}

// needTool skips a test, loudly, if a program is missing.
func needTool(t *testing.T, name string) {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		skipLoudly(t, err.Error())
	}
}

// skipLoudly skips a test and says so on standard error, which is visible
// without -v. With ROLLCALL_REQUIRE_ALL=1, as in CI, the test fails instead.
func skipLoudly(t *testing.T, reason string) {
	t.Helper()
	if os.Getenv("ROLLCALL_REQUIRE_ALL") == "1" {
		t.Fatalf("cannot run: %s", reason)
	}
	fmt.Fprintf(os.Stderr, "SKIPPED %s: %s\n", t.Name(), reason)
	t.Skip(reason)
}
