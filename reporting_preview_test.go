package rollcall_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/rollcall-dev/rollcall"
	"github.com/rollcall-dev/rollcall/internal/test/faultfs"
	"github.com/rollcall-dev/rollcall/report"
)

// allFacts are facts of each kind, one of them added in a later version.
func allFacts(c *rollcall.Config) {
	c.Facts = []rollcall.Fact{
		fact(report.BoolFact("tls", "Shows whether certificates are worth the work."), true),
		fact(report.EnumFact("store.kind", "Shows which stores are in use.", "sqlite", "postgres"), "postgres"),
		fact(report.BucketFact("users", "Shows how large installations are.", 1, 10, 100), 42),
		fact(report.BoolFact("later", "Was added later.").AddedIn(2), false),
	}
}

// TestPreviewIsSent: the request has the bytes of the preview, except for the
// time.
func TestPreviewIsSent(t *testing.T) {
	coveringAll := strings.Replace(grantedBoth, "{\"enabled\"", "{\"granted_facts\": 2, \"enabled\"", 1)
	for name, tt := range map[string]struct {
		config  string
		facts   int
		isolate bool
	}{
		"covering all":             {coveringAll, 4, false},
		"covering the first facts": {grantedBoth, 3, false},
		"isolated":                 {coveringAll, 4, true},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, tt.config)
			service := s.start(allFacts, withContext("op"), func(c *rollcall.Config) { c.Isolate = tt.isolate })
			service.ReportFault(rollcall.Fault{Source: "test", Component: "disk", Reason: "full", Stage: "save", Context: map[string]string{"op": "write"}})
			service.ReportFault(diskFull)
			service.ReportFault(diskFull)

			before := preview(t, service)
			if before.Withheld != "" || before.WithoutID {
				t.Errorf("got %+v, want what is sent", before)
			}
			send(t, service)
			s.wantRequests(postHeartbeat, postHealth)
			requests := s.collector.Requests()
			wantBody(t, "heartbeat", requests[0].Body, before.Heartbeat)
			wantBody(t, "health report", requests[1].Body, before.Health)
			wantBody(t, "later preview", preview(t, service).Heartbeat, before.Heartbeat)

			sent := s.lastHeartbeat()
			if len(sent.Facts) != tt.facts {
				t.Errorf("got facts %v, want %d", sent.Facts, tt.facts)
			}
			wantHeader := http.Header{
				"Accept":       {"application/json"},
				"Content-Type": {"application/json"},
				"User-Agent":   {"rollcall-go/" + sent.Client.Version}, // as in the report
				"Connection":   {"close"},
			}
			for _, r := range requests {
				r.Header.Del("Content-Length")
				if !maps.EqualFunc(r.Header, wantHeader, slices.Equal) {
					t.Errorf("%s: got header %v, want %v", r.Path, r.Header, wantHeader)
				}
			}
		})
	}
}

// TestPreviewChangesNothing: without consent, network or start, the preview shows
// what a grant would send, and nothing is written.
func TestPreviewChangesNothing(t *testing.T) {
	for name, tt := range map[string]struct {
		config    string
		change    func(*rollcall.Config)
		id        string
		withheld  string
		withoutID bool
	}{
		"no config":            {"", nil, rollcall.PreviewID, "unset", true},
		"empty config":         {" \n", nil, rollcall.PreviewID, "denied", true},
		"not decided":          {undecided, nil, rollcall.PreviewID, "unset", true},
		"denied":               {`{"telemetry": {"enabled": false}}`, nil, rollcall.PreviewID, "denied", true},
		"stored ID":            {`{"telemetry": {"installation_id": "` + strings.ToUpper(knownID) + `"}}`, nil, knownID, "unset", false},
		"stored nonsense":      {`{"telemetry": {"installation_id": "x"}}`, nil, rollcall.PreviewID, "unset", true},
		"granted, not started": {granted, nil, rollcall.PreviewID, "", true},
		"no endpoint":          {granted, func(c *rollcall.Config) { c.Endpoint = "" }, rollcall.PreviewID, "no collector is configured", true},
		"no endpoint, no app": {granted, func(c *rollcall.Config) { c.Endpoint, c.App = "", "" },
			rollcall.PreviewID, "no collector is configured", true},
		"after consent": {undecided, func(c *rollcall.Config) { c.ID.AfterConsent = true }, rollcall.PreviewID, "unset", true},
		"isolated":      {undecided, func(c *rollcall.Config) { c.Isolate = true }, rollcall.PreviewID, "unset", true},
		"in the environment": {undecided, func(*rollcall.Config) { os.Setenv(rollcall.DefaultIDVariable, knownID) },
			knownID, "unset", false}, // newSite restores it
		"nonsense in granted_schema": {`{"telemetry": {"enabled": true, "granted_schema": "x"}}`, nil, rollcall.PreviewID, "granted version", true},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, tt.config)
			s.collector.Close() // no network
			service := s.make(allFacts, func(c *rollcall.Config) {
				if tt.change != nil {
					tt.change(c)
				}
			})
			service.ReportFault(diskFull)
			files, goroutines := s.files(), runtime.NumGoroutine()
			for range 2 {
				p := preview(t, service)
				h, dropped, err := report.ParseHeartbeat(p.Heartbeat)
				if err != nil || dropped != (report.Dropped{}) {
					t.Fatalf("got %v, dropped %+v: %s", err, dropped, p.Heartbeat)
				}
				if h.InstallationID != tt.id || p.WithoutID != tt.withoutID {
					t.Errorf("got ID %s, without ID %v, want %s, %v", h.InstallationID, p.WithoutID, tt.id, tt.withoutID)
				}
				if (p.Withheld == "") != (tt.withheld == "") || !strings.Contains(p.Withheld, tt.withheld) {
					t.Errorf("got withheld %q, want %q", p.Withheld, tt.withheld)
				}
				facts := 4 // without a grant, those that one would cover
				if tt.config == granted {
					facts = 3
				}
				if len(h.Facts) != facts {
					t.Errorf("got facts %v, want %d", h.Facts, facts)
				}
				if _, _, err := report.ParseHealth(p.Health); err != nil {
					t.Errorf("health report: %v", err)
				}
			}
			s.wantUntouched(files)
			if id := service.ID(); !id.IsZero() {
				t.Errorf("an ID was created: %v", id)
			}
			wantGoroutines(t, goroutines)
			s.wantRequests()
		})
	}
}

