package agent_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
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
	"github.com/rollcall-dev/rollcall/cmd/internal/test/openapi"
	"github.com/rollcall-dev/rollcall/report"
	"github.com/rollcall-dev/rollcall/rollcalltest"
)

const someFacts = `{"facts": [
	{"name": "tls", "reason": "to know who encrypts", "type": "bool"},
	{"name": "store.kind", "reason": "to know what to test", "type": "enum", "values": ["sqlite", "postgres"]},
	{"name": "users", "reason": "to know how large", "type": "buckets", "bounds": [1, 10, 100]},
	{"name": "late", "reason": "was added later", "type": "bool", "since": 2}
]}`

// A neighbour is a host beside an agent, in a directory that outlives both.
type neighbour struct {
	t         *testing.T
	dir       string
	collector *rollcalltest.Collector
	service   *rollcall.Service
	token     string
	http.Handler
}

// newNeighbour starts an agent with the facts of a file. Its config grants
// telemetry for version 1 of the facts.
func newNeighbour(t *testing.T) *neighbour {
	n := &neighbour{t: t, dir: t.TempDir(), collector: rollcalltest.NewCollector(t)}
	config := strings.Replace(someConfig, `"enabled": true`, `"enabled": true, "health_enabled": true, "update_check": true, "facts": 1`, 1)
	if err := os.WriteFile(filepath.Join(n.dir, "config.json"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	n.restart(someFacts)
	return n
}

// restart stands for the start of another agent.
func (n *neighbour) restart(facts string) {
	n.t.Helper()
	declaration, err := report.ParseDeclaration([]byte(facts))
	if err != nil {
		n.t.Fatal(err)
	}
	host := agent.NewHost(declaration, "1.0.0")
	n.service, err = rollcall.New(rollcall.Config{
		App: "my-app", Version: "1.0.0", Endpoint: n.collector.URL, Facts: host.Facts(), Updates: rollcall.UpdatesConfig{URLPrefix: "https://example.org/"},
		ConfigPath: filepath.Join(n.dir, "config.json"),
		Consent:    rollcall.ConsentConfig{PolicyPath: filepath.Join(n.dir, "policy.json")},
		Reporting:  rollcall.ReportingConfig{Development: true, FaultContext: []string{"op"}},
	})
	if err != nil {
		n.t.Fatal(err)
	}
	service := n.service
	if err := service.Start(n.t.Context()); err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() { service.Stop(context.Background()) })
	proof, err := service.CreateToken(n.t.Context())
	if err != nil {
		n.t.Fatal(err)
	}
	n.token = proof.Token
	n.Handler = newHandler(n.t, service, agent.Options{Gate: operator.New(service), Host: host, FaultContext: []string{"op"}})
	if err := host.Load(n.t.Context()); err != nil { // as Run does
		n.t.Fatal(err)
	}
}

func (n *neighbour) ask(method, path, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Host = testListen
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+n.token)
	w := httptest.NewRecorder()
	n.ServeHTTP(w, r)
	return w
}

// want checks an answer, with the white space of its JSON removed.
func (n *neighbour) want(w *httptest.ResponseRecorder, code int, parts ...string) {
	n.t.Helper()
	text := strings.Join(strings.Fields(w.Body.String()), "")
	for _, part := range parts {
		if !strings.Contains(text, strings.ReplaceAll(part, " ", "")) {
			n.t.Errorf("got %s, want %s in it", text, part)
		}
	}
	if w.Code != code {
		n.t.Errorf("got %d %s, want %d", w.Code, text, code)
	}
}

func (n *neighbour) wantSent(facts, version string) {
	n.t.Helper()
	made, err := n.service.Preview(n.t.Context())
	if err != nil {
		n.t.Fatal(err)
	}
	for _, part := range []string{facts, `"version":"` + version + `"`} {
		if !bytes.Contains(made.Heartbeat, []byte(part)) {
			n.t.Errorf("got %s, want %s in it", made.Heartbeat, part)
		}
	}
}

