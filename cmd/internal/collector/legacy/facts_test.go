package legacy_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/figures"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/legacy"
	"github.com/rollcall-dev/rollcall/report"
)

// docs/legacy.md contains the table of the fields.
func TestDocumentedFields(t *testing.T) {
	doc, err := os.ReadFile("../../../../docs/legacy.md")
	if err != nil {
		t.Fatal(err)
	}
	if table := legacy.FieldTable(); !strings.Contains(string(doc), table) {
		t.Errorf("docs/legacy.md does not contain these rows:\n%s", table)
	}
}

// A heartbeat can hold all fields as facts.
func TestFieldNames(t *testing.T) {
	names := legacy.FactNames()
	if len(names) > report.MaxFacts || len(names) > collector.MaxFacts {
		t.Errorf("got %d fields, want at most %d facts", len(names), report.MaxFacts)
	}
	slices.Sort(names)
	if len(slices.Compact(slices.Clone(names))) != len(names) {
		t.Error("a field is a duplicate")
	}
	for _, name := range names {
		if !report.ValidName(name) {
			t.Errorf("%q is not a valid name of a fact", name)
		}
	}
}

// Each value is counted as documented, and values that are not fields are not.
func TestFacts(t *testing.T) {
	r := newRig(t)
	for i, tt := range []struct {
		field string // group.key
		value string // JSON
		want  string
	}{
		{"configuration.llm_enabled", `true`, "true"},
		{"configuration.llm_enabled", `false`, "false"},
		{"configuration.llm_enabled", `null`, ""},
		{"configuration.llm_enabled", `"true"`, ""},
		{"configuration.llm_enabled", `1`, ""},
		{"configuration.model_type", `"MobileNet V2"`, "mobilenet-v2"},
		{"configuration.model_type", `" a.b_c-D "`, "a.b_c-d"},
		{"configuration.model_type", `"<b>x</b>"`, "b-x--b-"},
		{"configuration.model_type", `"=1+1"`, "1-1"},
		{"configuration.model_type", `"ümlaut"`, "mlaut"},
		{"configuration.model_type", `"` + strings.Repeat("m", 100) + `"`, strings.Repeat("m", report.MaxFactValueLen)},
		{"configuration.model_type", `"---"`, ""},
		{"configuration.model_type", `["a"]`, ""},
		{"runtime.inference_health_status", `"Degraded"`, "degraded"},
		{"runtime.inference_health_status", `"on fire"`, ""},
		{"runtime.last_recovery_status", `"recovered"`, "recovered"},
		{"runtime.last_recovery_reason", `"GPU_UNHEALTHY_FALLBACK"`, "gpu_unhealthy_fallback"},
		{"runtime.inference_health_total_runtimes", `-5`, "0"},
		{"runtime.inference_health_total_runtimes", `0`, "0"},
		{"runtime.inference_health_total_runtimes", `1`, "1"},
		{"runtime.inference_health_total_runtimes", `2.9`, "2"},
		{"runtime.inference_health_total_runtimes", `9`, "9"},
		{"runtime.inference_health_total_runtimes", `200`, "200"},
		{"runtime.inference_health_total_runtimes", `201`, ""},
		{"runtime.inference_health_total_runtimes", `1e300`, ""},
		{"runtime.inference_health_total_runtimes", `" 3 "`, "3"},
		{"runtime.inference_health_total_runtimes", `"NaN"`, ""},
		{"runtime.inference_health_total_runtimes", `"x"`, ""},
		{"integrations.birdnet_enabled", `true`, "true"},
		{"deployment.git_hash", `"0123abc"`, ""},
		{"deployment.host_name", `"somebody"`, ""},
		{"invented.by_sender", `true`, ""},
	} {
		group, key, _ := strings.Cut(tt.field, ".")
		id := fmt.Sprint("facts-", i)
		r.wants(tt.field, "POST", "/heartbeat", fmt.Sprintf(`{"installation_id":%q,"%s":{"%s":%s}}`, id, group, key, tt.value), 200, `{"status":"ok"}`)
		values := r.held(id).Values
		if got := values["fact."+tt.field]; got != tt.want {
			t.Errorf("%s of %s: got %q, want %q", tt.field, tt.value, got, tt.want)
		}
		for dimension := range values {
			if name, ok := strings.CutPrefix(dimension, "fact."); ok && (name != tt.field || tt.want == "") {
				t.Errorf("%s of %s: %s is counted", tt.field, tt.value, dimension)
			}
		}
	}
}

