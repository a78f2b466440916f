package rollcall_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall"
	"github.com/rollcall-dev/rollcall/report"
)

func (s *site) beside(suffix string) string {
	return filepath.Join(filepath.Dir(s.config), ".config.json"+suffix)
}

func (s *site) denials() string { return s.beside(".telemetry-denied") }

// byVerb is what another process does: a verb of the program.
func (s *site) byVerb(verb string, change ...func(*rollcall.Config)) error {
	s.t.Helper()
	operator := s.make(change...)
	defer s.stop(operator)
	ctx := rollcall.OrderedBy(s.t.Context(), "rollcall "+verb)
	switch verb {
	case "enable":
		return operator.SetConsent(ctx, true)
	case "disable":
		return operator.SetConsent(ctx, false)
	case "enable --health":
		return operator.SetHealthConsent(ctx, true)
	case "disable --health":
		return operator.SetHealthConsent(ctx, false)
	case "reset":
		_, err := operator.Reset(ctx)
		return err
	case "forget":
		return operator.Forget(ctx)
	}
	return errors.New("unknown verb " + verb)
}

func (s *site) mustVerb(verb string, change ...func(*rollcall.Config)) {
	s.t.Helper()
	if err := s.byVerb(verb, change...); err != nil {
		s.t.Fatalf("%s: %v", verb, err)
	}
}

// TestStaleConfig is D21: the host saves the settings that it has held in memory
// since before the operator's order. The order stands, also after a restart, and
// until the operator grants again.
func TestStaleConfig(t *testing.T) {
	for _, verb := range []string{"disable", "forget"} {
		t.Run(verb, func(t *testing.T) {
			s := newSite(t, granted)
			running := s.start()
			send(t, running)
			old, stale := running.ID().String(), s.read(s.config)
			s.mustVerb(verb)
			requests := len(s.collector.Requests())
			s.write(s.config, stale) // what the host had in memory
			if !strings.Contains(stale, old) {
				t.Fatalf("got config %s without the ID", stale)
			}

			s.log.reset()
			again := s.start()
			id := again.ID().String()
			if (id == old) != (verb == "disable") {
				t.Errorf("got ID %s after a restart, was %s", id, old)
			}
			for name, service := range map[string]*rollcall.Service{"running": running, "restarted": again} {
				d := service.Decisions(t.Context())
				wantDecision(t, name, d.Telemetry, rollcall.Denied, withdrawnBy("rollcall "+verb))
				if d.Telemetry.Setting != rollcall.Granted || time.Since(d.Telemetry.Source.Since) > time.Hour || d.Telemetry.Source.Name != s.denials() {
					t.Errorf("%s: got %+v", name, d.Telemetry)
				}
				for range 3 {
					if err := service.SendNow(t.Context()); !errors.Is(err, rollcall.ErrWithheld) {
						t.Errorf("%s: SendNow: got %v", name, err)
					}
				}
				wantDecision(t, name+", status", service.Status().Consent, rollcall.Denied, withdrawnBy("rollcall "+verb))
				contains(t, name+", withheld", service.Status().Reporting.Withheld, s.denials())
			}
			if n := len(s.collector.Requests()); n != requests {
				t.Errorf("%d requests after the order", n-requests)
			}
			if lines := strings.Count(s.log.String(), "although the settings grant it"); lines != 2 { // one for each process
				t.Errorf("got %d warnings:\n%s", lines, s.log)
			}

			s.mustVerb("enable")
			if _, err := os.Stat(s.denials()); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("the denial is still there: %v", err)
			}
			send(t, again)
			if got := s.lastHeartbeat().InstallationID; got != id {
				t.Errorf("got ID %s, want %s", got, id)
			}
		})
	}
}

// TestStaleID: an old copy of the config does not bring back an ID that was
// reset. Within a minute every process sends the new one, and the config gets it
// back at the next check.
func TestStaleID(t *testing.T) {
	inBubble(t, granted, func(t *testing.T, s *site) {
		running := s.start()
		send(t, running)
		old, stale := running.ID().String(), s.read(s.config)
		s.mustVerb("reset")
		s.write(s.config, stale)
		if err := running.SendNow(t.Context()); !errors.Is(err, rollcall.ErrWithheld) { // the process still has the old ID
			t.Errorf("got %v, want %v", err, rollcall.ErrWithheld)
		}
		time.Sleep(time.Minute)
		send(t, running)
		restarted := s.start()
		send(t, restarted)
		if running.ID().String() == old || restarted.ID() != running.ID() {
			t.Errorf("got IDs %v and %v, the old one was %s", running.ID(), restarted.ID(), old)
		}
		time.Sleep(2 * time.Hour)
		contains(t, "config", s.read(s.config), running.ID().String())
		for i, h := range s.collector.Heartbeats() {
			if (h.InstallationID == old) != (i == 0) {
				t.Errorf("heartbeat %d has ID %s, the old one was %s", i, h.InstallationID, old)
			}
		}
		contains(t, "log", s.log.String(), "INFO Stored installation ID was reset or forgotten, replacing it")
		if strings.Contains(s.read(s.beside(".retired-ids")), old) {
			t.Error("the old ID itself is on the disk")
		}
	})
}