func TestFacts(t *testing.T) {
	n := newNeighbour(t)
	n.want(n.ask(http.MethodPut, agent.PathFacts, `{"tls": true, "store.kind": "postgres", "users": 42.0, "late": true}`),
		200, `{"facts":{"late":true,"store.kind":"postgres","tls":true,"users":"10-99"}}`)
	// What the operator has not agreed to is withheld.
	const sent = `"facts":{"store.kind":"postgres","tls":true,"users":"10-99"}`
	n.wantSent(sent, "1.0.0")

	for name, tt := range map[string]struct{ body, field, says string }{
		"undeclared":             {`{"tls": false, "colour": "red"}`, "colour", "not declared in the file of --facts"},
		"another case":           {`{"TLS": true}`, "TLS", "not declared"},
		"a value of no enum":     {`{"store.kind": "mysql", "tls": false}`, "store.kind", "the text is not one of the declared values: sqlite, postgres"},
		"a bucket in words":      {`{"users": "12"}`, "users", "a value of type string is not a number"},
		"a bool in words":        {`{"tls": "true"}`, "tls", "a value of type string is not a bool"},
		"null":                   {`{"tls": null}`, "tls", "nil is not a bool"},
		"a list":                 {`{"tls": [true]}`, "tls", "is not a bool"},
		"a long text":            {`{"store.kind": "` + strings.Repeat("x", 1000) + `"}`, "store.kind", "the text is not one of"},
		"two mistakes, in order": {`{"users": "x", "store.kind": 1}`, "store.kind", "a value of type float64 is not one of"},
		"no object":              {`[true]`, "", "not understood"},
		"nothing":                {`null`, "", "not an object"},
		"two values":             {`{"tls": true} {}`, "", "more than one JSON value"},
		"no JSON":                {`{"tls": tru}`, "", "not understood"},
		"a number too large":     {`{"users": 1e999}`, "", "not understood"},
		"too long":               {`{"tls": true}` + strings.Repeat(" ", 8<<10), "", "longer than 8192 bytes"},
	} {
		w := n.ask(http.MethodPut, agent.PathFacts, tt.body)
		body := decode(t, w)
		field, _ := body["field"].(string)
		if w.Code != 400 || field != tt.field || !strings.Contains(w.Body.String(), tt.says) {
			t.Errorf("%s: got %d %s, want 400, field %q, %q", name, w.Code, w.Body, tt.field, tt.says)
		}
	}
	n.wantSent(sent, "1.0.0")

	n.restart(someFacts)
	n.wantSent(sent, "1.0.0")
	// A later declaration has other bounds, and one fact fewer.
	n.restart(`{"facts": [{"name": "users", "reason": "to know how large", "type": "buckets", "bounds": [50]}]}`)
	n.wantSent(`"facts":{"users":"\u003c50"}`, "1.0.0")
	n.restart(someFacts)
	n.wantSent(sent, "1.0.0")

	// Granting again covers what was added.
	if err := n.service.SetConsent(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	n.wantSent(`"facts":{"late":true,`, "1.0.0")
	// PUT replaces all of them.
	n.want(n.ask(http.MethodPut, agent.PathFacts, `{"tls": false}`), 200, `{"facts":{"tls":false}}`)
	n.wantSent(`"facts":{"tls":false}`, "1.0.0")
	n.want(n.ask(http.MethodPut, agent.PathFacts, `{}`), 200, `{"facts":{}}`)
	if made, _ := n.service.Preview(t.Context()); bytes.Contains(made.Heartbeat, []byte(`"facts"`)) {
		t.Errorf("got %s, want no facts", made.Heartbeat)
	}
}

func TestWithoutFacts(t *testing.T) {
	n := newNeighbour(t)
	n.restart(`{"facts": []}`)
	n.want(n.ask(http.MethodPut, agent.PathFacts, `{"tls": true}`), 400, `"field":"tls"`, "no facts are declared; start the agent with --facts")
}

// TestMostFacts: as many facts as can be declared, with the longest names and
// values, can be set and kept.
func TestMostFacts(t *testing.T) {
	n := newNeighbour(t)
	value := strings.Repeat("v", report.MaxFactValueLen)
	var declared, values []string
	for i := range report.MaxFacts {
		name := fmt.Sprintf("n%0*d", report.MaxNameLen-1, i)
		declared = append(declared, fmt.Sprintf(`{"name": %q, "reason": "r", "type": "enum", "values": [%q]}`, name, value))
		values = append(values, fmt.Sprintf("%q: %q", name, value))
	}
	facts := `{"facts": [` + strings.Join(declared, ",") + `]}`
	n.restart(facts)
	n.want(n.ask(http.MethodPut, agent.PathFacts, "{"+strings.Join(values, ", ")+"}"), 200)
	n.restart(facts)
	if made, _ := n.service.Preview(t.Context()); bytes.Count(made.Heartbeat, []byte(value)) != report.MaxFacts {
		t.Errorf("got %s", made.Heartbeat)
	}
}

func TestHostVersion(t *testing.T) {
	n := newNeighbour(t)
	n.want(n.ask(http.MethodPut, agent.PathFacts, `{"tls": true}`), 200)
	n.want(n.ask(http.MethodPut, agent.PathHost, `{"version": "v2.0.0"}`), 200, `{"version":"v2.0.0"}`)
	n.wantSent(`"tls":true`, "2.0.0")
	for body, field := range map[string]string{
		`{}`:                  `"field":"version"`,
		`{"version": null}`:   `"field":"version"`,
		`{"version": 2}`:      `"field":"version"`,
		`{"version": "2\n2"}`: `"field":"version"`,
		`{"version": "` + strings.Repeat("1", report.MaxVersionLen+1) + `"}`: `"field":"version"`,
		`{"version": "2", "commit": "abc"}`:                                  "unknownfield",
	} {
		n.want(n.ask(http.MethodPut, agent.PathHost, body), 400, field)
	}
	n.restart(someFacts)
	n.wantSent(`"tls":true`, "2.0.0")
	n.want(n.ask(http.MethodPut, agent.PathHost, `{"version": ""}`), 200)
	n.wantSent(`"tls":true`, "1.0.0")
}

func TestDamagedHostFile(t *testing.T) {
	n := newNeighbour(t)
	if err := os.WriteFile(n.service.Files().Host, []byte(`{"facts": 7`), 0o600); err != nil {
		t.Fatal(err)
	}
	n.restart(someFacts)
	n.want(n.ask(http.MethodPut, agent.PathFacts, `{"tls": true}`), 200)
	n.restart(someFacts)
	n.wantSent(`"facts":{"tls":true}`, "1.0.0")
}

// TestNotKept: values that cannot be kept are refused, and the earlier ones stay.
func TestNotKept(t *testing.T) {
	n := newNeighbour(t)
	n.want(n.ask(http.MethodPut, agent.PathFacts, `{"tls": true}`), 200)
	if err := os.Chmod(filepath.Join(n.dir, "config.json"), 0o400); err != nil {
		t.Fatal(err)
	}
	n.want(n.ask(http.MethodPut, agent.PathFacts, `{"tls": false}`), 500, "nothing is written beside the config")
	n.want(n.ask(http.MethodPut, agent.PathHost, `{"version": "9"}`), 500)
	n.wantSent(`"facts":{"tls":true}`, "1.0.0")
}

// A slowStore has values, and hangs from some time on.
type slowStore struct {
	agent.HostStore // panics when asked for anything else
	hangs           bool
}

func (*slowStore) SetVersion(string) {}

func (s *slowStore) LoadHostValues(ctx context.Context) ([]byte, error) {
	if s.hangs {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return []byte(`{"facts": {"tls": true, "users": 7}}`), nil
}

// TestHungDisk: while the disk hangs, all facts have the values known before,
// within the second that they have for a report.
func TestHungDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		declaration, err := report.ParseDeclaration([]byte(someFacts))
		if err != nil {
			t.Fatal(err)
		}
		host, store := agent.NewHost(declaration, ""), &slowStore{}
		host.Use(store)
		read := func() string {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			var values []string
			for _, fact := range host.Facts() {
				value, err := fact.Value(ctx)
				values = append(values, fmt.Sprint(fact.Declaration.Name, "=", value, " ", err))
			}
			return strings.Join(values, ", ")
		}
		want := "late=<nil> <nil>, store.kind=<nil> <nil>, tls=true <nil>, users=7 <nil>"
		if got := read(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		store.hangs = true
		time.Sleep(time.Minute)
		if got := read(); got != want {
			t.Errorf("while it hangs: got %s, want %s", got, want)
		}
	})
}

