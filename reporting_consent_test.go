package rollcall_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollcall-dev/rollcall"
	"github.com/rollcall-dev/rollcall/internal/test/faultfs"
	"github.com/rollcall-dev/rollcall/report"
	"github.com/rollcall-dev/rollcall/rollcalltest"
)

const enabledKey, healthKey = "config key telemetry.enabled", "config key telemetry.health_enabled"

var policyPath = faultfs.Slashed(rollcall.DefaultPolicyPath())

// A layer is one of the places that can decide, and its content.
type layer struct {
	name   string
	text   string            // of the file; "" for none, "/" for a directory
	env    map[string]string // the variables
	state  rollcall.Consent
	source string // "" if it says nothing
}

// TestReportingPrecedence combines all places that can decide about telemetry:
// the first one that says something decides.
func TestReportingPrecedence(t *testing.T) {
	const no, yes = rollcall.Denied, rollcall.Granted
	denied, unread := "policy file "+policyPath, "the policy file could not be read: "+policyPath
	type env = map[string]string
	policies := []layer{
		{name: "no policy"},
		{name: "empty policy", text: "{}"},
		{"policy denies", `{"telemetry": {"enabled": false}} // by order`, nil, no, denied},
		{name: "policy grants", text: `{"telemetry": {"enabled": true}}`},
		{"policy says yes in words", `{"telemetry": {"enabled": "yes"}}`, nil, no, denied},
		{name: "policy says nothing", text: `{"telemetry": {"enabled": null}}`},
		{name: "policy has no section", text: `{"telemetry": null}`},
		{"policy is false", `{"telemetry": false}`, nil, no, denied},
		{"policy is true", `{"telemetry": true}`, nil, no, denied},
		{"policy is torn", `{"telemetry": {"ena`, nil, no, unread},
		{"policy is a list", `[]`, nil, no, denied},
		{"policy is a directory", "/", nil, no, unread},
	}
	environments := []layer{
		{name: "no variable"},
		{"DO_NOT_TRACK", "", env{"DO_NOT_TRACK": "1", denyVariable: "0"}, no, "environment variable DO_NOT_TRACK"},
		{"DO_NOT_TRACK=yes", "", env{"DO_NOT_TRACK": "yes"}, no, "environment variable DO_NOT_TRACK"},
		{name: "DO_NOT_TRACK=No", env: env{"DO_NOT_TRACK": "No"}},
		{"own variable", "", env{denyVariable: "No ", "ROLLCALL_TELEMETRY": "off"}, no, "environment variable " + denyVariable},
		{"general variable", "", env{"DO_NOT_TRACK": "0", "ROLLCALL_TELEMETRY": "FALSE"}, no, "environment variable ROLLCALL_TELEMETRY"},
		{name: "variables say yes", env: env{"DO_NOT_TRACK": "off", denyVariable: "true", "ROLLCALL_TELEMETRY": "1"}},
		{"own variable says nonsense", "", env{denyVariable: "-1"}, no, "environment variable " + denyVariable},
		{"general variable says nonsense", "", env{denyVariable: " Yes\r", "ROLLCALL_TELEMETRY": "nope"}, no, "environment variable ROLLCALL_TELEMETRY"},
	}
	configs := []layer{
		{"no config", "", nil, rollcall.Unset, "not decided"},
		{"no key", `{"telemetry": {"other": 1}}`, nil, rollcall.Unset, "not decided"},
		{"config grants", granted, nil, yes, enabledKey},
		{"config denies", `{"telemetry": {"enabled": false}}`, nil, no, enabledKey},
		{"config says yes in words", `{"telemetry": {"enabled": "true"}}`, nil, no, enabledKey + " is neither true nor false"},
		{"config is torn", `{"telemetry": {"enabled": true}`, nil, no, "the config could not be read"},
		{"config is a directory", "/", nil, no, "the config could not be read"},
	}
	for _, policy := range policies {
		for _, environment := range environments {
			t.Run(policy.name+"/"+environment.name, func(t *testing.T) {
				collector := newSite(t, "").collector
				for name, value := range environment.env {
					t.Setenv(name, value)
				}
				for _, config := range configs {
					want := config
					for _, l := range []layer{environment, policy} {
						if l.source != "" {
							want = l
						}
					}
					synctest.Test(t, func(t *testing.T) { testPrecedence(t, collector, policy, config, want) })
				}
				if requests := collector.Requests(); len(requests) > 0 {
					t.Errorf("got %d requests", len(requests))
				}
			})
		}
	}
}

func testPrecedence(t *testing.T, collector *rollcalltest.Collector, policy, config, want layer) {
	disk := faultfs.New()
	for path, text := range map[string]string{configPath: config.text, policyPath: policy.text} {
		switch text {
		case "":
		case "/":
			disk.MkdirAll(path, 0o755)
		default:
			disk.WriteFile(path, []byte(text), 0o644)
		}
	}
	disk.ResetLog()
	service, err := rollcall.New(rollcall.Config{
		App: "my-app", ConfigPath: configPath, Endpoint: collector.URL, Version: "1.2.3",
		Consent:   rollcall.ConsentConfig{PolicyPath: rollcall.DefaultPolicyPath(), DenyVariable: denyVariable},
		Reporting: rollcall.ReportingConfig{Development: true},
	}.On(disk))
	if err != nil {
		t.Fatal(err)
	}
	d := service.Decisions(t.Context())
	wantDecision(t, config.name, d.Telemetry, want.state, want.source)
	st := service.Status()
	wantDecision(t, config.name+", status", st.Consent, want.state, want.source)
	if want.state == rollcall.Granted {
		return
	}
	wantDecision(t, config.name+", health", d.Health, want.state, want.source)
	contains(t, "withheld", faultfs.Slashed(st.Reporting.Withheld), want.source)
	for _, send := range []func(context.Context) error{service.SendNow, service.SendIfDue} {
		if err := send(t.Context()); !errors.Is(err, rollcall.ErrWithheld) {
			t.Errorf("%s: got %v, want %v", config.name, err, rollcall.ErrWithheld)
		}
	}
	if changes := mutations(disk); len(changes) > 0 {
		t.Errorf("%s: wrote %v", config.name, changes)
	}
}