// TestPreviewOfUnreadableStorage fails: an ID may well be stored, and the preview
// would be wrong.
func TestPreviewOfUnreadableStorage(t *testing.T) {
	s := newSite(t, `{"telemetry": {`)
	if p, err := s.make().Preview(t.Context()); err == nil {
		t.Errorf("got %s", p.Heartbeat)
	}
}

// TestPreviewWhileProvisional: nothing is sent while a stored ID may still replace
// the one in use (D4).
func TestPreviewWhileProvisional(t *testing.T) {
	s := newSite(t, "")
	for _, variable := range consentVariables {
		t.Setenv(variable, "")
	}
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, strings.Replace(withID(knownID), "false", "true", 1))
		fault := r.fs.Inject(faultfs.Rule{Op: faultfs.OpRead, Name: configPath, Hang: true})
		service := r.start(func(c *rollcall.Config) { c.App, c.Endpoint, c.Reporting.Development = "my-app", s.collector.URL, true })
		if st := service.Status(); !st.Provisional || st.Reporting.Withheld == "" {
			t.Errorf("got %+v", st)
		}
		if p := preview(t, service); p.Withheld == "" || p.WithoutID {
			t.Errorf("got %+v", p)
		}
		fault.Release()
		synctest.Wait()
		p := preview(t, service)
		if p.Withheld != "" || !strings.Contains(string(p.Heartbeat), knownID) {
			t.Errorf("got withheld %q: %s", p.Withheld, p.Heartbeat)
		}
	})
}

// TestPreviewExplains: every value of the report is explained.
func TestPreviewExplains(t *testing.T) {
	s := newSite(t, granted)
	p := preview(t, s.start(allFacts))
	explained := map[string]string{}
	for _, f := range p.Fields {
		if f.Reason == "" || f.Bound == "" || f.Type == "" {
			t.Errorf("%s: not explained: %+v", f.Name, f.Field)
		}
		if _, twice := explained[f.Name]; twice {
			t.Errorf("%s: explained twice", f.Name)
		}
		explained[f.Name] = f.Value
	}
	for name, value := range leaves("", parseObject(t, p.Heartbeat)) {
		if explained[name] != value {
			t.Errorf("%s: got %q, want %s", name, explained[name], value)
		}
		delete(explained, name)
	}
	for name, value := range explained {
		if value != "" {
			t.Errorf("%s: the report has no %s", name, value)
		}
		if name != "facts.later" {
			t.Errorf("%s: missing in a report that has every field", name)
		}
	}
}

// leaves returns the values of an object that are not objects, by their paths.
func leaves(prefix string, object map[string]any) map[string]string {
	found := map[string]string{}
	for name, value := range object {
		if inner, ok := value.(map[string]any); ok {
			maps.Copy(found, leaves(prefix+name+".", inner))
			continue
		}
		text, _ := json.Marshal(value)
		found[prefix+name] = string(text)
	}
	return found
}

// TestPreviewOfNothing: a nil service returns an error.
func TestPreviewOfNothing(t *testing.T) {
	var service *rollcall.Service
	if _, err := service.Preview(t.Context()); err == nil {
		t.Error("got no error")
	}
	if d := service.Decisions(t.Context()); d.Telemetry.State != rollcall.Unset || d.Health.State != rollcall.Unset {
		t.Errorf("got %+v", d)
	}
	for name, err := range map[string]error{
		"SetConsent":       service.SetConsent(t.Context(), true),
		"SetHealthConsent": service.SetHealthConsent(t.Context(), true),
		"SendNow":          service.SendNow(t.Context()),
		"SendIfDue":        service.SendIfDue(t.Context()),
		"Upload":           service.Upload(t.Context(), nil),
		"Forget":           service.Forget(t.Context()),
	} {
		if err == nil {
			t.Errorf("%s: got no error", name)
		}
	}
	service.ReportFault(diskFull)
	if st := service.Status(); st.Reporting.Withheld == "" {
		t.Errorf("got %+v", st)
	}
}

// TestPreviewDirectory: nothing is created in a state directory either.
func TestPreviewDirectory(t *testing.T) {
	s := newSite(t, "")
	service := s.make(func(c *rollcall.Config) { c.ConfigPath, c.StateDir = "", filepath.Join(s.dir, "state", "deep") })
	before := s.files()
	if p := preview(t, service); !p.WithoutID {
		t.Errorf("got %+v", p)
	}
	s.wantUntouched(before)
}