func TestFaults(t *testing.T) {
	n := newNeighbour(t)
	const fault = `{"source": "log", "component": "storage", "reason": "disk-full", "stage": "save", "severity": "critical", "context": {"op": "write"}}`
	for range 2 {
		n.want(n.ask(http.MethodPost, agent.PathFaults, fault), 200, `{"counted":true}`)
	}
	made, err := n.service.Preview(t.Context())
	if err != nil || !bytes.Contains(made.Health, []byte(`"count":2`)) || !bytes.Contains(made.Health, []byte(`"context":{"op":"write"}`)) {
		t.Errorf("got %s, %v", made.Health, err)
	}
	for body, field := range map[string]string{
		`{"component": "a", "reason": "b"}`:                                               `"field":"source"`,
		`{"source": "log", "component": "disk is full!", "reason": "b"}`:                  `"field":"component"`,
		`{"source": "log", "component": "a", "reason": "/home/me"}`:                       `"field":"reason"`,
		`{"source": "log", "component": "a", "reason": 7}`:                                `"field":"reason"`,
		`{"source": "log", "component": "a", "reason": "b", "stage": "A"}`:                `"field":"stage"`,
		`{"source": "log", "component": "a", "reason": "b", "severity": "bad"}`:           `"field":"severity"`,
		`{"source": "log", "component": "a", "reason": "b", "context": {"path": "x"}}`:    `"field":"context.path"`,
		`{"source": "log", "component": "a", "reason": "b", "context": {"op": "a b"}}`:    `"field":"context.op"`,
		`{"source": "log", "component": "a", "reason": "b", "message": "free text"}`:      "unknownfield",
		`{"source": "log", "component": "a", "reason": "b"}` + strings.Repeat(" ", 4<<10): "longerthan4096",
	} {
		n.want(n.ask(http.MethodPost, agent.PathFaults, body), 400, field)
	}
	for i := range report.MaxFaults {
		counted := fmt.Sprintf(`{"counted":%v}`, i < report.MaxFaults-1)
		n.want(n.ask(http.MethodPost, agent.PathFaults, fmt.Sprintf(`{"source": "log", "component": "c%d", "reason": "r"}`, i)), 200, counted)
	}
	n.want(n.ask(http.MethodPost, agent.PathFaults, fault), 200, `{"counted":true}`) // a known one still counts
}

