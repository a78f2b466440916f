package report_test

import (
	"encoding/json"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/report"
)

const testID = "6f1c1f0e-8a52-4c7b-9d3e-2b1a7c5d9e04"

var testTime = time.Date(2026, 1, 31, 23, 59, 59, 0, time.UTC)

// testHeartbeat is the report in testdata/heartbeat.json.
func testHeartbeat() report.Heartbeat {
	return report.Heartbeat{
		Schema:         report.SchemaVersion,
		App:            "birdwatch",
		InstallationID: testID,
		IDPersistence:  report.Persisted,
		SentAt:         testTime,
		Version:        "1.4.0-rc.1",
		Platform:       report.Platform{System: "linux", Release: "6.12.0", Machine: "amd64"},
		Deployment:     report.DeploymentContainer,
		Client:         report.Client{Name: "rollcall-go", Version: "0.3.0"},
		Facts: report.Facts{
			{"access.public", "false"}, {"auth", "oidc"}, {"cameras", "1-9"}, {"media_cache", "true"},
			{"recordings", ">=1000"}, {"users", "<1"},
		},
	}
}

// smallestHeartbeat is the report in testdata/heartbeat-smallest.json.
func smallestHeartbeat() report.Heartbeat {
	return report.Heartbeat{
		Schema: 1, App: "birdwatch", InstallationID: testID, IDPersistence: report.InMemory, SentAt: testTime,
	}
}