// TestStaleHealth: the denial of health reports is of the same kind.
func TestStaleHealth(t *testing.T) {
	s := newSite(t, grantedBoth)
	service := s.start()
	stale := s.read(s.config)
	s.mustVerb("disable --health")
	s.write(s.config, stale)
	service.ReportFault(rollcall.Fault{Source: "log", Component: "disk", Reason: "full"})
	d := service.Decisions(t.Context())
	wantDecision(t, "telemetry", d.Telemetry, rollcall.Granted, enabledKey)
	wantDecision(t, "health", d.Health, rollcall.Denied, withdrawnBy("rollcall disable --health"))
	send(t, service)
	s.wantRequests(postHeartbeat)
	contains(t, "log", s.log.String(), `although the settings grant it consent=health reports since=`)
	s.mustVerb("enable") // which is another decision
	wantDecision(t, "health", service.Decisions(t.Context()).Health, rollcall.Denied, withdrawnBy("rollcall disable --health"))
	s.mustVerb("enable --health")
	wantDecision(t, "health", service.Decisions(t.Context()).Health, rollcall.Granted, "config key telemetry.health_enabled")
}

// TestHandEdit: after a denial through Rollcall, an edit of the config from false
// to true grants nothing. Removing the file that records the denial does.
func TestHandEdit(t *testing.T) {
	s := newSite(t, granted)
	s.mustVerb("disable")
	s.wantConfigButID(strings.Replace(granted, "true", "false", 1))
	s.write(s.config, granted)
	service := s.start()
	if err := service.SendNow(t.Context()); !errors.Is(err, rollcall.ErrWithheld) || !strings.Contains(err.Error(), s.denials()) {
		t.Errorf("got %v, want one that names the file", err)
	}
	if err := os.Remove(s.denials()); err != nil {
		t.Fatal(err)
	}
	send(t, service)
	// Where Rollcall never recorded a denial, the config alone decides.
	s.write(s.config, strings.Replace(granted, "true", "false", 1))
	wantDecision(t, "edited to false", service.Decisions(t.Context()).Telemetry, rollcall.Denied, enabledKey)
	s.write(s.config, granted)
	wantDecision(t, "edited to true", service.Decisions(t.Context()).Telemetry, rollcall.Granted, enabledKey)
}

// TestWithdrawalOnReadOnlyConfig: the operator's order is recorded although the
// config cannot be written, and holds after a restart.
func TestWithdrawalOnReadOnlyConfig(t *testing.T) {
	config := `{"telemetry": {"enabled": true, "installation_id": "` + knownID + `"}}` + "\n"
	for _, verb := range []string{"disable", "forget", "reset"} {
		for _, isolate := range []bool{false, true} {
			s := newSite(t, config)
			if err := os.Chmod(s.config, 0o444); err != nil {
				t.Fatal(err)
			}
			isolated := func(c *rollcall.Config) { c.Isolate = isolate }
			s.mustVerb(verb, isolated)
			s.wantConfig(config)
			service := s.start(isolated)
			state := service.Decisions(t.Context()).Telemetry.State
			if (state == rollcall.Denied) != (verb != "reset") || (service.ID().String() == knownID) != (verb == "disable") {
				t.Errorf("%s, isolate %v: got %v, ID %v", verb, isolate, state, service.ID())
			}
			if st := service.Status(); !st.Persisted {
				t.Errorf("%s, isolate %v: the ID is not persisted: %s", verb, isolate, st.Reason)
			}
			s.stop(service)
		}
	}
}

