package report_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/report"
)

// testHealth is the report in testdata/health.json.
func testHealth() report.HealthReport {
	day := func(d, h, m, s int) time.Time { return time.Date(2026, 1, d, h, m, s, 0, time.UTC) }
	return report.HealthReport{
		Schema:         report.SchemaVersion,
		App:            "birdwatch",
		InstallationID: testID,
		IDPersistence:  report.Persisted,
		SentAt:         testTime,
		Version:        "1.4.0",
		Faults: []report.Fault{{
			Source: "log", Component: "detector", Reason: "model_load_failed", Stage: "start",
			Severity: report.SeverityCritical, Count: 3,
			Since: day(30, 8, 0, 0), First: day(30, 8, 0, 2), Last: day(31, 20, 15, 0),
			Context: map[string]string{"device": "gpu.0", "backend": "openvino"},
		}, {
			Source: "check", Component: "storage", Reason: "slow",
			Severity: report.SeverityWarning, Count: 120,
			Since: day(30, 8, 0, 0), First: day(30, 9, 0, 0), Last: day(30, 9, 0, 0),
		}},
	}
}

func TestHealthGolden(t *testing.T) {
	h := testHealth()
	want := golden(t, "health.json")
	for range 20 { // the context is a map
		if got, err := h.Marshal(); err != nil || string(got) != want {
			t.Fatalf("got %s, %v, want %s", got, err, want)
		}
	}
	if got, err := json.Marshal(h); err != nil || string(got) != want {
		t.Errorf("got %s, %v, want %s", got, err, want)
	}
	type plain report.HealthReport // without its methods
	if got, err := json.Marshal(plain(h)); err != nil || string(got) != want {
		t.Errorf("by its tags: got %s, %v, want %s", got, err, want)
	}
	parsed, dropped, err := report.ParseHealth([]byte(want))
	if err != nil || dropped != (report.Dropped{}) || !reflect.DeepEqual(parsed, h) {
		t.Errorf("got %+v, %+v, %v, want %+v", parsed, dropped, err, h)
	}
	var back report.HealthReport
	if err := json.Unmarshal([]byte(want), &back); err != nil || !reflect.DeepEqual(back, h) {
		t.Errorf("got %+v, %v, want %+v", back, err, h)
	}
	if err := json.Unmarshal([]byte(`{}`), &back); reason(err) != report.CodeMissing {
		t.Errorf("got %v, want it missing", err)
	}
}

func TestHealthRefused(t *testing.T) {
	long := strings.Repeat("a", report.MaxCodeLen)
	fault := func(reason string) string {
		return fmt.Sprintf(`{"source":"a","component":"b","reason":%q,"severity":"info","count":1,`+
			`"since":"2026-01-30T08:00:00Z","first":"2026-01-30T08:00:00Z","last":"2026-01-30T08:00:00Z"},`, reason)
	}
	var many strings.Builder // MaxFaults with the two that are there, less one
	for i := range report.MaxFaults - 2 {
		many.WriteString(fault(fmt.Sprint(i)))
	}
	good := golden(t, "health.json")
	start := strings.Index(good, `"faults":`)
	for _, c := range []refusal{
		{`"schema":1`, `"schema":0`, "schema", report.CodeUnknownSchema},
		{`"birdwatch"`, `"Bird"`, "app", report.CodeOutOfBounds},
		{testID, `x`, "installation_id", report.CodeOutOfBounds},
		{`"persisted"`, `"x"`, "id_persistence", report.CodeOutOfBounds},
		{`2026-01-31T23:59:59Z`, `now`, "sent_at", report.CodeWrongType},
		{`"1.4.0"`, `"\u0001"`, "version", report.CodeOutOfBounds},

		{good[start:], `"x":1}`, "faults", report.CodeMissing},
		{good[start:], `"faults":[]}`, "faults", report.CodeMissing},
		{good[start:], `"faults":{}}`, "faults", report.CodeWrongType},
		{good[start:], `"faults":[1]}`, "faults", report.CodeWrongType},
		{good[start:], `"faults":[{}]}`, "faults[].source", report.CodeMissing},
		{`"faults":[`, `"faults":[` + many.String() + fault("x"), "faults", report.CodeOutOfBounds},
		{`"faults":[`, `"faults":[` + fault("x") + fault("x"), "faults", report.CodeDuplicate},

		{`"source":"log",`, ``, "faults[].source", report.CodeMissing},
		{`"log"`, `""`, "faults[].source", report.CodeMissing},
		{`"log"`, `"a message"`, "faults[].source", report.CodeOutOfBounds},
		{`"component":"detector",`, ``, "faults[].component", report.CodeMissing},
		{`"detector"`, `"` + long + `a"`, "faults[].component", report.CodeOutOfBounds},
		{`"reason":"model_load_failed",`, ``, "faults[].reason", report.CodeMissing},
		{`"model_load_failed"`, `"_x"`, "faults[].reason", report.CodeOutOfBounds},
		{`"start"`, `"Start"`, "faults[].stage", report.CodeOutOfBounds},
		{`"start"`, `1`, "faults[].stage", report.CodeWrongType},
		{`"severity":"critical",`, ``, "faults[].severity", report.CodeMissing},
		{`"critical"`, `"fatal"`, "faults[].severity", report.CodeOutOfBounds},
		{`"count":3,`, ``, "faults[].count", report.CodeMissing},
		{`"count":3`, `"count":0`, "faults[].count", report.CodeOutOfBounds},
		{`"count":3`, `"count":-3`, "faults[].count", report.CodeOutOfBounds},
		{`"count":3`, `"count":1000000001`, "faults[].count", report.CodeOutOfBounds},
		{`"count":3`, `"count":99999999999999999999`, "faults[].count", report.CodeOutOfBounds},
		{`"count":3`, `"count":3.5`, "faults[].count", report.CodeWrongType},
		{`"count":3`, `"count":true`, "faults[].count", report.CodeWrongType},
		{`"since":"2026-01-30T08:00:00Z",`, ``, "faults[].since", report.CodeMissing},
		{`"since":"2026-01-30T08:00:00Z"`, `"since":"1960-01-30T08:00:00Z"`, "faults[].since", report.CodeOutOfBounds},
		{`"first":"2026-01-30T08:00:02Z",`, ``, "faults[].first", report.CodeMissing},
		{`"last":"2026-01-31T20:15:00Z",`, ``, "faults[].last", report.CodeMissing},
		{`"last":"2026-01-31T20:15:00Z"`, `"last":"2026-01-30T08:00:01Z"`, "faults[].last", report.CodeOutOfBounds},
		{`"context":{`, `"context":"x","other":{`, "faults[].context", report.CodeWrongType},
		{`"context":{`, `"context":{"device":"a",`, "faults[].context", report.CodeDuplicate},
		{`"count":3`, `"count":3,"count":3`, "faults[].count", report.CodeDuplicate},
	} {
		h, dropped, err := report.ParseHealth(c.on(t, good))
		c.check(t, err)
		if !reflect.DeepEqual(h, report.HealthReport{}) || dropped != (report.Dropped{}) {
			t.Errorf("%s: got %+v, %+v, want nothing", c.new, h, dropped)
		}
	}
	full := refusal{old: `"faults":[`, new: `"faults":[` + many.String()}.on(t, good)
	if h, _, err := report.ParseHealth(full); err != nil || len(h.Faults) != report.MaxFaults {
		t.Errorf("got %d faults, %v, want %d", len(h.Faults), err, report.MaxFaults)
	}
}