func TestPreviewAndSend(t *testing.T) {
	n := newNeighbour(t)
	n.want(n.ask(http.MethodPut, agent.PathFacts, `{"users": 7}`), 200)
	n.want(n.ask(http.MethodPost, agent.PathFaults, `{"source": "log", "component": "storage", "reason": "disk-full"}`), 200)
	n.want(n.ask(http.MethodGet, agent.PathPreview, ""), 200,
		`"installation_id":"`+knownID+`"`, `"facts":{"users":"1-9"}`, `"name":"facts.users","value":"1-9"`, `"reason":"toknowhowlarge"`, `"reason":"disk-full"`)
	n.want(n.ask(http.MethodPost, agent.PathSend, ""), 200, `"sent":true`, ".config.json.rollcall-state")
	if got := n.collector.Heartbeats(); len(got) != 1 || fmt.Sprint(got[0].Facts) != "[{users 1-9}]" {
		t.Errorf("got %+v, want one with the fact", got)
	}
	if got := n.collector.HealthReports(); len(got) != 1 || got[0].Faults[0].Reason != "disk-full" {
		t.Errorf("got %+v, want one with the fault", got)
	}

	n.collector.Answer(func(w http.ResponseWriter, _ *http.Request) bool {
		w.WriteHeader(http.StatusServiceUnavailable)
		return true
	})
	n.want(n.ask(http.MethodPost, agent.PathSend, ""), 502, `"status":503`)
	n.want(n.ask(http.MethodPost, agent.PathConsent, `{"telemetry": false}`), 200)
	n.want(n.ask(http.MethodPost, agent.PathSend, ""), 409, "telemetryisdenied")
	n.want(n.ask(http.MethodGet, agent.PathPreview, ""), 200, `"withheld":"telemetryisdenied`)
}