// Older clients have two fields in another group. The newer group takes precedence.
func TestOlderGroup(t *testing.T) {
	r := newRig(t)
	for id, tt := range map[string][2]string{
		"older": {`"configuration":{"birdnet_enabled":true}`, "true"},
		"both":  {`"configuration":{"birdnet_enabled":true},"integrations":{"birdnet_enabled":false}`, "false"},
		"null":  {`"configuration":{"birdnet_enabled":true},"integrations":{"birdnet_enabled":null}`, "true"},
	} {
		r.wants(id, "POST", "/heartbeat", `{"installation_id":"`+id+`",`+tt[0]+`}`, 200, `{"status":"ok"}`)
		if got := r.held(id).Values["fact.integrations.birdnet_enabled"]; got != tt[1] {
			t.Errorf("%s: got %q, want %q", id, got, tt[1])
		}
	}
}

// IDs that are not UUIDs remain distinct, however long they are.
func TestInstallationIDs(t *testing.T) {
	long := strings.Repeat("x", 1000)
	seen := map[string]string{}
	for _, text := range []string{
		"not-a-uuid", "not-a-uuid2", "NOT-A-UUID", long + "1", long + "2", "8f14e45fceea467f95755a2b5d1f3c11",
		"00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff", "\x00", "8f14e45f-ceea-467f-9575-5a2b5d1f3c11",
	} {
		id := legacy.InstallationID(text)
		if other, ok := seen[id]; ok {
			t.Errorf("%.40q and %.40q have the same ID", text, other)
		}
		seen[id] = text
		h := report.Heartbeat{
			Schema: report.SchemaVersion, App: "a", InstallationID: id, IDPersistence: report.Persisted, SentAt: collector.Day(1).Time(),
		}
		if err := h.Validate(); err != nil {
			t.Errorf("%.40q: got %q: %v", text, id, err)
		}
		if again := legacy.InstallationID(text); again != id {
			t.Errorf("%.40q: got %q and %q", text, id, again)
		}
	}
	if got := legacy.InstallationID("8F14E45F-CEEA-467F-9575-5A2B5D1F3C11"); got != "8f14e45f-ceea-467f-9575-5a2b5d1f3c11" {
		t.Errorf("got %q for a UUID in upper case", got)
	}
	if got := legacy.InstallationID(""); got != "" {
		t.Errorf("got %q for an empty ID", got)
	}
}

// Whatever a client sends, the collector receives a valid report.
func FuzzReports(f *testing.F) {
	f.Add(fmt.Sprintf(beat, "x"))
	f.Add(`{"installation_id":"x","report_id":"` + hex + `","issues":[` + issue(`"count":3`) + `]}`)
	f.Add(`{"installation_id":1e308,"timestamp":"9999-12-31T23:59:59-23:00","issues":[{"fingerprint":true,"first_seen_at":"0001-01-01T00:00:00Z"}]}`)
	f.Fuzz(func(t *testing.T, text string) {
		var o map[string]any
		if json.Unmarshal([]byte(text), &o) != nil {
			t.Skip()
		}
		if err := legacy.CheckReports(o); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	})
}

// The sums of runtimes are exact, however many different numbers there are, and
// follow each installation.
func TestSumsOfRuntimes(t *testing.T) {
	r := newRig(t)
	random := rand.New(rand.NewPCG(3, 4))
	want := make(map[string]map[int]uint64) // by fact and installation
	for round := range 3 {
		for n := range 300 {
			if round > 0 && random.IntN(3) > 0 {
				continue
			}
			numbers := make(map[string]uint64)
			for _, kind := range []string{"total", "degraded", "unhealthy"} {
				if number := random.Uint64N(230); random.IntN(5) > 0 {
					numbers["inference_health_"+kind+"_runtimes"] = number
				}
			}
			text, err := json.Marshal(map[string]any{"installation_id": fmt.Sprint("sum-", n), "version": "1.0", "runtime": numbers})
			if err != nil {
				t.Fatal(err)
			}
			r.wants("heartbeat", "POST", "/heartbeat", string(text), 200, `{"status":"ok"}`)
			for _, fact := range collector.SummedFacts() {
				number, reported := numbers[strings.TrimPrefix(fact, "runtime.")]
				if want[fact] == nil {
					want[fact] = make(map[int]uint64)
				}
				if delete(want[fact], n); reported && number <= 200 {
					want[fact][n] = number
				}
			}
		}
		today, _, err := r.c.Today(r.app.Num)
		if err != nil {
			t.Fatal(err)
		}
		faults, err := r.c.Faults(t.Context(), r.app.Num, collector.Range{From: today - 1, To: today}, figures.View{})
		if err != nil {
			t.Fatal(err)
		}
		if len(faults.Totals.Sums) != 3 {
			t.Fatalf("got %d sums", len(faults.Totals.Sums))
		}
		for _, s := range faults.Totals.Sums {
			var sum uint64
			for _, number := range want[s.Fact] {
				sum += number
			}
			if *s.Sum != sum || int(*s.Reporting) != len(want[s.Fact]) {
				t.Errorf("%s: got %d of %d installations, want %d of %d", s.Fact, *s.Sum, *s.Reporting, sum, len(want[s.Fact]))
			}
		}
	}
}