// TestReportingHealthPrecedence: health reports need a grant of their own too.
func TestReportingHealthPrecedence(t *testing.T) {
	s := newSite(t, "")
	tests := []struct {
		name, policy, config string
		want                 rollcall.Consent
		source               string
	}{
		{"nothing", "", granted, rollcall.Unset, "not decided"},
		{"granted", "", grantedBoth, rollcall.Granted, healthKey},
		{"denied", "", `{"telemetry": {"enabled": true, "health_enabled": false}}`, rollcall.Denied, healthKey},
		{"in words", "", `{"telemetry": {"enabled": true, "health_enabled": "true"}}`, rollcall.Denied, healthKey + " is neither true nor false"},
		{"without telemetry", "", `{"telemetry": {"enabled": false, "health_enabled": true}}`, rollcall.Denied, enabledKey},
		{"telemetry not decided", "", `{"telemetry": {"health_enabled": true}}`, rollcall.Unset, "not decided"},
		{"policy", `{"telemetry": {"health_enabled": false}}`, grantedBoth, rollcall.Denied, "policy file " + s.policy},
		{"policy cannot grant", `{"telemetry": {"health_enabled": true}}`, granted, rollcall.Unset, "not decided"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			os.Remove(s.policy)
			if tt.policy != "" {
				s.write(s.policy, tt.policy)
			}
			s.write(s.config, tt.config)
			service := s.make()
			wantDecision(t, "health", service.Decisions(t.Context()).Health, tt.want, tt.source)
			wantDecision(t, "status", service.Status().Reporting.Health, tt.want, tt.source)
		})
	}
}

// TestReportingPolicyKeys: a policy with the common keys holds for a host with
// other keys, and so does one with the host's keys.
func TestReportingPolicyKeys(t *testing.T) {
	s := newSite(t, `{"privacy": {"stats": true, "health_enabled": true}}`)
	elsewhere := func(c *rollcall.Config) { c.Consent.Key = "privacy.stats" }
	for policy, want := range map[string][2]rollcall.Consent{
		`{}`:                                     {rollcall.Granted, rollcall.Granted},
		`{"telemetry": {"enabled": false}}`:      {rollcall.Denied, rollcall.Denied},
		`{"privacy": {"stats": false}}`:          {rollcall.Denied, rollcall.Denied},
		`{"telemetry": {"health_enabled": 0}}`:   {rollcall.Granted, rollcall.Denied},
		`{"privacy": {"health_enabled": false}}`: {rollcall.Granted, rollcall.Denied},
	} {
		s.write(s.policy, policy)
		d := s.make(elsewhere).Decisions(t.Context())
		if got := [2]rollcall.Consent{d.Telemetry.State, d.Health.State}; got != want {
			t.Errorf("%s: got %v, want %v", policy, got, want)
		}
	}
}

// TestReportingEnvironmentNow: the environment counts as it is when consent is
// read, not as it was when the service was created.
func TestReportingEnvironmentNow(t *testing.T) {
	s := newSite(t, granted)
	service := s.start()
	send(t, service)
	t.Setenv("DO_NOT_TRACK", "1")
	if st := service.Status(); st.Consent.State != rollcall.Denied {
		t.Errorf("got %v by %q", st.Consent.State, st.Consent.Source)
	}
	if err := service.SendNow(t.Context()); !errors.Is(err, rollcall.ErrWithheld) {
		t.Errorf("got %v", err)
	}
	t.Setenv("DO_NOT_TRACK", "")
	send(t, service)
	s.wantRequests(postHeartbeat, postHeartbeat)
}

// TestReportingConsentHangs: a file that hangs denies, in bounded time, and costs
// one operation.
func TestReportingConsentHangs(t *testing.T) {
	for name, tt := range map[string]struct{ hangs, source string }{
		"config": {configPath, "the config could not be read"},
		"policy": {policyPath, "the policy file could not be read: " + policyPath},
		"both":   {"", "the config could not be read"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, variable := range consentVariables {
				t.Setenv(variable, "")
			}
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, strings.Replace(withID(knownID), "false", "true", 1))
				r.fs.WriteFile(policyPath, []byte("{}"), 0o644)
				service := r.start()
				wantDecision(t, "before", service.Decisions(t.Context()).Telemetry, rollcall.Granted, enabledKey)
				rule := faultfs.Rule{Op: faultfs.OpRead, Hang: true}
				if tt.hangs != "" {
					rule.Name = tt.hangs
				}
				fault := r.fs.Inject(rule)
				for range 20 {
					begin := time.Now()
					wantDecision(t, "hanging", service.Decisions(t.Context()).Telemetry, rollcall.Denied, tt.source)
					if d := time.Since(begin); d > 2*time.Second {
						t.Errorf("took %v", d)
					}
					if n := fault.Waiting(); n > 1 {
						t.Errorf("%d operations hang", n)
					}
				}
				if st := service.Status(); st.Consent.State != rollcall.Denied || faultfs.Slashed(st.Consent.Source.String()) != tt.source {
					t.Errorf("got %v by %q", st.Consent.State, st.Consent.Source)
				}
				time.Sleep(2 * time.Hour) // the keeper's check waits for the same operation
				r.wantOneInFlight()
				fault.Release()
				synctest.Wait()
				wantDecision(t, "after", service.Decisions(t.Context()).Telemetry, rollcall.Granted, enabledKey)
			})
		})
	}
}

