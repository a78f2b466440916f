package rollcall_test

import (
	"context"
	"errors"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollcall-dev/rollcall"
	"github.com/rollcall-dev/rollcall/rollcalltest"
)

// consentSettings are the settings of a host that keeps the consent.
type consentSettings struct {
	mu       sync.Mutex
	consents rollcall.Consents
	err      error // of load and save
	loads    int
}

func (s *consentSettings) load(context.Context) (rollcall.Consents, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.loads++
	return s.consents, s.err
}

func (s *consentSettings) save(_ context.Context, c rollcall.Consents) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return s.err
	}
	s.consents = c
	return nil
}

func (s *consentSettings) set(telemetry, health rollcall.Consent) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.consents = rollcall.Consents{Telemetry: telemetry, Health: health}
}

// fail makes load and save fail, until it is called with nil.
func (s *consentSettings) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

func (s *consentSettings) loaded() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.loads
}

func (s *consentSettings) want(t *testing.T, telemetry, health rollcall.Consent) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if got, want := s.consents, (rollcall.Consents{Telemetry: telemetry, Health: health}); got != want {
		t.Errorf("the host keeps %+v, want %+v", got, want)
	}
}

// readOnly uses the settings without a function that saves.
func (s *consentSettings) readOnly(c *rollcall.Config) {
	c.Consent.Load, c.Consent.Where = s.load, "Settings > Privacy"
}

func (s *consentSettings) use(c *rollcall.Config) {
	s.readOnly(c)
	c.Consent.Save = s.save
}

// nowhere keeps the ID in the host's settings, and leaves no place for records.
func nowhere(c *rollcall.Config) {
	var memory rollcalltest.Memory
	c.ConfigPath, c.ID.Load, c.ID.Save = "", memory.Load, memory.Save
}

// TestHostSavesConsent: the host's settings hold every decision, wherever the
// ID is kept, and a config gets no switch that does nothing.
func TestHostSavesConsent(t *testing.T) {
	inState := func(c *rollcall.Config) { c.ConfigPath, c.StateDir = "", t.TempDir() }
	for name, place := range map[string]func(*rollcall.Config){
		"ID in the config": func(*rollcall.Config) {}, "ID in a state file": inState, "ID in the host's settings": nowhere,
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, "")
			var host consentSettings
			service := s.start(place, host.use)
			if name == "ID in the config" {
				if text := s.read(s.config); strings.Contains(text, "enabled") {
					t.Errorf("got config %s", text)
				}
			}
			wantDecision(t, "at first", service.Status().Consent, rollcall.Unset, "not decided")
			steps := []struct {
				set               func(context.Context, bool) error
				granted           bool
				telemetry, health rollcall.Consent
			}{
				{service.SetConsent, true, rollcall.Granted, rollcall.Unset},
				{service.SetHealthConsent, true, rollcall.Granted, rollcall.Granted},
				{service.SetConsent, false, rollcall.Denied, rollcall.Granted},
				{service.SetConsent, true, rollcall.Granted, rollcall.Granted},
				{service.SetHealthConsent, false, rollcall.Granted, rollcall.Denied},
			}
			for _, step := range steps {
				if err := step.set(t.Context(), step.granted); err != nil {
					t.Fatal(err)
				}
				host.want(t, step.telemetry, step.health)
			}
			send(t, service)
			s.wantRequests(postHeartbeat)
			d := service.Decisions(t.Context())
			wantDecision(t, "at last", d.Telemetry, rollcall.Granted, "the host's settings: Settings > Privacy")
			if d.Telemetry.CannotGrant || d.Telemetry.CannotDeny || d.Telemetry.Where != "" {
				t.Errorf("got %+v, though the host saves what Rollcall is told", d.Telemetry)
			}
		})
	}
}

// TestHostConsentIsolated: a child process keeps the ID in a config without a
// switch, and the host's functions decide.
func TestHostConsentIsolated(t *testing.T) {
	s := newSite(t, "")
	var host consentSettings
	service := s.start(host.use, func(c *rollcall.Config) { c.Isolate = true })
	if err := service.SetConsent(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	send(t, service)
	if err := service.SetConsent(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	host.set(rollcall.Granted, rollcall.Unset)
	wantDecision(t, "after the denial", service.ConsentChanged(t.Context()).Telemetry, rollcall.Denied, withdrawnBy("library"))
	if text := s.read(s.config); strings.Contains(text, "enabled") || !strings.Contains(text, service.ID().String()) {
		t.Errorf("got config %s", text)
	}
}

// TestHostConsentBeforeID: with AfterConsent, the ID in the config waits for the
// host's settings.
func TestHostConsentBeforeID(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, hostConfig)
		var host consentSettings
		service := r.start(afterConsent, host.readOnly)
		time.Sleep(time.Hour)
		r.wantState(service, "", false)
		host.set(rollcall.Granted, rollcall.Unset)
		time.Sleep(2 * time.Minute)
		r.wantPersisted(service, service.ID().String())
		r.stop(service)
	})
}