func TestDescription(t *testing.T) {
	w := get(newHandler(t, newFakeService(), agent.Options{}), "/v1/openapi.json")
	if body := decode(t, w); w.Code != 200 || body["openapi"] != "3.1.0" {
		t.Errorf("got %d %v", w.Code, body)
	}
}

// TestAnswersAreDescribed sends each request that the description has, and
// holds its body and the answer to the description.
func TestAnswersAreDescribed(t *testing.T) {
	n := newNeighbour(t)
	day := time.Date(2026, 5, 6, 0, 0, 0, 0, time.UTC)
	n.collector.SetReleases(report.Releases{List: []report.Release{{Version: "9.0", URL: "https://example.org/9", Date: day, Severity: "security"}}})
	var description map[string]any
	if err := json.Unmarshal(n.ask(http.MethodGet, "/v1/openapi.json", "").Body.Bytes(), &description); err != nil {
		t.Fatal(err)
	}
	schemaOf := func(in any) map[string]any {
		content, _ := in.(map[string]any)["content"].(map[string]any)
		asJSON, _ := content["application/json"].(map[string]any)
		schema, _ := asJSON["schema"].(map[string]any)
		return schema
	}
	check := func(what string, schema map[string]any, body []byte) {
		t.Helper()
		var value any
		if schema == nil {
			t.Errorf("%s: no JSON is described", what)
		} else if err := json.Unmarshal(body, &value); err != nil {
			t.Errorf("%s: %v in %s", what, err, body)
		} else if wrong := openapi.Fits(description, schema, value); wrong != "" {
			t.Errorf("%s: %s in %s", what, wrong, body)
		}
	}
	bodies := map[string][2]string{ // a good and a bad one
		"put " + agent.PathFacts:    {`{"tls": true, "store.kind": "sqlite", "users": 7.5}`, `{"tls": 1}`},
		"put " + agent.PathHost:     {`{"version": "1.2.3"}`, `{"version": 1}`},
		"post " + agent.PathFaults:  {`{"source": "log", "component": "storage", "reason": "disk-full", "context": {"op": "write"}}`, `{}`},
		"post " + agent.PathConsent: {`{"telemetry": true, "health": true}`, `{}`},
		"post " + agent.PathSend:    {"", ""},
	}
	described := 0
	for path, methods := range description["paths"].(map[string]any) {
		for method, operation := range methods.(map[string]any) {
			described++
			op, what := operation.(map[string]any), method+" "+path
			answers := op["responses"].(map[string]any)
			body := bodies[what]
			delete(bodies, what)
			if body[0] != "" {
				check("the body of "+what, schemaOf(op["requestBody"]), []byte(body[0]))
			}
			if w := n.ask(strings.ToUpper(method), path, body[0]); path == "/metrics" {
				continue // it is not served without metrics, and no JSON
			} else if w.Code != 200 {
				t.Errorf("%s: got %d %s", what, w.Code, w.Body)
			} else if path != "/v1/openapi.json" {
				check(what, schemaOf(answers["200"]), w.Body.Bytes())
			}
			if body[1] != "" {
				check("a refusal of "+what, schemaOf(answers["default"]), n.ask(strings.ToUpper(method), path, body[1]).Body.Bytes())
			}
		}
	}
	if len(bodies) > 0 || described < 10 {
		t.Errorf("%d operations are described, without %v", described, bodies)
	}
}