// TestReportingConsentHangsAtStart: a policy that hangs delays the start by at
// most two seconds, and no longer than the caller waits.
func TestReportingConsentHangsAtStart(t *testing.T) {
	for _, limit := range []time.Duration{time.Hour, time.Second} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, enabledAs("true"))
			r.fs.Inject(faultfs.Rule{Op: faultfs.OpOpen, Name: policyPath, Hang: true})
			service := r.make()
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			defer cancel()
			if err := service.Start(ctx); err != nil {
				t.Fatal(err)
			}
			if d, want := time.Since(r.log.begin), min(limit, 2*time.Second); d != want {
				t.Errorf("Start took %v, want %v", d, want)
			}
			r.wantState(service, service.ID().String(), true)
			r.log.want(generated(service.ID()), persisted(1), started(true))
			if st := service.Status(); st.Consent.State != rollcall.Denied || !strings.Contains(st.Consent.Source.String(), "policy") {
				t.Errorf("got %v by %q", st.Consent.State, st.Consent.Source)
			}
		})
	}
}

// TestReportingCallerGivesUp: a canceled call says nothing about the disk.
func TestReportingCallerGivesUp(t *testing.T) {
	s := newSite(t, granted)
	service := s.start()
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if d := service.Decisions(gone); d.Telemetry.State != rollcall.Denied {
		t.Errorf("got %v without time to look", d.Telemetry)
	}
	if st := service.Status(); st.Consent.State != rollcall.Granted {
		t.Errorf("got %v by %q afterwards", st.Consent.State, st.Consent.Source)
	}
}

// TestReportingConsentFromHost: the host's function may hang, fail or panic.
func TestReportingConsentFromHost(t *testing.T) {
	const settings = "the host's settings"
	type decision struct {
		State  rollcall.Consent
		Source string
	}
	tests := []struct {
		name              string
		telemetry, health rollcall.Consent
		do                func(context.Context) error
		want              decision
		wantHealth        decision
	}{
		{"granted", rollcall.Granted, rollcall.Granted, nil,
			decision{rollcall.Granted, settings}, decision{rollcall.Granted, settings}},
		{"telemetry only", rollcall.Granted, rollcall.Unset, nil,
			decision{rollcall.Granted, settings}, decision{rollcall.Unset, "not decided"}},
		{"denied", rollcall.Denied, rollcall.Granted, nil,
			decision{rollcall.Denied, settings}, decision{rollcall.Denied, settings}},
		{"unset", rollcall.Unset, rollcall.Granted, nil,
			decision{rollcall.Unset, "not decided"}, decision{rollcall.Unset, "not decided"}},
		{"no state", 7, rollcall.Granted, nil,
			decision{rollcall.Denied, settings}, decision{rollcall.Denied, settings}},
		{"error", rollcall.Granted, rollcall.Granted, func(context.Context) error { return errors.New("no") },
			decision{rollcall.Denied, settings + " could not be read"}, decision{rollcall.Denied, settings + " could not be read"}},
		{"panic", rollcall.Granted, rollcall.Granted, func(context.Context) error { panic("host") },
			decision{rollcall.Denied, settings + " could not be read"}, decision{rollcall.Denied, settings + " could not be read"}},
		{"end of the goroutine", rollcall.Granted, rollcall.Granted, func(context.Context) error { runtime.Goexit(); return nil },
			decision{rollcall.Denied, settings + " could not be read"}, decision{rollcall.Denied, settings + " could not be read"}},
		{"hang", rollcall.Granted, rollcall.Granted, func(context.Context) error { time.Sleep(time.Hour); return nil },
			decision{rollcall.Denied, settings + " could not be read"}, decision{rollcall.Denied, settings + " could not be read"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, variable := range consentVariables {
				t.Setenv(variable, "")
			}
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, "")
				var running, most atomic.Int32
				service := r.start((&hostSettings{}).use, func(c *rollcall.Config) {
					c.Consent.Load = func(ctx context.Context) (rollcall.Consents, error) {
						defer running.Add(-1)
						most.Store(max(most.Load(), running.Add(1)))
						answer := rollcall.Consents{Telemetry: tt.telemetry, Health: tt.health}
						if tt.do == nil {
							return answer, nil
						}
						return answer, tt.do(ctx)
					}
				})
				for range 3 {
					begin := time.Now()
					d := service.Decisions(t.Context())
					wantDecision(t, "telemetry", d.Telemetry, tt.want.State, tt.want.Source)
					wantDecision(t, "health", d.Health, tt.wantHealth.State, tt.wantHealth.Source)
					if took := time.Since(begin); took > 2*time.Second {
						t.Errorf("took %v", took)
					}
				}
				time.Sleep(3 * time.Hour) // the keeper's checks must not undo the denial
				st := service.Status()
				wantDecision(t, "status", st.Consent, tt.want.State, tt.want.Source)
				if most.Load() > 1 {
					t.Errorf("%d concurrent calls", most.Load())
				}
				granted := func(c rollcall.Consent) bool { return tt.do == nil && c == rollcall.Granted }
				if err := service.SetConsent(t.Context(), true); (err == nil) != granted(tt.telemetry) {
					t.Errorf("SetConsent: got %v, though only the host can save a grant", err)
				}
				if err := service.SetHealthConsent(t.Context(), true); (err == nil) != (granted(tt.health)) {
					t.Errorf("SetHealthConsent: got %v, though only the host can save a grant", err)
				}
			})
		})
	}
}