// TestHostCannotSave: a grant that is not saved grants nothing, and a denial
// holds in this process.
func TestHostCannotSave(t *testing.T) {
	s := newSite(t, "")
	var host consentSettings
	service := s.start(nowhere, host.use)
	host.set(rollcall.Granted, rollcall.Granted)
	locked := errors.New("database is locked")
	host.fail(locked)
	for _, granted := range []bool{true, false} {
		if err := service.SetConsent(t.Context(), granted); !errors.Is(err, locked) {
			t.Errorf("SetConsent(%v): got %v", granted, err)
		}
	}
	host.fail(nil)
	wantDecision(t, "after the failure", service.Decisions(t.Context()).Telemetry, rollcall.Denied, "denied in this process*")
	if err := service.SetConsent(t.Context(), true); err != nil {
		t.Error(err)
	}
	send(t, service)
}

// TestHostDeniesUnread: a denial is saved although the settings cannot be read.
func TestHostDeniesUnread(t *testing.T) {
	s := newSite(t, "")
	var host consentSettings
	host.set(rollcall.Granted, rollcall.Granted)
	unreadable := errors.New("cannot be parsed")
	service := s.start(nowhere, host.use, func(c *rollcall.Config) {
		c.Consent.Load = func(context.Context) (rollcall.Consents, error) { return rollcall.Consents{}, unreadable }
	})
	if err := service.SetConsent(t.Context(), true); !errors.Is(err, unreadable) {
		t.Errorf("grant: got %v, though what else would be saved is not known", err)
	}
	if err := service.SetConsent(t.Context(), false); err != nil {
		t.Error(err)
	}
	denied := rollcall.Consents{Telemetry: rollcall.Denied, Health: rollcall.Denied, UpdateCheck: rollcall.Denied}
	if got, err := host.load(t.Context()); got != denied || err != nil {
		t.Errorf("the host keeps %+v, %v, want %+v", got, err, denied)
	}
}

// TestHostOnlyReads: the error and the decision say where the setting is, and
// what cannot work is marked.
func TestHostOnlyReads(t *testing.T) {
	for name, tt := range map[string]struct {
		place               func(*rollcall.Config)
		setting             rollcall.Consent
		canGrant, canRefuse bool
	}{
		"undecided":                   {func(*rollcall.Config) {}, rollcall.Unset, false, true},
		"granted":                     {func(*rollcall.Config) {}, rollcall.Granted, true, true},
		"denied":                      {func(*rollcall.Config) {}, rollcall.Denied, false, true},
		"granted, nothing recorded":   {nowhere, rollcall.Granted, true, false},
		"undecided, nothing recorded": {nowhere, rollcall.Unset, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, "{}")
			var host consentSettings
			host.set(tt.setting, rollcall.Unset)
			service := s.start(tt.place, host.readOnly)
			d := service.Decisions(t.Context()).Telemetry
			if d.CannotGrant == tt.canGrant || d.CannotDeny == tt.canRefuse || d.Where != "Settings > Privacy" {
				t.Errorf("got %+v", d)
			}
			for granted, can := range map[bool]bool{true: tt.canGrant, false: tt.canRefuse} {
				err := service.SetConsent(t.Context(), granted)
				if can != (err == nil) || !can && (!errors.Is(err, rollcall.ErrHostDecides) || !strings.HasSuffix(err.Error(), "Settings > Privacy")) {
					t.Errorf("SetConsent(%v): got %v", granted, err)
				}
			}
			if answer, err := service.AskConsent(t.Context(), rollcall.AskOptions{}); err != nil || answer == rollcall.Granted && !tt.canGrant {
				t.Errorf("AskConsent: got %v, %v", answer, err)
			}
		})
	}
}

