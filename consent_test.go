package rollcall_test

import (
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollcall-dev/rollcall"
	"github.com/rollcall-dev/rollcall/internal/test/faultfs"
)

func afterConsent(c *rollcall.Config) { c.ID.AfterConsent = true }

// enabledAs returns hostConfig with another JSON value for the consent, or with
// none.
func enabledAs(value string) string {
	if value == "" {
		return strings.Replace(hostConfig, `"enabled": false`, "", 1)
	}
	return strings.Replace(hostConfig, `"enabled": false`, `"enabled": `+value, 1)
}

// TestConsent covers what decides, in order of precedence.
func TestConsent(t *testing.T) {
	const (
		key      = "config key telemetry.enabled"
		dnt      = "environment variable DO_NOT_TRACK"
		variable = "environment variable ROLLCALL_TELEMETRY"
		unread   = "the config could not be read"
	)
	tests := []struct {
		name, config string
		env          map[string]string
		want         rollcall.Consent
		source       string
	}{
		{"no config", "", nil, rollcall.Denied, key}, // it is created with telemetry denied
		{"no key", enabledAs(""), nil, rollcall.Unset, "not decided"},
		{"no section", `{"a": 1}`, nil, rollcall.Unset, "not decided"},
		{"true", enabledAs("true"), nil, rollcall.Granted, key},
		{"false", enabledAs("false"), nil, rollcall.Denied, key},
		{"null", enabledAs("null"), nil, rollcall.Unset, "not decided"},
		{"section null", `{"telemetry": null}`, nil, rollcall.Unset, "not decided"},
		{"section false", `{"telemetry": false}`, nil, rollcall.Denied, key},
		{"section off", `{"telemetry": "Off"}`, nil, rollcall.Denied, key},
		{"off", enabledAs(`"off"`), nil, rollcall.Denied, key},
		{"text", enabledAs(`"true"`), nil, rollcall.Denied, key + " is neither true nor false"},
		{"number", enabledAs("1"), nil, rollcall.Denied, key + " is neither true nor false"},
		{"object", enabledAs("{}"), nil, rollcall.Denied, key + " is neither true nor false"},
		{"torn", enabledAs("true") + "}", nil, rollcall.Denied, unread},
		{"empty", " ", nil, rollcall.Denied, unread},
		{"not an object", `{"telemetry": true}`, nil, rollcall.Denied, key + " is neither true nor false"},
		{"a list", `[]`, nil, rollcall.Denied, key + " is neither true nor false"},

		{"DO_NOT_TRACK", enabledAs("true"), map[string]string{"DO_NOT_TRACK": "1"}, rollcall.Denied, dnt},
		{"DO_NOT_TRACK, true", enabledAs("true"), map[string]string{"DO_NOT_TRACK": "true"}, rollcall.Denied, dnt},
		{"DO_NOT_TRACK, any word", enabledAs("true"), map[string]string{"DO_NOT_TRACK": "please"}, rollcall.Denied, dnt},
		{"DO_NOT_TRACK, blank", enabledAs("true"), map[string]string{"DO_NOT_TRACK": " "}, rollcall.Denied, dnt},
		{"DO_NOT_TRACK, undecided", enabledAs(""), map[string]string{"DO_NOT_TRACK": "1"}, rollcall.Denied, dnt},
		{"DO_NOT_TRACK, torn", "{", map[string]string{"DO_NOT_TRACK": "1"}, rollcall.Denied, dnt},
		{"DO_NOT_TRACK, 0", enabledAs("true"), map[string]string{"DO_NOT_TRACK": "0"}, rollcall.Granted, key},
		{"DO_NOT_TRACK, false", enabledAs("true"), map[string]string{"DO_NOT_TRACK": "False"}, rollcall.Granted, key},
		{"DO_NOT_TRACK, no", enabledAs("true"), map[string]string{"DO_NOT_TRACK": " no "}, rollcall.Granted, key},
		{"DO_NOT_TRACK, off", enabledAs("true"), map[string]string{"DO_NOT_TRACK": "OFF"}, rollcall.Granted, key},
		{"DO_NOT_TRACK, 0, grants nothing", enabledAs("false"), map[string]string{"DO_NOT_TRACK": "0"}, rollcall.Denied, key},

		{"variable, 0", enabledAs("true"), map[string]string{"ROLLCALL_TELEMETRY": "0"}, rollcall.Denied, variable},
		{"variable, disabled", enabledAs("true"), map[string]string{"ROLLCALL_TELEMETRY": "disabled"}, rollcall.Denied, variable},
		{"variable, quoted", enabledAs("true"), map[string]string{"ROLLCALL_TELEMETRY": "\"Yes\"\r"}, rollcall.Granted, key},
		{"variable, off", enabledAs("true"), map[string]string{"ROLLCALL_TELEMETRY": "off"}, rollcall.Denied, variable},
		{"variable, 1, grants nothing", enabledAs("false"), map[string]string{"ROLLCALL_TELEMETRY": "1"}, rollcall.Denied, key},
		{"variable, 1, undecided", enabledAs(""), map[string]string{"ROLLCALL_TELEMETRY": "true"}, rollcall.Unset, "not decided"},
		{"both", enabledAs("true"), map[string]string{"DO_NOT_TRACK": "1", "ROLLCALL_TELEMETRY": "0"}, rollcall.Denied, dnt},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, name := range []string{"DO_NOT_TRACK", "ROLLCALL_TELEMETRY"} {
				t.Setenv(name, tt.env[name])
			}
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, tt.config)
				for _, change := range []func(*rollcall.Config){afterConsent, func(*rollcall.Config) {}} {
					r.log.reset()
					service := r.start(change)
					st := service.Status()
					want, source := tt.want, tt.source
					if tt.config == "" && service.ID().IsZero() {
						want, source = rollcall.Unset, "not decided" // nothing was created
					}
					if st.Consent.State != want || st.Consent.Source.String() != source {
						t.Errorf("got consent %v by %q, want %v by %q", st.Consent.State, st.Consent.Source, want, source)
					}
					last := r.log.lines[len(r.log.lines)-1].text
					if enabled := strings.Contains(last, " enabled=true "); enabled != (want == rollcall.Granted) {
						t.Errorf("consent %v, and the log says %q", want, last)
					}
					r.stop(service)
				}
			})
		})
	}
}