// TestReportingSetConsent: only the one key changes, and the decision holds at
// once.
func TestReportingSetConsent(t *testing.T) {
	const odd = "\ufeff{\r\n\t// where to listen\r\n\t\"port\" : 8080,\r\n\t\"big\": 12345678901234567890,\r\n\t\"telemetry\": { \"enabled\" :false, \"x\": [1,2,], },\r\n}"
	tests := []struct {
		name, before string
		granted      bool
		health       bool // SetHealthConsent, not SetConsent
		after        string
	}{
		{"grant", odd, true, false, strings.Replace(odd, ":false", ":true", 1)},
		{"deny", strings.Replace(odd, "false", "true", 1), false, false, odd},
		{"deny twice", odd, false, false, odd},
		{"grant over an object", strings.Replace(odd, "false", `{"a": 1}`, 1), true, false, strings.Replace(odd, "false", "true", 1)},
		{"health", odd, true, true, strings.Replace(odd, "[1,2,],", "[1,2,], \"health_enabled\": true,", 1)},
		{"no section", `{"a": 1}`, true, false, `{"a": 1, "telemetry": {"enabled": true}}`},
		{"no config", "", true, false, "{\n  \"telemetry\": {\n    \"enabled\": true\n  }\n}\n"},
		{"null", `{"telemetry": null}`, true, false, `{"telemetry": {"enabled": true}}`},
		{"null, health", `{"telemetry": {"health_enabled": null}}`, true, true, `{"telemetry": {"health_enabled": true}}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newSite(t, tt.before)
			service := s.make()
			set, get := service.SetConsent, func(d rollcall.Decisions) rollcall.Decision { return d.Telemetry }
			if tt.health {
				set = service.SetHealthConsent
			}
			if err := set(t.Context(), tt.granted); err != nil {
				t.Fatal(err)
			}
			s.wantConfig(tt.after)
			if want := map[bool]rollcall.Consent{true: rollcall.Granted, false: rollcall.Denied}[tt.granted]; !tt.health {
				source := map[bool]string{true: enabledKey, false: withdrawnBy("library")}[tt.granted]
				wantDecision(t, "decision", get(service.Decisions(t.Context())), want, source)
				if st := service.Status(); st.Consent.State != want {
					t.Errorf("got %v in the status, want %v", st.Consent, want)
				}
			}
		})
	}
}

// TestReportingSetConsentBlocked is C11: a plain denial in place of the section
// stays as it is. Denying succeeds, and granting says which edit to make.
func TestReportingSetConsentBlocked(t *testing.T) {
	for _, config := range []string{`{"telemetry": false}`, `{"telemetry": "off"}`, `{"telemetry": 0}`} {
		for _, isolate := range []bool{false, true} {
			s := newSite(t, config)
			service := s.make(func(c *rollcall.Config) { c.Isolate = isolate })
			for edit, set := range map[string]func(context.Context, bool) error{
				`not an object; the edit to make by hand is {"telemetry": {"enabled": true}}`:        service.SetConsent,
				`not an object; the edit to make by hand is {"telemetry": {"health_enabled": true}}`: service.SetHealthConsent,
			} {
				if err := set(t.Context(), false); err != nil {
					t.Errorf("%s: deny: %v", config, err)
				}
				if err := set(t.Context(), true); err == nil || !matches(err.Error(), "*"+edit+"; then remove *telemetry-denied, *") {
					t.Errorf("%s: grant: got %v, want %q in it", config, err, edit)
				}
			}
			wantDecision(t, config, service.Decisions(t.Context()).Telemetry, rollcall.Denied, withdrawnBy("library"))
			s.wantConfig(config)
		}
	}
}

// TestReportingSetConsentWithoutConfig: without a config, the decisions are kept
// in the state directory.
func TestReportingSetConsentWithoutConfig(t *testing.T) {
	for name, change := range map[string]func(*rollcall.Config){
		"state file": func(*rollcall.Config) {},
		"functions":  new(hostSettings).use,
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, "")
			state := filepath.Join(s.dir, "state")
			inState := func(c *rollcall.Config) { c.ConfigPath, c.StateDir = "", state }
			service := s.start(inState, change)
			if st := service.Status(); st.Consent.State != rollcall.Unset {
				t.Errorf("got %v by %q before", st.Consent.State, st.Consent.Source)
			}
			for _, set := range []func(context.Context, bool) error{service.SetConsent, service.SetHealthConsent} {
				if err := set(t.Context(), true); err != nil {
					t.Fatal(err)
				}
			}
			want := `{"telemetry": {"enabled": true, "health_enabled": true}}` + "\n"
			if got := s.read(filepath.Join(state, "consent.json")); got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
			send(t, service)
			s.stop(service)

			s.log.reset()
			again := s.start(inState, change)
			s.log.want("INFO Telemetry service started enabled=true has_persistent_id=true", reportingIsOn(s))
			if st := again.Status(); st.Consent.State != rollcall.Granted || st.Reporting.Health.State != rollcall.Granted {
				t.Errorf("got %v by %q, health %v after a restart", st.Consent.State, st.Consent.Source, st.Reporting.Health)
			}
		})
	}
	t.Run("no place", func(t *testing.T) {
		s := newSite(t, "")
		service := s.start(new(hostSettings).use, func(c *rollcall.Config) { c.ConfigPath = "" })
		if err := service.SetConsent(t.Context(), true); err == nil {
			t.Error("no error from a grant that is saved nowhere")
		}
		if err := service.SetConsent(t.Context(), false); err == nil {
			t.Error("no error from a denial that is saved nowhere")
		}
	})
}

func reportingIsOn(s *site) string {
	return "INFO Telemetry reporting is on endpoint=" + s.collector.URL + " note=to stop it, set telemetry.enabled in /* to false"
}

// TestReportingHint: the host says how to see and stop what is sent. Nothing
// names a command that only the program has.
func TestReportingHint(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*rollcall.Config)
		want   string
	}{
		"its own words": {func(c *rollcall.Config) { c.Consent.Hint = "see Settings > Privacy" }, "see Settings > Privacy"},
		"a config":      {func(*rollcall.Config) {}, "to stop it, set telemetry.enabled in /* to false"},
		"its settings": {func(c *rollcall.Config) {
			new(hostSettings).use(c)
			c.ConfigPath = ""
			c.Consent.Load = func(context.Context) (rollcall.Consents, error) {
				return rollcall.Consents{Telemetry: rollcall.Granted}, nil
			}
		}, "to stop it, change the host's settings"},
		"its settings, and where": {(&consentSettings{consents: rollcall.Consents{Telemetry: rollcall.Granted}}).readOnly,
			"to stop it, change the host's settings: Settings > Privacy"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, granted)
			s.start(tt.change)
			last := faultfs.Slashed(s.log.lines[len(s.log.lines)-1].text)
			if !matches(last, "INFO Telemetry reporting is on endpoint="+s.collector.URL+" note="+tt.want) {
				t.Errorf("got %s, want %s", last, tt.want)
			}
		})
	}
}

// TestReportingIDFromEnvironment: the config's consent counts even if the ID is
// not read from it.
func TestReportingIDFromEnvironment(t *testing.T) {
	s := newSite(t, granted)
	t.Setenv(rollcall.DefaultIDVariable, knownID)
	service := s.start()
	s.log.want("INFO Telemetry service started enabled=true has_persistent_id=true", reportingIsOn(s))
	send(t, service)
	if got := s.lastHeartbeat(); got.InstallationID != knownID || got.IDPersistence != report.Persisted {
		t.Errorf("got %+v", got)
	}
	s.wantConfig(granted)
	if st := service.Status(); st.Consent.State != rollcall.Granted {
		t.Errorf("got %v by %q", st.Consent.State, st.Consent.Source)
	}
}

// TestReportingWithdrawn is N9: whoever denies, a request in progress is
// canceled and no other is made.
func TestReportingWithdrawn(t *testing.T) {
	withdrawals := map[string]func(*testing.T, *site, *rollcall.Service){
		"SetConsent": func(t *testing.T, _ *site, service *rollcall.Service) {
			if err := service.SetConsent(t.Context(), false); err != nil {
				t.Error(err)
			}
		},
		"config edited": func(_ *testing.T, s *site, _ *rollcall.Service) {
			s.write(s.config, strings.Replace(s.read(s.config), "true", "false", 1))
		},
		"config removed": func(_ *testing.T, s *site, _ *rollcall.Service) { os.Remove(s.config) },
		"config torn":    func(_ *testing.T, s *site, _ *rollcall.Service) { s.write(s.config, granted[:10]) },
		"policy": func(_ *testing.T, s *site, _ *rollcall.Service) {
			s.write(s.policy, `{"telemetry": {"enabled": false}}`)
		},
		"environment": func(t *testing.T, _ *site, _ *rollcall.Service) { os.Setenv("DO_NOT_TRACK", "1") }, // newSite restores it
		"Forget": func(t *testing.T, s *site, service *rollcall.Service) {
			if err := service.Forget(t.Context()); err != nil {
				t.Error(err)
			}
		},
	}
	for name, withdraw := range withdrawals {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, granted)
			service := s.start()
			begun, gone := s.hang("/v1/heartbeat")
			result := make(chan error, 1)
			go func() { result <- service.SendNow(t.Context()) }()
			within(t, someTime, "the request", begun)
			withdraw(t, s, service)
			within(t, atOnce, "the end of the request", gone)
			if err := <-result; !errors.Is(err, rollcall.ErrWithheld) {
				t.Errorf("SendNow: got %v, want %v", err, rollcall.ErrWithheld)
			}
			s.collector.Answer(nil)
			for _, send := range []func(context.Context) error{service.SendNow, service.SendIfDue} {
				if err := send(t.Context()); !errors.Is(err, rollcall.ErrWithheld) {
					t.Errorf("got %v, want %v", err, rollcall.ErrWithheld)
				}
			}
			s.stop(service)
			if name == "Forget" {
				s.wantRequests(postHeartbeat, "DELETE /v1/installations/"+idOf(t, s, 0))
			} else {
				s.wantRequests(postHeartbeat)
			}
		})
	}
}

// TestReportingWithdrawnInBetween withdraws consent at each point where it is
// read: nothing is sent afterwards.
func TestReportingWithdrawnInBetween(t *testing.T) {
	s := newSite(t, "")
	for yes := range int32(10) {
		var asked atomic.Int32
		service := s.make(new(hostSettings).use, func(c *rollcall.Config) {
			c.ConfigPath, c.StateDir = "", filepath.Join(s.dir, fmt.Sprint(yes))
			c.Consent.Load = func(context.Context) (rollcall.Consents, error) {
				if asked.Add(1) > yes {
					return rollcall.Consents{Telemetry: rollcall.Denied, Health: rollcall.Denied}, nil
				}
				return rollcall.Consents{Telemetry: rollcall.Granted, Health: rollcall.Granted}, nil
			}
		})
		var seen atomic.Int32 // calls before the last request, which the server may still be answering
		s.collector.Answer(func(http.ResponseWriter, *http.Request) bool {
			seen.Store(asked.Load())
			return false
		})
		if err := service.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		service.ReportFault(diskFull)
		err := service.SendNow(t.Context())
		before := seen.Load()
		switch {
		case before > yes:
			t.Errorf("granted %d times: sent after %d calls", yes, before)
		case before == 0 && !errors.Is(err, rollcall.ErrWithheld):
			t.Errorf("granted %d times: got %v, want %v", yes, err, rollcall.ErrWithheld)
		case before > 0 && err != nil:
			t.Errorf("granted %d times: got %v", yes, err)
		}
		if st := service.Status(); st.Reporting.LastError != "" {
			t.Errorf("granted %d times: got error %q, which says nothing about the collector", yes, st.Reporting.LastError)
		}
	}
	if len(s.collector.Heartbeats()) == 0 || len(s.collector.HealthReports()) == 0 {
		t.Error("nothing was ever sent")
	}
}

// idOf returns the ID in a request.
func idOf(t *testing.T, s *site, request int) string {
	t.Helper()
	h, _, err := report.ParseHeartbeat(s.collector.Requests()[request].Body)
	if err != nil {
		t.Fatal(err)
	}
	return h.InstallationID
}

// TestReportingHealthWithdrawn is TestReportingWithdrawn for health reports.
func TestReportingHealthWithdrawn(t *testing.T) {
	fault := rollcall.Fault{Source: "test", Component: "disk", Reason: "full"}
	withdrawals := map[string]func(*testing.T, *site, *rollcall.Service){
		"SetHealthConsent": func(t *testing.T, _ *site, service *rollcall.Service) {
			if err := service.SetHealthConsent(t.Context(), false); err != nil {
				t.Error(err)
			}
		},
		"config edited": func(_ *testing.T, s *site, _ *rollcall.Service) {
			s.write(s.config, strings.Replace(s.read(s.config), `"health_enabled": true`, `"health_enabled": false`, 1))
		},
		"policy": func(_ *testing.T, s *site, _ *rollcall.Service) {
			s.write(s.policy, `{"telemetry": {"health_enabled": false}}`)
		},
	}
	for name, withdraw := range withdrawals {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, grantedBoth)
			service := s.start()
			service.ReportFault(fault)
			begun, gone := s.hang("/v1/health")
			result := make(chan error, 1)
			go func() { result <- service.SendNow(t.Context()) }()
			within(t, someTime, "the health report", begun)
			withdraw(t, s, service)
			within(t, atOnce, "its end", gone)
			if err := <-result; err != nil {
				t.Errorf("got %v, want none: the heartbeat was accepted", err)
			}
			s.collector.Answer(nil)
			service.ReportFault(fault)
			send(t, service)
			s.wantRequests(postHeartbeat, postHealth, postHeartbeat)
		})
	}
	t.Run("during a heartbeat", func(t *testing.T) {
		s := newSite(t, grantedBoth)
		service := s.start()
		service.ReportFault(fault)
		begun, release := make(chan struct{}, 1), make(chan struct{})
		s.collector.Answer(func(http.ResponseWriter, *http.Request) bool {
			begun <- struct{}{}
			<-release
			return false
		})
		result := make(chan error, 1)
		go func() { result <- service.SendNow(t.Context()) }()
		within(t, someTime, "the heartbeat", begun)
		if err := service.SetHealthConsent(t.Context(), false); err != nil {
			t.Error(err)
		}
		close(release)
		if err := <-result; err != nil {
			t.Errorf("got %v, want none: heartbeats are still granted", err)
		}
		s.wantRequests(postHeartbeat)
	})
}

// TestReportingDenialNotSaved: a denial that can be neither saved nor recorded
// holds until the process ends.
func TestReportingDenialNotSaved(t *testing.T) {
	s := newSite(t, "")
	disk := faultfs.New()
	disk.WriteFile(configPath, []byte(grantedBoth), 0o644)
	service := s.start(func(c *rollcall.Config) { *c = c.On(disk); c.ConfigPath = configPath })
	send(t, service)
	config, _ := disk.ReadFile(configPath)
	disk.Chmod(configPath, 0o444)
	disk.Inject(faultfs.Rule{Op: faultfs.OpSync, Name: "*telemetry-denied*", Err: syscall.EIO})
	if err := service.SetHealthConsent(t.Context(), false); err == nil {
		t.Error("saved on a read-only disk")
	}
	const notSaved = "denied in this process; that could not be saved"
	wantDecision(t, "health", service.Decisions(t.Context()).Health, rollcall.Denied, notSaved)
	send(t, service)
	if err := service.SetConsent(t.Context(), false); err == nil {
		t.Error("saved on a read-only disk")
	}
	wantDecision(t, "telemetry", service.Decisions(t.Context()).Telemetry, rollcall.Denied, notSaved)
	if err := service.SendNow(t.Context()); !errors.Is(err, rollcall.ErrWithheld) {
		t.Errorf("got %v, want %v", err, rollcall.ErrWithheld)
	}
	if st := service.Status(); st.Consent.State != rollcall.Denied || st.Consent.Source.String() != notSaved {
		t.Errorf("got %v by %q", st.Consent.State, st.Consent.Source)
	}
	if now, _ := disk.ReadFile(configPath); string(now) != string(config) {
		t.Errorf("got config\n%s\nwant\n%s", now, config)
	}
	disk.Chmod(configPath, 0o644)
	err := service.SetConsent(t.Context(), false)
	contains(t, "error of a denial that is only in the config", fmt.Sprint(err), "old copy")
	wantDecision(t, "telemetry", service.Decisions(t.Context()).Telemetry, rollcall.Denied, notSaved)
	disk.ReleaseAll()
	if err := service.SetConsent(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	wantDecision(t, "telemetry", service.Decisions(t.Context()).Telemetry, rollcall.Denied, withdrawnBy("library"))
	if err := service.SetConsent(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	wantDecision(t, "telemetry", service.Decisions(t.Context()).Telemetry, rollcall.Granted, enabledKey)
	send(t, service)
	s.wantRequests(postHeartbeat, postHeartbeat, postHeartbeat)
}

// TestReportingDenialWhileDiskHangs: a denial cancels a request at once, before
// it is saved.
func TestReportingDenialWhileDiskHangs(t *testing.T) {
	s := newSite(t, "")
	disk := faultfs.New()
	disk.WriteFile(configPath, []byte(enabledAs("true")), 0o644)
	service := s.start(func(c *rollcall.Config) { *c = c.On(disk); c.ConfigPath = configPath })
	begun, gone := s.hang("/v1/heartbeat")
	go service.SendNow(t.Context())
	within(t, someTime, "the request", begun)
	disk.Inject(faultfs.Rule{Hang: true, Name: configPath})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	denying := make(chan error, 1)
	go func() { denying <- service.SetConsent(ctx, false) }()
	within(t, atOnce, "the end of the request", gone)
	cancel()
	if err := <-denying; err == nil {
		t.Error("saved to a disk that hangs")
	}
	disk.ReleaseAll()
	if err := service.SendNow(t.Context()); !errors.Is(err, rollcall.ErrWithheld) {
		t.Errorf("got %v, want %v", err, rollcall.ErrWithheld)
	}
}

// TestReportingDenialLasts: after a restart, an upgrade and a new fact, a denial
// still holds and nobody is asked.
func TestReportingDenialLasts(t *testing.T) {
	s := newSite(t, granted)
	service := s.start()
	if err := service.SetConsent(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	s.stop(service)
	for i := range 3 {
		again := s.start(func(c *rollcall.Config) {
			c.Version = fmt.Sprintf("2.%d.0", i)
			c.Facts = []rollcall.Fact{fact(report.BoolFact("new", "Says something new.").AddedIn(i+1), true)}
		})
		wantDecision(t, "decision", again.Decisions(t.Context()).Telemetry, rollcall.Denied, withdrawnBy("library"))
		if err := again.SendNow(t.Context()); !errors.Is(err, rollcall.ErrWithheld) {
			t.Errorf("got %v, want %v", err, rollcall.ErrWithheld)
		}
		s.stop(again)
	}
	s.wantRequests()
	s.wantConfigButID(strings.Replace(granted, "true", "false", 1))
}

// TestReportingCoverage: facts and fields added after the grant are withheld
// until the operator grants again.
func TestReportingCoverage(t *testing.T) {
	facts := func(c *rollcall.Config) {
		c.Facts = []rollcall.Fact{
			fact(report.BoolFact("one", "Was there from the beginning."), true),
			fact(report.BoolFact("two", "Was added later.").AddedIn(2), true),
			fact(report.BoolFact("three", "Was added even later.").AddedIn(3), true),
		}
	}
	tests := []struct {
		keys     string // in the config, next to the grant
		want     []string
		withheld bool // the whole report
	}{
		{"", []string{"one"}, false},
		{`, "granted_facts": 1`, []string{"one"}, false},
		{`, "granted_facts": 2`, []string{"one", "two"}, false},
		{`, "granted_facts": 3`, []string{"one", "three", "two"}, false},
		{`, "granted_facts": 99`, []string{"one", "three", "two"}, false},
		{`, "granted_facts": 0`, nil, false},
		{`, "granted_facts": -3`, nil, false},
		{`, "granted_facts": 2.0`, nil, false},
		{`, "granted_facts": 1e1`, nil, false},
		{`, "granted_facts": "3"`, nil, false},
		{`, "granted_facts": true`, nil, false},
		{`, "granted_facts": null`, []string{"one"}, false},
		{`, "granted_facts": [3]`, nil, false},
		{`, "granted_facts": 99999999999999999999999`, nil, false},
		{`, "granted_schema": 1`, []string{"one"}, false},
		{`, "granted_schema": 2`, []string{"one"}, false},
		{`, "granted_schema": 0`, nil, true},
		{`, "granted_schema": "1"`, nil, true},
		{`, "granted_schema": null`, []string{"one"}, false},
	}
	for _, tt := range tests {
		t.Run(tt.keys, func(t *testing.T) {
			config := strings.Replace(granted, "true", "true"+tt.keys, 1)
			s := newSite(t, config)
			service := s.start(facts)
			err := service.SendNow(t.Context())
			if tt.withheld {
				if !errors.Is(err, rollcall.ErrWithheld) {
					t.Errorf("got %v, want %v", err, rollcall.ErrWithheld)
				}
				s.wantRequests()
				contains(t, "withheld", preview(t, service).Withheld, "granted version")
			} else {
				if err != nil {
					t.Fatal(err)
				}
				wantFacts(t, s.lastHeartbeat().Facts, tt.want...)
			}

			// A new grant covers everything, and writes no key that is not needed.
			if err := service.SetConsent(t.Context(), true); err != nil {
				t.Fatal(err)
			}
			send(t, service)
			wantFacts(t, s.lastHeartbeat().Facts, "one", "three", "two")
			after := s.read(s.config)
			if !strings.Contains(after, `"granted_facts": 3`) && !strings.Contains(after, `"granted_facts": 99`) {
				t.Errorf("got config %s", after)
			}
			if !strings.Contains(tt.keys, "schema") && strings.Contains(after, "granted_schema") {
				t.Errorf("got a granted_schema that is not needed: %s", after)
			}
		})
	}
}

// TestReportingGrantWritesLittle: a grant does not write the versions it covers
// by default.
func TestReportingGrantWritesLittle(t *testing.T) {
	for name, tt := range map[string]struct {
		since         int
		before, after string
	}{
		"first version":         {1, `{"telemetry": {}}`, `{"telemetry": {"enabled": true}}`},
		"later version":         {2, `{"telemetry": {}}`, `{"telemetry": {"granted_facts": 2, "enabled": true}}`},
		"covered already":       {2, `{"telemetry": {"granted_facts": 2}}`, `{"telemetry": {"granted_facts": 2, "enabled": true}}`},
		"more than exists":      {2, `{"telemetry": {"granted_facts": 3}}`, `{"telemetry": {"granted_facts": 3, "enabled": true}}`},
		"nonsense, one version": {1, `{"telemetry": {"granted_facts": "x"}}`, `{"telemetry": {"granted_facts": 1, "enabled": true}}`},
		"a later schema":        {1, `{"telemetry": {"granted_schema": 7}}`, `{"telemetry": {"granted_schema": 7, "enabled": true}}`},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, tt.before)
			service := s.make(func(c *rollcall.Config) {
				c.Facts = []rollcall.Fact{fact(report.BoolFact("one", "Says something.").AddedIn(tt.since), true)}
			})
			if err := service.SetConsent(t.Context(), true); err != nil {
				t.Fatal(err)
			}
			s.wantConfig(tt.after)
		})
	}
}

func wantFacts(t *testing.T, got report.Facts, want ...string) {
	t.Helper()
	var names []string
	for _, f := range got {
		names = append(names, f.Name)
	}
	if fmt.Sprint(names) != fmt.Sprint(want) {
		t.Errorf("got facts %v, want %v", names, want)
	}
}

// TestReportingNotReal: tests, builds of CI and development versions do not
// report, unless the host says so.
func TestReportingNotReal(t *testing.T) {
	tests := []struct {
		name, version   string
		variable, value string // the first of several has this value
		says            string
	}{
		{"a test", "1.2.3", "", "", "a test binary"},
		{"CI", "1.2.3", "CI", "true", "environment variable CI"},
		{"CI=false", "1.2.3", "CI", "false", "a test binary"},
		{"Jenkins", "1.2.3", "JENKINS_URL BUILD_ID", "http://ci", "environment variable JENKINS_URL"},
		{"JENKINS_URL alone", "1.2.3", "JENKINS_URL", "http://ci", "a test binary"},
		{"BUILD_ID alone", "1.2.3", "BUILD_ID", "7", "a test binary"},
		{"TeamCity", "1.2.3", "TEAMCITY_VERSION", "2026", "environment variable TEAMCITY_VERSION"},
		{"Azure", "1.2.3", "TF_BUILD", "True", "environment variable TF_BUILD"},
		{"no version", "", "", "", "no version of the host is set"},
		{"dev", "dev", "", "", "development version dev"},
		{"devel", "(devel)", "", "", "development version (devel)"},
		{"dirty", "v1.2.3+dirty", "", "", "development version v1.2.3+dirty"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newSite(t, granted)
			for name := range strings.FieldsSeq(tt.variable) {
				t.Setenv(name, tt.value)
			}
			asItIs := func(c *rollcall.Config) { c.Version, c.Reporting.Development = tt.version, false }
			service := s.start(asItIs)
			for _, send := range []func(context.Context) error{service.SendNow, service.SendIfDue} {
				if err := send(t.Context()); !errors.Is(err, rollcall.ErrWithheld) {
					t.Errorf("got %v, want %v", err, rollcall.ErrWithheld)
				} else {
					contains(t, "error", err.Error(), tt.says)
				}
			}
			contains(t, "status", service.Status().Reporting.Withheld, tt.says)
			contains(t, "preview", preview(t, service).Withheld, tt.says)
			for _, line := range s.log.lines {
				if strings.Contains(line.text, "reporting is on") {
					t.Errorf("logged: %s", line.text)
				}
			}
			s.wantRequests()

			send(t, s.start(asItIs, func(c *rollcall.Config) { c.Reporting.Development = true }))
		})
	}
}