// TestConsentChanged: what the host changes in its settings holds at once: a
// report under way ends, the status follows, and faults count from then on.
func TestConsentChanged(t *testing.T) {
	s := newSite(t, "{}")
	var host consentSettings
	service := s.start(host.readOnly)
	service.ReportFault(diskFull)
	host.set(rollcall.Granted, rollcall.Granted)
	if d := service.ConsentChanged(t.Context()); d.Telemetry.State != rollcall.Granted || service.Status().Consent.State != rollcall.Granted {
		t.Errorf("got %+v, and status %+v", d.Telemetry, service.Status().Consent)
	}
	service.ReportFault(diskFull)
	send(t, service)
	s.wantRequests(postHeartbeat, "POST /v1/health")
	if faults := s.lastHealth().Faults; len(faults) != 1 || faults[0].Count != 1 {
		t.Errorf("got %+v, want the one fault since the grant", faults)
	}

	release := make(chan struct{})
	defer close(release)
	s.collector.Answer(func(http.ResponseWriter, *http.Request) bool {
		<-release
		return false
	})
	arrived, sent := s.collector.Arrived(), make(chan error, 1)
	go func() { sent <- service.SendNow(t.Context()) }()
	<-arrived
	host.set(rollcall.Denied, rollcall.Unset)
	if d := service.ConsentChanged(t.Context()); d.Telemetry.State != rollcall.Denied {
		t.Errorf("got %+v", d.Telemetry)
	}
	if err := <-sent; err == nil {
		t.Error("the report under way was sent in spite of the denial")
	}
}

// TestConsentChangedWithdrawn: a host's own switch does not end a denial that
// was made through Rollcall; SetConsent does.
func TestConsentChangedWithdrawn(t *testing.T) {
	s := newSite(t, "{}")
	var host consentSettings
	host.set(rollcall.Granted, rollcall.Unset)
	service := s.start(host.use)
	if err := service.SetConsent(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	host.set(rollcall.Granted, rollcall.Unset)
	if d := service.ConsentChanged(t.Context()).Telemetry; d.State != rollcall.Denied || d.Setting != rollcall.Granted {
		t.Errorf("got %+v", d)
	}
	if got := filepath.Base(service.ConsentChanged(t.Context()).Telemetry.Source.Name); got != ".config.json.telemetry-denied" {
		t.Errorf("recorded in %s", got)
	}
	if err := service.SetConsent(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	send(t, service)
}

// TestConsentChangedWakes: the first report after a grant in the host's settings
// does not wait for the next check.
func TestConsentChangedWakes(t *testing.T) {
	for _, variable := range consentVariables {
		t.Setenv(variable, "")
	}
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "{}")
		var host consentSettings
		service := r.start(host.readOnly, func(c *rollcall.Config) {
			c.App, c.Endpoint, c.Version, c.Reporting.Development = "my-app", "https://collector.example", "v1.2.3", true
		})
		time.Sleep(10 * time.Minute)
		host.set(rollcall.Granted, rollcall.Unset)
		service.ConsentChanged(t.Context())
		before := host.loaded()
		time.Sleep(2 * time.Second)
		if host.loaded() == before {
			t.Error("two seconds after the grant nobody asked whether a report is due")
		}
	})
}

// TestConsentChangedWithoutService does nothing.
func TestConsentChangedWithoutService(t *testing.T) {
	var service *rollcall.Service
	if d := service.ConsentChanged(t.Context()); d.Telemetry.State != rollcall.Unset {
		t.Errorf("got %+v", d)
	}
	if err := service.SetConsent(t.Context(), true); !errors.Is(err, rollcall.ErrNoService) {
		t.Errorf("got %v", err)
	}
}

// TestHostSavesConsentsAtOnce: the host keeps two concurrent decisions.
func TestHostSavesConsentsAtOnce(t *testing.T) {
	service, host := newSite(t, ""), new(consentSettings)
	running := service.start(nowhere, host.use)
	rounds := 300
	if testing.Short() {
		rounds = 20
	}
	for range rounds {
		host.set(rollcall.Granted, rollcall.Granted)
		var both sync.WaitGroup
		for _, deny := range []func(context.Context, bool) error{running.SetHealthConsent, running.SetConsent} {
			both.Go(func() {
				if err := deny(t.Context(), false); err != nil {
					t.Error(err)
				}
			})
		}
		both.Wait()
		if host.want(t, rollcall.Denied, rollcall.Denied); t.Failed() {
			return
		}
	}
}

// TestForgetKeepsDenial: a failed deletion does not end an unsaved denial.
func TestForgetKeepsDenial(t *testing.T) {
	s := newSite(t, "")
	var host consentSettings
	host.set(rollcall.Granted, rollcall.Unset)
	service := s.start(nowhere, host.readOnly)
	if err := service.SetConsent(t.Context(), false); !errors.Is(err, rollcall.ErrHostDecides) {
		t.Fatalf("got %v", err)
	}
	s.collector.Answer(func(w http.ResponseWriter, _ *http.Request) bool {
		w.WriteHeader(http.StatusServiceUnavailable)
		return true
	})
	if err := service.Forget(t.Context()); err == nil {
		t.Fatal("forgotten by a collector that fails")
	}
	wantDecision(t, "after the deletion failed", service.Decisions(t.Context()).Telemetry, rollcall.Denied, "denied in this process; that could not be saved")
}