// TestConsentOfDamagedConfig: a config that cannot be parsed denies, even if the
// anchor has an ID.
func TestConsentOfDamagedConfig(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, `{"telemetry": {"enabled": true`)
		r.fs.WriteFile(anchorPath, []byte(knownID+"\n"), 0o640)
		service := r.start()
		r.wantState(service, knownID, true)
		if st := service.Status(); st.Consent.State != rollcall.Denied || st.Consent.Source.String() != "the config could not be read" {
			t.Errorf("got consent %v by %q", st.Consent.State, st.Consent.Source)
		}
	})
}

// TestAfterConsent: an ID is created within a minute of the operator's grant,
// and not before.
func TestAfterConsent(t *testing.T) {
	for _, before := range []string{"", enabledAs(""), enabledAs("false"), enabledAs(`"true"`), " ", "{"} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, before)
			w := &witness{}
			service := r.start(afterConsent, w.watch)
			r.wantState(service, "", false)
			if st := service.Status(); !st.Settled || st.Provisional || st.Reason == "" {
				t.Errorf("got %+v", st)
			}
			time.Sleep(20 * time.Minute)
			r.wantState(service, "", false)
			r.wantNoMutation()
			if before != " " && before != "{" {
				r.log.want(started(false))
				w.want(t)
			}
			if _, err := service.Reset(t.Context()); err == nil {
				t.Error("Reset created an ID before consent")
			}
			r.wantNoMutation()

			r.log.reset()
			r.fs.WriteFile(configPath, []byte(enabledAs("true")), 0o640)
			time.Sleep(time.Minute)
			synctest.Wait()
			r.log.want(generated(service.ID()), "INFO Installation ID persisted to config attempt=*")
			r.wantPersisted(service, service.ID().String())
			if st := service.Status(); st.Consent.State != rollcall.Granted || st.Reason != "" {
				t.Errorf("got %+v", st)
			}
		})
	}
}

// TestAfterConsentStored: a stored ID is used whatever the consent.
func TestAfterConsentStored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, withID(knownID))
		service := r.start(afterConsent)
		r.log.want(started(true))
		r.wantState(service, knownID, true)
	})
}

// TestAfterConsentGranted: with consent, a start is like any other.
func TestAfterConsentGranted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, enabledAs("true"))
		service := r.start(afterConsent)
		r.log.want(generated(service.ID()), persisted(1), strings.Replace(started(true), "enabled=false", "enabled=true", 1))
		r.wantPersisted(service, service.ID().String())
	})
}

// TestAfterConsentDenied: the environment takes precedence over the config.
func TestAfterConsentDenied(t *testing.T) {
	t.Setenv("DO_NOT_TRACK", "1")
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, enabledAs("true"))
		service := r.start(afterConsent)
		time.Sleep(time.Hour)
		r.wantState(service, "", false)
		r.wantNoMutation()
	})
}

// TestAfterConsentHangs: no ID is created while the config cannot be read, and
// the start takes no longer than others.
func TestAfterConsentHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, enabledAs("true"))
		fault := r.fs.Inject(faultfs.Rule{Op: faultfs.OpRead, Hang: true})
		service := r.start(afterConsent)
		if d := time.Since(r.log.begin); d != 18*time.Second {
			t.Errorf("Start took %v", d)
		}
		r.wantState(service, "", false)
		r.log.want(timedOut(1), timedOut(2), timedOut(3), started(false))
		fault.Release()
		synctest.Wait()
		r.wantPersisted(service, service.ID().String())
	})
}

// TestConsentWithdrawnBeforeSaved: an ID in memory is not saved after the
// operator denied.
func TestConsentWithdrawnBeforeSaved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, enabledAs("true"))
		fault := r.fs.Inject(faultfs.Rule{Op: faultfs.OpSync, Err: syscall.EIO})
		service := r.start(afterConsent)
		r.wantState(service, service.ID().String(), false)
		r.fs.WriteFile(configPath, []byte(enabledAs("false")), 0o640)
		fault.Release()
		r.fs.ResetLog()
		time.Sleep(24 * time.Hour)
		r.wantNoMutation()
		r.wantState(service, service.ID().String(), false)
	})
}