func TestHealthAccepted(t *testing.T) {
	for _, c := range []struct {
		old, new string
		change   func(*report.HealthReport)
		dropped  report.Dropped
	}{
		{`"count":3`, `"count":1000000000`, func(h *report.HealthReport) { h.Faults[0].Count = 1e9 }, report.Dropped{}},
		{`"start"`, `""`, func(h *report.HealthReport) { h.Faults[0].Stage = "" }, report.Dropped{}},
		{`"1.4.0"`, `"v1.4.0"`, func(*report.HealthReport) {}, report.Dropped{}},
		{`"count":3`, `"count":3,"words":"free text"`, func(*report.HealthReport) {}, report.Dropped{Fields: 1}},
		{`"gpu.0"`, `"GPU 0"`, func(h *report.HealthReport) { delete(h.Faults[0].Context, "device") },
			report.Dropped{Context: 1}},
		{`"gpu.0"`, `{"a":[1,"]"]}`, func(h *report.HealthReport) { delete(h.Faults[0].Context, "device") },
			report.Dropped{Context: 1}},
		{`"context":{`, `"context":{"a":"1","b":"1","c":"1","d":"1","e":"1","f":"1","g":"1",`,
			func(h *report.HealthReport) {
				for key := range strings.SplitSeq("abcdefg", "") {
					h.Faults[0].Context[key] = "1"
				}
				delete(h.Faults[0].Context, "device")
			}, report.Dropped{Context: 1}},
	} {
		want := testHealth()
		c.change(&want)
		got, dropped, err := report.ParseHealth(refusal{old: c.old, new: c.new}.on(t, golden(t, "health.json")))
		if err != nil || dropped != c.dropped || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v, %+v, %v, want %+v, %+v", c.new, got, dropped, err, want, c.dropped)
		}
	}
}

// TestHealthValidate has reports that no parser returns.
func TestHealthValidate(t *testing.T) {
	context := map[string]string{}
	for i := range report.MaxContext + 1 {
		context[fmt.Sprint("k", i)] = "v"
	}
	for name, change := range map[string]func(*report.HealthReport){
		"too many faults":    func(h *report.HealthReport) { h.Faults = make([]report.Fault, report.MaxFaults+1) },
		"context's key":      func(h *report.HealthReport) { h.Faults[0].Context = map[string]string{"A": "a"} },
		"context's value":    func(h *report.HealthReport) { h.Faults[0].Context = map[string]string{"a": "free text"} },
		"too much context":   func(h *report.HealthReport) { h.Faults[1].Context = context },
		"version as written": func(h *report.HealthReport) { h.Version = "v1" },
	} {
		h := testHealth()
		change(&h)
		if _, err := h.Marshal(); reason(err) != report.CodeOutOfBounds {
			t.Errorf("%s: got %v, want it out of bounds", name, err)
		}
	}
	h := testHealth()
	h.Faults = append(h.Faults, h.Faults[0])
	h.Faults[2].Context = nil
	if err := h.Validate(); reason(err) != report.CodeDuplicate {
		t.Errorf("got %v, want a duplicate", err)
	}
}