// TestWithdrawalWithoutConfig: hosts without a config have the record in their
// state directory.
func TestWithdrawalWithoutConfig(t *testing.T) {
	t.Run("state file", func(t *testing.T) {
		s := newSite(t, "")
		state := filepath.Join(s.dir, "state")
		inState := func(c *rollcall.Config) { c.ConfigPath, c.StateDir = "", state }
		s.mustVerb("enable", inState)
		service := s.start(inState)
		send(t, service)
		old := service.ID().String()
		consent := s.read(filepath.Join(state, "consent.json"))
		s.mustVerb("forget", inState)
		s.write(filepath.Join(state, "consent.json"), consent)
		s.write(filepath.Join(state, "installation-id"), old+"\n")
		again := s.start(inState)
		wantDecision(t, "decision", again.Decisions(t.Context()).Telemetry, rollcall.Denied, withdrawnBy("rollcall forget"))
		if again.ID().String() == old {
			t.Error("the forgotten ID is back")
		}
	})
	t.Run("the host decides", func(t *testing.T) {
		s := newSite(t, "")
		var host hostSettings
		answer := rollcall.Granted
		hosted := func(c *rollcall.Config) {
			host.use(c)
			c.StateDir = filepath.Join(s.dir, "state")
			c.Consent.Load = func(context.Context) (rollcall.Consents, error) { return rollcall.Consents{Telemetry: answer}, nil }
		}
		service := s.start(hosted)
		send(t, service)
		old := service.ID().String()
		s.mustVerb("forget", hosted)
		host.set(old) // the host saves what it had in memory
		again := s.start(hosted)
		wantDecision(t, "decision", again.Decisions(t.Context()).Telemetry, rollcall.Denied, withdrawnBy("rollcall forget"))
		if err := again.SendNow(t.Context()); !errors.Is(err, rollcall.ErrWithheld) || again.ID().String() == old {
			t.Errorf("got %v, ID %v, which was %s", err, again.ID(), old)
		}
		s.mustVerb("enable", hosted)
		send(t, again)
		s.mustVerb("disable", hosted)
		answer = rollcall.Denied
		if err := s.byVerb("enable", hosted); err == nil {
			t.Error("a grant succeeded that the host does not share")
		}
		answer = rollcall.Granted
		send(t, again) // since the operator granted
		s.wantRequests(postHeartbeat, "DELETE /v1/installations/"+old, postHeartbeat, postHeartbeat)
	})
}

// TestRetiredInEnvironment: a forgotten ID that the environment still has denies,
// with an error in the log.
func TestRetiredInEnvironment(t *testing.T) {
	s := newSite(t, `{"telemetry": {"enabled": true, "installation_id": "`+knownID+`"}}`)
	s.mustVerb("reset")
	t.Setenv(rollcall.DefaultIDVariable, knownID)
	service := s.start()
	const line = "ERROR Installation ID in the environment was reset or forgotten, telemetry is denied variable=ROLLCALL_INSTALLATION_ID"
	s.log.want(line, "INFO Telemetry service started enabled=false has_persistent_id=true")
	want := rollcall.Source{Kind: rollcall.SourceEnvironment, Name: rollcall.DefaultIDVariable, Problem: rollcall.ProblemRetired}
	if d := service.Decisions(t.Context()).Telemetry; d.State != rollcall.Denied || d.Source != want {
		t.Errorf("got %+v", d)
	}
	if err := service.SendNow(t.Context()); !errors.Is(err, rollcall.ErrWithheld) {
		t.Errorf("got %v", err)
	}
	s.wantRequests()
	// A verb, which starts nothing, says the same.
	if d := s.make().Decisions(t.Context()).Telemetry; d.State != rollcall.Denied || d.Source != want {
		t.Errorf("not started: got %+v", d)
	}
}

// TestWithdrawalsUnreadable: telemetry is denied, the ID is kept, and nothing is
// written.
func TestWithdrawalsUnreadable(t *testing.T) {
	for _, suffix := range []string{".telemetry-denied", ".retired-ids"} {
		t.Run(suffix, func(t *testing.T) {
			s := newSite(t, `{"telemetry": {"enabled": true, "installation_id": "`+knownID+`"}}`)
			s.stop(s.start()) // creates the anchor
			s.write(s.beside(suffix), "rubbish\n")
			before := s.files()
			s.log.reset()
			service := s.start()
			s.log.want("WARN Record of withdrawals cannot be read, telemetry is denied file="+s.beside(suffix),
				"INFO Telemetry service started enabled=false has_persistent_id=true")
			for range 3 {
				wantDecision(t, "decision", service.Decisions(t.Context()).Telemetry, rollcall.Denied,
					"the record of withdrawals could not be read: "+s.beside(suffix))
			}
			if service.ID().String() != knownID {
				t.Errorf("got ID %v", service.ID())
			}
			if err := service.SendNow(t.Context()); !errors.Is(err, rollcall.ErrWithheld) {
				t.Errorf("got %v", err)
			}
			s.stop(service)
			s.wantUntouched(before)
		})
	}
}