func golden(t testing.TB, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestHeartbeatGolden(t *testing.T) {
	for name, h := range map[string]report.Heartbeat{
		"heartbeat.json":          testHeartbeat(),
		"heartbeat-smallest.json": smallestHeartbeat(),
	} {
		want := golden(t, name)
		got, err := h.Marshal()
		if err != nil || string(got) != want {
			t.Errorf("%s: got %s, %v, want %s", name, got, err, want)
		}
		parsed, dropped, err := report.ParseHeartbeat([]byte(want))
		if h.Deployment == "" {
			h.Deployment = report.DeploymentUnknown
		}
		if err != nil || dropped != (report.Dropped{}) || !reflect.DeepEqual(parsed, h) {
			t.Errorf("%s: got %+v, %+v, %v, want %+v", name, parsed, dropped, err, h)
		}
	}
}

// The encoding is that of encoding/json with the tags of the struct.
func TestHeartbeatIsWhatItsTagsSay(t *testing.T) {
	type plain report.Heartbeat // without its methods
	odd := testHeartbeat()
	odd.App, odd.Version, odd.Platform.Release = `"\/<>&'`, "\x00\x1f\x7f\xff\u2028\U0001f426", "\t\r\n"
	odd.Facts = report.Facts{{"<&>", "\u2029"}, {"b", "true"}}
	for _, h := range []report.Heartbeat{testHeartbeat(), smallestHeartbeat(), odd} {
		want, err := json.Marshal(plain(h))
		if err != nil {
			t.Fatal(err)
		}
		if got := h.AppendJSON([]byte("x")); string(got) != "x"+string(want) {
			t.Errorf("got %s, want x%s", got, want)
		}
	}
}

func TestHeartbeatIsDeterministic(t *testing.T) {
	decl, err := report.Declare(manyFacts(20)...)
	if err != nil {
		t.Fatal(err)
	}
	want := ""
	for range 50 {
		values := map[string]any{} // another order each time
		maps.Copy(values, manyValues(20))
		h := testHeartbeat()
		h.Facts = decl.Encode(values)
		h.SentAt = testTime.In(time.FixedZone("", 3600)).Add(time.Second / 2)
		got, err := h.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		if want == "" {
			want = string(got)
		}
		if string(got) != want {
			t.Fatalf("got %s, want %s", got, want)
		}
	}
	if strings.ContainsAny(want, " \n\t") || !strings.Contains(want, `"sent_at":"2026-01-31T23:59:59Z"`) {
		t.Errorf("got %s, want it compact and in UTC", want)
	}
}

func TestHeartbeatByEncodingJSON(t *testing.T) {
	h := testHeartbeat()
	want := golden(t, "heartbeat.json")
	got, err := json.Marshal(map[string]any{"report": h})
	if err != nil || string(got) != `{"report":`+want+`}` {
		t.Errorf("got %s, %v, want it inside", got, err)
	}
	var back report.Heartbeat
	if err := json.Unmarshal([]byte(want), &back); err != nil || !reflect.DeepEqual(back, h) {
		t.Errorf("got %+v, %v, want %+v", back, err, h)
	}
	if err := json.Unmarshal([]byte(`{}`), &back); reason(err) != report.CodeMissing {
		t.Errorf("got %v, want it missing", err)
	}
	if _, err := json.Marshal(report.Heartbeat{}); reason(err) != report.CodeUnknownSchema {
		t.Errorf("got %v, want an unknown schema", err)
	}
}

// asInvalid returns the InvalidError of err, or nil.
func asInvalid(err error) *report.InvalidError {
	var invalid *report.InvalidError
	errors.As(err, &invalid)
	return invalid
}

func reason(err error) report.Code {
	if invalid := asInvalid(err); invalid != nil {
		return invalid.Reason
	}
	return ""
}

// A refusal is a change to a valid report, and why that is refused.
type refusal struct {
	old, new string
	field    string
	reason   report.Code
}

func (c refusal) on(t *testing.T, good string) []byte {
	t.Helper()
	if strings.Count(good, c.old) < 1 {
		t.Fatalf("the report has no %s", c.old)
	}
	return []byte(strings.Replace(good, c.old, c.new, 1))
}

func (c refusal) check(t *testing.T, err error) {
	t.Helper()
	invalid := asInvalid(err)
	if invalid == nil || invalid.Field != c.field || invalid.Reason != c.reason {
		t.Errorf("%s for %s: got %#v, want %s: %s", clip(c.new), c.old, err, c.field, c.reason)
	}
}

func clip(text string) string { return text[:min(len(text), 100)] }

func TestHeartbeatRefused(t *testing.T) {
	const id, at = `"` + testID + `"`, `"2026-01-31T23:59:59Z"`
	long := strings.Repeat("a", 64)
	for _, c := range []refusal{
		{`"schema":1,`, ``, "schema", report.CodeMissing},
		{`"schema":1`, `"schema":0`, "schema", report.CodeUnknownSchema},
		{`"schema":1`, `"schema":-1`, "schema", report.CodeUnknownSchema},
		{`"schema":1`, `"schema":1000001`, "schema", report.CodeUnknownSchema},
		{`"schema":1`, `"schema":123456789012345678901234567890`, "schema", report.CodeUnknownSchema},
		{`"schema":1`, `"schema":1.0`, "schema", report.CodeWrongType},
		{`"schema":1`, `"schema":1e0`, "schema", report.CodeWrongType},
		{`"schema":1`, `"schema":"1"`, "schema", report.CodeWrongType},
		{`"schema":1`, `"schema":null`, "schema", report.CodeWrongType},
		{`"schema":1`, `"schema":1,"schema":1`, "schema", report.CodeDuplicate},
		{`"schema":1`, `"schema":1,"\u0073chema":1`, "schema", report.CodeDuplicate},

		{`"app":"birdwatch",`, ``, "app", report.CodeMissing},
		{`"birdwatch"`, `""`, "app", report.CodeMissing},
		{`"birdwatch"`, `7`, "app", report.CodeWrongType},
		{`"birdwatch"`, `"` + long + `a"`, "app", report.CodeOutOfBounds},
		{`"birdwatch"`, `"Bird"`, "app", report.CodeOutOfBounds},
		{`"birdwatch"`, `"bird watch"`, "app", report.CodeOutOfBounds},
		{`"birdwatch"`, `"bird\u0000"`, "app", report.CodeOutOfBounds},
		{`"birdwatch"`, `"vögel"`, "app", report.CodeOutOfBounds},

		{`"installation_id":` + id + `,`, ``, "installation_id", report.CodeMissing},
		{id, `""`, "installation_id", report.CodeMissing},
		{id, `["` + testID + `"]`, "installation_id", report.CodeWrongType},
		{id, strings.ToUpper(id), "installation_id", report.CodeOutOfBounds},
		{id, `"not-a-uuid"`, "installation_id", report.CodeOutOfBounds},
		{id, `"{` + testID + `}"`, "installation_id", report.CodeOutOfBounds},
		{id, `"` + strings.ReplaceAll(testID, "-", "") + `"`, "installation_id", report.CodeOutOfBounds},
		{id, `"00000000-0000-0000-0000-000000000000"`, "installation_id", report.CodeOutOfBounds},
		{id, `"ffffffff-ffff-ffff-ffff-ffffffffffff"`, "installation_id", report.CodeOutOfBounds},
		{id, `"6f1c1f0e-8a52-4c7b-9d3e-2b1a7c5d9e0g"`, "installation_id", report.CodeOutOfBounds},
		{id, `"6f1c1f0e-8a52-4c7b-9d3e_2b1a7c5d9e04"`, "installation_id", report.CodeOutOfBounds},

		{`"id_persistence":"persisted",`, ``, "id_persistence", report.CodeMissing},
		{`"persisted"`, `true`, "id_persistence", report.CodeWrongType},
		{`"persisted"`, `"Persisted"`, "id_persistence", report.CodeOutOfBounds},
		{`"persisted"`, `"` + long + `"`, "id_persistence", report.CodeOutOfBounds},
		{`"persisted"`, `"` + long + `a"`, "id_persistence", report.CodeOutOfBounds},

		{`"sent_at":` + at + `,`, ``, "sent_at", report.CodeMissing},
		{at, `""`, "sent_at", report.CodeMissing},
		{at, `1769903999`, "sent_at", report.CodeWrongType},
		{at, `"2026-01-31T23:59:59"`, "sent_at", report.CodeWrongType},
		{at, `"2026-01-31T23:59:59+0000"`, "sent_at", report.CodeWrongType},
		{at, `"2026-01-31T23:59:59,5Z"`, "sent_at", report.CodeWrongType},
		{at, `"2026-01-31T23:59:59.0000000000000000Z"`, "sent_at", report.CodeWrongType},
		{at, `"2026-01-31 23:59:59Z"`, "sent_at", report.CodeWrongType},
		{at, `"2026-02-30T23:59:59Z"`, "sent_at", report.CodeWrongType},
		{at, `"2026-01-31T23:59:60Z"`, "sent_at", report.CodeWrongType},
		{at, `"1969-12-31T23:59:59Z"`, "sent_at", report.CodeOutOfBounds},
		{at, `"0001-01-01T00:00:00Z"`, "sent_at", report.CodeOutOfBounds},
		{at, `"0001-01-01T01:00:00.5+01:00"`, "sent_at", report.CodeOutOfBounds},
		{at, `"9999-12-31T23:59:59-01:00"`, "sent_at", report.CodeOutOfBounds},

		{`"1.4.0-rc.1"`, `null`, "version", report.CodeWrongType},
		{`"1.4.0-rc.1"`, `1.4`, "version", report.CodeWrongType},
		{`"1.4.0-rc.1"`, `"` + long + `a"`, "version", report.CodeOutOfBounds},
		{`"1.4.0-rc.1"`, `"1\n4"`, "version", report.CodeOutOfBounds},
		{`"1.4.0-rc.1"`, `"1.4\u007f"`, "version", report.CodeOutOfBounds},
		{`"1.4.0-rc.1"`, `"1.4é"`, "version", report.CodeOutOfBounds},

		{`{"system":"linux","release":"6.12.0","machine":"amd64"}`, `"linux"`, "platform", report.CodeWrongType},
		{`"system":"linux"`, `"system":"linux","system":"linux"`, "platform.system", report.CodeDuplicate},
		{`"linux"`, `1`, "platform.system", report.CodeWrongType},
		{`"linux"`, `"` + long + `a"`, "platform.system", report.CodeOutOfBounds},
		{`"6.12.0"`, `"6.12.0 #1 SMP"`, "platform.release", report.CodeOutOfBounds},
		{`"6.12.0"`, `"<b>"`, "platform.release", report.CodeOutOfBounds},
		{`"amd64"`, `"=HYPERLINK()"`, "platform.machine", report.CodeOutOfBounds},
		{`"amd64"`, `"-"`, "platform.machine", report.CodeOutOfBounds},

		{`"container"`, `["container"]`, "deployment", report.CodeWrongType},
		{`"container"`, `"nomad"`, "deployment", report.CodeOutOfBounds},
		{`"container"`, `"` + long + `a"`, "deployment", report.CodeOutOfBounds},
		{`"rollcall-go"`, `"Rollcall"`, "client.name", report.CodeOutOfBounds},
		{`"rollcall-go"`, `"` + long + `a"`, "client.name", report.CodeOutOfBounds},
		{`"0.3.0"`, `{}`, "client.version", report.CodeWrongType},

		{`"facts":{`, `"facts":[],"other":{`, "facts", report.CodeWrongType},
		{`"auth":"oidc"`, `"auth":"oidc","auth":"oidc"`, "facts", report.CodeDuplicate},
		{`"auth":"oidc"`, `"auth":"oidc","cameras":true`, "facts", report.CodeDuplicate},
		{`"facts":{`, `"facts":{},"facts":{`, "facts", report.CodeDuplicate},
	} {
		h, dropped, err := report.ParseHeartbeat(c.on(t, golden(t, "heartbeat.json")))
		c.check(t, err)
		if !reflect.DeepEqual(h, report.Heartbeat{}) || dropped != (report.Dropped{}) {
			t.Errorf("%s: got %+v, %+v, want nothing", c.new, h, dropped)
		}
	}
}

func TestHeartbeatAccepted(t *testing.T) {
	long := strings.Repeat("a", 64)
	for _, c := range []struct {
		old, new string
		change   func(*report.Heartbeat)
	}{
		{`"birdwatch"`, `"\u0062irdwatch"`, func(*report.Heartbeat) {}},
		{`"birdwatch"`, `"` + long + `"`, func(h *report.Heartbeat) { h.App = long }},
		{`"birdwatch"`, `"-0"`, func(h *report.Heartbeat) { h.App = "-0" }},
		{`{"schema":1`, " \t\r\n{ \"schema\" : 1 ", func(*report.Heartbeat) {}},
		{`"schema":1,"app":"birdwatch"`, `"app":"birdwatch","schema":1`, func(*report.Heartbeat) {}},
		{testID, "00000000-0000-0000-0000-000000000001", func(h *report.Heartbeat) {
			h.InstallationID = "00000000-0000-0000-0000-000000000001"
		}},
		{`2026-01-31`, `1970-01-01`, func(h *report.Heartbeat) { h.SentAt = time.Date(1970, 1, 1, 23, 59, 59, 0, time.UTC) }},
		{`2026-01-31`, `9999-12-31`, func(h *report.Heartbeat) { h.SentAt = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC) }},
		{`23:59:59Z`, `23:59:59.123Z`, func(*report.Heartbeat) {}},                        // toISOString() in JavaScript
		{`23:59:59Z`, `23:59:59+00:00`, func(*report.Heartbeat) {}},                       // isoformat() in Python, DATE_ATOM in PHP
		{`23:59:59Z`, `23:59:59.123456+00:00`, func(*report.Heartbeat) {}},                // isoformat() in Python, with microseconds
		{`23:59:59Z`, `23:59:59.1234567Z`, func(*report.Heartbeat) {}},                    // ToString("o") in C#
		{`23:59:59Z`, `23:59:59.123456789Z`, func(*report.Heartbeat) {}},                  // Instant.now() in Java
		{`2026-01-31T23:59:59Z`, `2026-02-01T01:59:59+02:00`, func(*report.Heartbeat) {}}, // to_rfc3339() in Rust, local time
		{`"1.4.0-rc.1"`, `" v1.4.0-rc.1 "`, func(*report.Heartbeat) {}},
		{`"1.4.0-rc.1"`, `"` + long + `"`, func(h *report.Heartbeat) { h.Version = long }},
		{`"1.4.0-rc.1"`, `"<script>"`, func(h *report.Heartbeat) { h.Version = "<script>" }},
		{`"1.4.0-rc.1"`, `"1.4 ~rc1"`, func(h *report.Heartbeat) { h.Version = "1.4 ~rc1" }},
		{`"1.4.0-rc.1"`, `""`, func(h *report.Heartbeat) { h.Version = "" }},
		{`"version":"1.4.0-rc.1",`, ``, func(h *report.Heartbeat) { h.Version = "" }},
		{`"linux"`, `"` + long + `"`, func(h *report.Heartbeat) { h.Platform.System = long }},
		{`"6.12.0"`, `"6.12.0-45_generic+x~1"`, func(h *report.Heartbeat) { h.Platform.Release = "6.12.0-45_generic+x~1" }},
		{`{"system":"linux","release":"6.12.0","machine":"amd64"}`, `{}`, func(h *report.Heartbeat) {
			h.Platform = report.Platform{}
		}},
		{`"container"`, `"vm"`, func(h *report.Heartbeat) { h.Deployment = report.DeploymentVM }},
		{`"deployment":"container",`, ``, func(h *report.Heartbeat) { h.Deployment = report.DeploymentUnknown }},
		{`"0.3.0"`, `"v0.3.0"`, func(*report.Heartbeat) {}},
		{`"facts":{`, `"facts":{"":1,`, func(*report.Heartbeat) {}},
	} {
		data := refusal{old: c.old, new: c.new}.on(t, golden(t, "heartbeat.json"))
		want := testHeartbeat()
		c.change(&want)
		if got, _, err := report.ParseHeartbeat(data); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s for %s: got %+v, %v, want %+v", c.new, c.old, got, err, want)
		}
	}
}

// TestValidate has heartbeats that no parser returns.
func TestValidate(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*report.Heartbeat)
		field  string
		reason report.Code
	}{
		"zero":               {func(h *report.Heartbeat) { *h = report.Heartbeat{} }, "schema", report.CodeUnknownSchema},
		"no time":            {func(h *report.Heartbeat) { h.SentAt = time.Time{} }, "sent_at", report.CodeMissing},
		"year 10000":         {func(h *report.Heartbeat) { h.SentAt = h.SentAt.AddDate(8000, 0, 0) }, "sent_at", report.CodeOutOfBounds},
		"version as written": {func(h *report.Heartbeat) { h.Version = "v1.0" }, "version", report.CodeOutOfBounds},
		"facts out of order": {func(h *report.Heartbeat) { h.Facts[0].Name = "b" }, "facts", report.CodeOutOfBounds},
		"a fact twice":       {func(h *report.Heartbeat) { h.Facts[0].Name = "auth" }, "facts", report.CodeDuplicate},
		"a fact's name":      {func(h *report.Heartbeat) { h.Facts[0].Name = "A" }, "facts", report.CodeOutOfBounds},
		"a fact's value":     {func(h *report.Heartbeat) { h.Facts[0].Value = "free text" }, "facts", report.CodeOutOfBounds},
		"too many facts": {func(h *report.Heartbeat) {
			h.Facts = make(report.Facts, report.MaxFacts+1)
		}, "facts", report.CodeOutOfBounds},
	} {
		h := testHeartbeat()
		c.change(&h)
		_, err := h.Marshal()
		invalid := asInvalid(err)
		if invalid == nil || invalid.Field != c.field || invalid.Reason != c.reason {
			t.Errorf("%s: got %v, want %s: %s", name, err, c.field, c.reason)
		}
	}
	h := testHeartbeat()
	if err := h.Validate(); err != nil {
		t.Errorf("got %v, want none", err)
	}
}