// TestForgetKilled: the denial is on disk before the collector deletes anything,
// so that a process that is killed meanwhile leaves nothing that reports. If the
// collector fails, what was before remains.
func TestForgetKilled(t *testing.T) {
	for _, denied := range []bool{false, true} {
		s := newSite(t, granted)
		service := s.start()
		id := service.ID()
		if denied {
			s.mustVerb("disable")
		}
		during := ""
		s.collector.Answer(func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method == http.MethodDelete {
				during = s.read(s.denials())
				w.WriteHeader(http.StatusServiceUnavailable)
			}
			return r.Method == http.MethodDelete
		})
		if err := s.byVerb("forget"); err == nil {
			t.Error("forgotten by a collector that fails")
		}
		if !strings.Contains(during, "denied_at") {
			t.Errorf("got %q as the denial while the collector was asked", during)
		}
		if state := service.Decisions(t.Context()).Telemetry.State; (state == rollcall.Denied) != denied || service.ID() != id {
			t.Errorf("denied before: %v: got %v, ID %v, was %v", denied, state, service.ID(), id)
		}
		if _, err := os.Stat(s.denials()); errors.Is(err, fs.ErrNotExist) == denied {
			t.Errorf("denied before: %v: got %v from the file", denied, err)
		}
	}
}

// TestDeniedWhileForgetting: if the same person denies telemetry during a deletion
// and the deletion fails, the denial stands.
func TestDeniedWhileForgetting(t *testing.T) {
	s := newSite(t, granted)
	service := s.start()
	stale := s.read(s.config)
	ctx := rollcall.OrderedBy(t.Context(), "page")
	s.collector.Answer(func(w http.ResponseWriter, r *http.Request) bool {
		if err := service.SetConsent(ctx, false); err != nil {
			t.Error(err)
		}
		w.WriteHeader(http.StatusServiceUnavailable)
		return true
	})
	if err := service.Forget(ctx); err == nil {
		t.Error("forgotten by a collector that fails")
	}
	s.write(s.config, stale) // what the host had in memory
	wantDecision(t, "at last", service.Decisions(t.Context()).Telemetry, rollcall.Denied, withdrawnBy("page"))
}

// TestDeniedWhileReportIsMade: an attempt reads the withdrawals after the report
// is made, which may take a while, and before it connects.
func TestDeniedWhileReportIsMade(t *testing.T) {
	for _, verb := range []string{"disable", "reset"} {
		inBubble(t, granted, func(t *testing.T, s *site) { // no disk is too slow for a fact here
			once := false
			service := s.start(func(c *rollcall.Config) {
				c.Facts = []rollcall.Fact{{Declaration: report.BoolFact("slow", "Takes its time."), Value: func(context.Context) (any, error) {
					if !once {
						once = true
						s.mustVerb(verb)
					}
					return true, nil
				}}}
			})
			if err := service.SendNow(t.Context()); !errors.Is(err, rollcall.ErrWithheld) {
				t.Errorf("%s: got %v, want %v", verb, err, rollcall.ErrWithheld)
			}
			s.wantRequests()
		})
	}
}

// TestUploadRetired: a report from before a reset is not uploaded here.
func TestUploadRetired(t *testing.T) {
	s := newSite(t, granted)
	service := s.start()
	exported := preview(t, service).Heartbeat
	s.mustVerb("reset")
	if err := service.Upload(t.Context(), exported); !errors.Is(err, rollcall.ErrWithheld) {
		t.Errorf("got %v, want %v", err, rollcall.ErrWithheld)
	}
	s.write(s.beside(".retired-ids"), "") // damaged
	if err := s.make().Upload(t.Context(), exported); !errors.Is(err, rollcall.ErrWithheld) {
		t.Errorf("damaged record: got %v, want %v", err, rollcall.ErrWithheld)
	}
	s.wantRequests()
}

// TestRetiredKeepsCounting: while a process waits for the new ID, its faults are
// not dropped: nobody denied anything.
func TestRetiredKeepsCounting(t *testing.T) {
	inBubble(t, grantedBoth, func(t *testing.T, s *site) {
		service := s.start()
		service.Decisions(t.Context())
		service.ReportFault(rollcall.Fault{Source: "log", Component: "disk", Reason: "full"})
		s.mustVerb("reset")
		service.Decisions(t.Context())
		time.Sleep(2 * time.Minute)
		send(t, service)
		if faults := s.lastHealth().Faults; len(faults) != 1 {
			t.Errorf("got %d faults, want 1", len(faults))
		}
	})
}

// TestWithdrawalAsJSON: what programs read in a status.
func TestWithdrawalAsJSON(t *testing.T) {
	s := newSite(t, granted)
	s.mustVerb("disable")
	source := s.make().Decisions(t.Context()).Telemetry.Source
	got, err := json.Marshal(source)
	if err != nil {
		t.Fatal(err)
	}
	name, _ := json.Marshal(s.denials())
	want := fmt.Sprintf(`{"kind":"withdrawal","name":%s,"since":"%s","by":"rollcall disable"}`, name, source.Since.Format(time.RFC3339))
	if string(got) != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if again := s.make().Decisions(t.Context()).Telemetry.Source; again != source {
		t.Errorf("got %+v, want the same as %+v", again, source)
	}
}
