package rollcall_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollcall-dev/rollcall"
	"github.com/rollcall-dev/rollcall/internal/test/faultfs"
	"github.com/rollcall-dev/rollcall/report"
)

// thisYear advances the clock of a bubble, which begins in 2000, to a time that
// the sender trusts.
func thisYear() { time.Sleep(time.Until(time.Date(2027, 3, 1, 15, 4, 5, 0, time.UTC))) }

// inBubble runs a test in a bubble. The collector is outside, so a request takes
// no time inside.
func inBubble(t *testing.T, config string, test func(t *testing.T, s *site)) {
	t.Helper()
	outside := newSite(t, config)
	synctest.Test(t, func(t *testing.T) {
		thisYear()
		s := *outside
		s.t = t
		s.log = &logbook{t: t, begin: time.Now()}
		test(t, &s)
	})
}

func (s *site) state() string {
	return filepath.Join(filepath.Dir(s.config), ".config.json.rollcall-state")
}

// TestSendOnceADay: at most one heartbeat a day over restarts, because the state
// of sending is kept next to the anchor.
func TestSendOnceADay(t *testing.T) {
	inBubble(t, granted, func(t *testing.T, s *site) {
		const days = 5
		for range days * 24 * 2 {
			service := s.start()
			time.Sleep(25 * time.Minute)
			s.stop(service)
			time.Sleep(5 * time.Minute)
		}
		if n := len(s.collector.Heartbeats()); n != days && n != days+1 {
			t.Errorf("got %d heartbeats in %d days", n, days)
		}
		ids := map[string]bool{}
		for _, h := range s.collector.Heartbeats() {
			ids[h.InstallationID] = true
		}
		if len(ids) != 1 {
			t.Errorf("got %d IDs", len(ids))
		}
		wantOneADay(t, s)

		state := s.read(s.state())
		if len(state) == 0 || len(state) > 1001 || wholeID.MatchString(state) {
			t.Errorf("got state %q", state)
		}
		parseObject(t, []byte(state))
		entries, err := os.ReadDir(filepath.Dir(s.config))
		if err != nil || len(entries) != 3 {
			t.Errorf("got files %v, %v, want config, anchor and state", entries, err)
		}
		s.wantConfigButID(granted)
	})
}

// wantOneADay checks that no day of the sender's clock has two heartbeats.
func wantOneADay(t *testing.T, s *site) {
	t.Helper()
	days := map[string]int{}
	for _, h := range s.collector.Heartbeats() {
		day := h.SentAt.Format(time.DateOnly)
		if days[day]++; days[day] > 1 {
			t.Errorf("%d heartbeats on %s", days[day], day)
		}
	}
}

// TestSendRestartedEveryMinute is N5 of docs/failures.md.
func TestSendRestartedEveryMinute(t *testing.T) {
	inBubble(t, "", func(t *testing.T, s *site) {
		disk := faultfs.New()
		disk.WriteFile(configPath, []byte(granted), 0o644)
		const days = 3
		for range days * 24 * 60 {
			service := s.start(func(c *rollcall.Config) { *c = c.On(disk); c.ConfigPath = configPath })
			time.Sleep(50 * time.Second)
			s.stop(service)
			time.Sleep(10 * time.Second)
			disk.ResetLog()
		}
		if n := len(s.collector.Heartbeats()); n < days-1 || n > days+1 {
			t.Errorf("got %d heartbeats in %d days", n, days)
		}
		wantOneADay(t, s)
	})
}

// TestSendIfDue: a program that does not run long reports once a day.
func TestSendIfDue(t *testing.T) {
	inBubble(t, granted, func(t *testing.T, s *site) {
		const days = 4
		for hour := range days * 24 {
			service := s.start()
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
			err := service.SendIfDue(ctx)
			cancel()
			if hour == 0 && err != nil {
				t.Errorf("first attempt: %v", err)
			}
			if err != nil && !errors.Is(err, rollcall.ErrNotDue) {
				t.Errorf("got %v, want %v", err, rollcall.ErrNotDue)
			}
			s.stop(service)
			time.Sleep(time.Hour)
		}
		if n := len(s.collector.Heartbeats()); n != days && n != days+1 {
			t.Errorf("got %d heartbeats in %d days", n, days)
		}
		wantOneADay(t, s)
	})
}

// TestSendIfDueBudget: it takes no longer than its caller allows.
func TestSendIfDueBudget(t *testing.T) {
	s := newSite(t, granted)
	service := s.start()
	s.hang("/v1/heartbeat")
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second) // enough to begin the request
	defer cancel()
	begin := time.Now()
	err := service.SendIfDue(ctx)
	if d := time.Since(begin); d > atOnce {
		t.Errorf("took %v", d)
	}
	if failure, ok := asSendError(err); !ok || failure.Status != 0 {
		t.Errorf("got %v", err)
	}
}

// TestSendErrors: each reason not to send has its own error, and no request is
// made.
func TestSendErrors(t *testing.T) {
	sends := map[string]func(*rollcall.Service, context.Context) error{
		"SendNow": (*rollcall.Service).SendNow, "SendIfDue": (*rollcall.Service).SendIfDue,
	}
	tests := []struct {
		name   string
		config string
		change func(*rollcall.Config)
		begun  bool
		want   error
	}{
		{"no endpoint", granted, func(c *rollcall.Config) { c.Endpoint = "" }, true, rollcall.ErrNoEndpoint},
		{"not granted", undecided, func(*rollcall.Config) {}, true, rollcall.ErrWithheld},
		{"not begun", granted, func(*rollcall.Config) {}, false, rollcall.ErrNoID},
	}
	for _, tt := range tests {
		for name, send := range sends {
			t.Run(tt.name+"/"+name, func(t *testing.T) {
				s := newSite(t, tt.config)
				service := s.make(tt.change)
				if tt.begun {
					if err := service.Start(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
				if err := send(service, t.Context()); !errors.Is(err, tt.want) {
					t.Errorf("got %v, want %v", err, tt.want)
				}
				s.wantRequests()
				if s.read(s.state()) != "" {
					t.Error("a state was written")
				}
			})
		}
	}
}

// TestSendReadOnly: a report says that its ID is in memory, nothing is written next
// to a read-only config, and without a state not every start sends.
func TestSendReadOnly(t *testing.T) {
	inBubble(t, granted, func(t *testing.T, s *site) {
		if err := os.Chmod(s.config, 0o444); err != nil {
			t.Fatal(err)
		}
		before := s.files()
		for range 20 {
			service := s.start()
			if err := service.SendIfDue(t.Context()); !errors.Is(err, rollcall.ErrNotKept) {
				t.Errorf("got %v, want %v", err, rollcall.ErrNotKept)
			}
			time.Sleep(10 * time.Minute)
			s.stop(service)
		}
		service := s.start()
		send(t, service)
		if h := s.lastHeartbeat(); h.IDPersistence != report.InMemory || h.InstallationID != service.ID().String() {
			t.Errorf("got %+v", h)
		}
		if st := service.Status(); st.Reporting.Kept || st.Reporting.LastSuccess.IsZero() {
			t.Errorf("got %+v", st.Reporting)
		}
		// Each start has another ID, and one in 144 hits the ten minutes in which
		// its ID reports. Four hits happen in one run of a million.
		if n := len(s.collector.Requests()); n > 5 {
			t.Errorf("got %d requests", n)
		}
		s.wantUntouched(before)
	})
}

// TestSendReadOnlyWithStateDir: with a state directory, a read-only config loses
// nothing.
func TestSendReadOnlyWithStateDir(t *testing.T) {
	s := newSite(t, granted)
	if err := os.Chmod(s.config, 0o444); err != nil {
		t.Fatal(err)
	}
	state := filepath.Join(s.dir, "state")
	apart := func(c *rollcall.Config) { c.StateDir = state }
	service := s.start(apart)
	if err := service.SendIfDue(t.Context()); err != nil {
		t.Fatal(err)
	}
	if h := s.lastHeartbeat(); h.IDPersistence != report.Persisted {
		t.Errorf("got %+v", h)
	}
	s.stop(service)
	if err := s.start(apart).SendIfDue(t.Context()); !errors.Is(err, rollcall.ErrNotDue) {
		t.Errorf("got %v, want %v", err, rollcall.ErrNotDue)
	}
	if s.read(filepath.Join(state, ".config.json.rollcall-state")) == "" {
		t.Error("no state there")
	}
	s.wantConfig(granted)
}

// TestSendNotWhileProvisional is the last part of D4: nothing is sent while a
// stored ID may still replace the one in use.
func TestSendNotWhileProvisional(t *testing.T) {
	inBubble(t, "", func(t *testing.T, s *site) {
		var host hostSettings
		host.set(knownID)
		answer := make(chan struct{})
		host.onLoad = func(context.Context) error { <-answer; return nil }
		service := s.start(host.use, func(c *rollcall.Config) {
			c.ConfigPath, c.StateDir = "", filepath.Join(s.dir, "state")
			c.Consent.Load = func(context.Context) (rollcall.Consents, error) {
				return rollcall.Consents{Telemetry: rollcall.Granted, Health: rollcall.Granted}, nil
			}
		})
		if st := service.Status(); !st.Provisional || st.Consent.State != rollcall.Granted || st.Reporting.Withheld != rollcall.ErrNoID.Error() {
			t.Errorf("got %+v", st)
		}
		for range 3 {
			time.Sleep(24 * time.Hour)
			for _, send := range []func(context.Context) error{service.SendNow, service.SendIfDue} {
				if err := send(t.Context()); !errors.Is(err, rollcall.ErrNoID) {
					t.Errorf("got %v, want %v", err, rollcall.ErrNoID)
				}
			}
			if err := service.Forget(t.Context()); !errors.Is(err, rollcall.ErrNoID) {
				t.Errorf("Forget: got %v, want %v", err, rollcall.ErrNoID)
			}
		}
		s.wantRequests()
		close(answer)
		time.Sleep(48 * time.Hour)
		if h := s.lastHeartbeat(); h.InstallationID != knownID {
			t.Errorf("got %+v, want the stored ID", h)
		}
		if len(s.collector.Heartbeats()) > 3 {
			t.Errorf("got %d heartbeats in two days", len(s.collector.Heartbeats()))
		}
		service.Stop(t.Context())
	})
}

// TestSendAfterGrant: a running service reports soon after a grant, and its status
// shows the result.
func TestSendAfterGrant(t *testing.T) {
	inBubble(t, undecided, func(t *testing.T, s *site) {
		service := s.start()
		time.Sleep(48 * time.Hour)
		s.wantRequests()
		st := service.Status()
		if r := st.Reporting; r.Withheld == "" || !r.NextDue.IsZero() || !r.LastAttempt.IsZero() || r.Endpoint != s.collector.URL {
			t.Errorf("before: got %+v", r)
		}
		if err := service.SetConsent(t.Context(), true); err != nil {
			t.Fatal(err)
		}
		time.Sleep(15 * time.Minute)
		s.wantRequests(postHeartbeat)
		r := service.Status().Reporting
		if r.Withheld != "" || time.Since(r.LastSuccess) > 15*time.Minute || !r.LastAttempt.Equal(r.LastSuccess) || r.LastError != "" || !r.Kept {
			t.Errorf("after: got %+v", r)
		}
		if in := time.Until(r.NextDue); in <= 0 || in > 48*time.Hour {
			t.Errorf("the next heartbeat is due in %v", in)
		}
		s.log.want("INFO Generated new anonymous installation ID *", "INFO Installation ID persisted to config attempt=1",
			"INFO Telemetry service started enabled=false has_persistent_id=true")
		if err := service.SetConsent(t.Context(), false); err != nil {
			t.Fatal(err)
		}
		time.Sleep(72 * time.Hour)
		s.wantRequests(postHeartbeat)
		if r := service.Status().Reporting; !r.NextDue.IsZero() {
			t.Errorf("denied, but the next heartbeat is due at %v", r.NextDue)
		}
		s.stop(service)
	})
}

// TestSendLog: a start with telemetry granted logs one INFO line, and failures to
// send are DEBUG.
func TestSendLog(t *testing.T) {
	inBubble(t, strings.Replace(granted, "{\"en", "{\"installation_id\": \""+knownID+"\", \"en", 1), func(t *testing.T, s *site) {
		service := s.start()
		want := []string{"INFO Telemetry service started enabled=true has_persistent_id=true", reportingIsOn(s)}
		s.log.want(want...)
		s.collector.Answer(func(w http.ResponseWriter, _ *http.Request) bool {
			w.WriteHeader(http.StatusInternalServerError)
			return true
		})
		err := service.SendNow(t.Context())
		failure, ok := asSendError(err)
		if !ok || failure.Status != http.StatusInternalServerError {
			t.Errorf("got %v", err)
		}
		time.Sleep(7 * 24 * time.Hour)
		s.log.want(want...)
		debug := 0
		for _, line := range s.log.lines {
			if line.level == slog.LevelDebug && strings.Contains(line.text, "500") {
				debug++
			}
		}
		if requests := len(s.collector.Requests()); debug != requests-1 || requests < 5 || requests > 1+4*8 {
			t.Errorf("got %d lines at DEBUG for %d requests", debug, requests)
		}
		r := service.Status().Reporting
		if r.LastError != "the collector answered 500 (internal server error)" || !r.LastSuccess.IsZero() || r.LastAttempt.IsZero() || r.NextDue.IsZero() {
			t.Errorf("got %+v", r)
		}
		s.stop(service)

		s.log.reset()
		again := s.start()
		s.log.want(want...)
		time.Sleep(time.Minute)
		if r := again.Status().Reporting; r.LastError == "" || r.LastAttempt.IsZero() {
			t.Errorf("after a restart: got %+v", r)
		}
		s.stop(again)
	})
}

// TestSendStop is N8: Stop cancels a report at once and leaves nothing running.
func TestSendStop(t *testing.T) {
	cases := map[string]func(*testing.T, *site, *rollcall.Service){
		"first delay": func(*testing.T, *site, *rollcall.Service) {},
		"request": func(t *testing.T, s *site, service *rollcall.Service) {
			begun, _ := s.hang("/v1/heartbeat")
			go service.SendNow(t.Context())
			within(t, someTime, "the request", begun)
		},
		"health report": func(t *testing.T, s *site, service *rollcall.Service) {
			service.ReportFault(diskFull)
			begun, _ := s.hang("/v1/health")
			go service.SendNow(t.Context())
			within(t, someTime, "the request", begun)
		},
		"waiting for the next attempt": func(t *testing.T, s *site, service *rollcall.Service) {
			s.collector.Answer(func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(503); return true })
			if service.SendNow(t.Context()) == nil {
				t.Error("accepted")
			}
		},
	}
	for name, do := range cases {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, grantedBoth)
			before := runtime.NumGoroutine()
			service := s.start(allFacts)
			do(t, s, service)
			s.stop(service)
			requests := len(s.collector.Requests())
			for _, send := range []func(context.Context) error{service.SendNow, service.SendIfDue, service.Forget} {
				if err := send(t.Context()); err == nil {
					t.Error("sent after Stop")
				}
			}
			if n := len(s.collector.Requests()); n != requests {
				t.Errorf("%d requests after Stop", n-requests)
			}
			s.collector.Close()
			wantGoroutines(t, before)
		})
	}
}

// wantGoroutines waits for goroutines to end, including those of the test server.
func wantGoroutines(t *testing.T, want int) {
	t.Helper()
	for range 1000 {
		if runtime.NumGoroutine() <= want {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	buf := make([]byte, 1<<16)
	t.Errorf("%d goroutines, want %d:\n%s", runtime.NumGoroutine(), want, buf[:runtime.Stack(buf, true)])
}

// TestSendRun: Run reports as Start and Stop do.
func TestSendRun(t *testing.T) {
	inBubble(t, granted, func(t *testing.T, s *site) {
		service := s.make()
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- service.Run(ctx) }()
		time.Sleep(10 * time.Minute)
		s.wantRequests(postHeartbeat)
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		time.Sleep(72 * time.Hour)
		s.wantRequests(postHeartbeat)
	})
}

// TestForget: the collector deletes, then telemetry is denied and a new ID
// replaces the old one.
func TestForget(t *testing.T) {
	s := newSite(t, granted)
	service := s.start()
	send(t, service)
	id := service.ID()
	s.collector.Answer(func(w http.ResponseWriter, r *http.Request) bool {
		w.WriteHeader(http.StatusServiceUnavailable)
		return r.Method == http.MethodDelete
	})
	err := service.Forget(t.Context())
	if failure, ok := asSendError(err); !ok || failure.Status != http.StatusServiceUnavailable {
		t.Errorf("got %v", err)
	}
	if service.ID() != id || service.Decisions(t.Context()).Telemetry.State != rollcall.Granted {
		t.Error("the collector failed, and something changed here")
	}
	s.collector.Answer(nil)
	send(t, service)

	if err := service.Forget(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := s.collector.Forgotten(); !slices.Equal(got, []string{id.String()}) {
		t.Errorf("forgotten: got %v, want %v", got, id)
	}
	wantDecision(t, "decision", service.Decisions(t.Context()).Telemetry, rollcall.Denied, withdrawnBy("library"))
	if now := service.ID(); now == id || now.IsZero() || !strings.Contains(s.read(s.config), now.String()) {
		t.Errorf("got ID %v after %v, in the config\n%s", now, id, s.read(s.config))
	}
	for _, path := range []string{s.config, filepath.Join(filepath.Dir(s.config), ".config.json.installation-id"), s.state()} {
		if strings.Contains(s.read(path), id.String()) {
			t.Errorf("the old ID is still in %s", path)
		}
	}
	s.wantConfigButID(strings.Replace(granted, "true", "false", 1))
	if err := service.SendNow(t.Context()); !errors.Is(err, rollcall.ErrWithheld) {
		t.Errorf("got %v", err)
	}
}

// TestForgetEndsReports: a report in progress ends before the deletion is
// requested, so it cannot undo it.
func TestForgetEndsReports(t *testing.T) {
	s := newSite(t, granted)
	service := s.start()
	begun, gone := make(chan struct{}, 1), make(chan struct{})
	s.collector.Answer(func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodDelete {
			select {
			case <-gone:
			case <-time.After(atOnce):
				t.Error("the heartbeat is still in progress")
			}
			return false
		}
		begun <- struct{}{}
		<-r.Context().Done()
		close(gone)
		return true
	})
	go service.SendNow(t.Context())
	within(t, someTime, "the heartbeat", begun)
	if err := service.Forget(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestForgetNotStarted: Forget needs neither Start nor consent, as in the verb.
func TestForgetNotStarted(t *testing.T) {
	s := newSite(t, `{"telemetry": {"enabled": false, "installation_id": "`+knownID+`"}}`)
	if err := s.make().Forget(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.wantRequests("DELETE /v1/installations/" + knownID)
	if strings.Contains(s.read(s.config), knownID) {
		t.Errorf("got config %s", s.read(s.config))
	}
}

// TestForgetFails: a step that fails is an error, and the steps before it stand.
func TestForgetFails(t *testing.T) {
	t.Run("no ID", func(t *testing.T) {
		s := newSite(t, undecided)
		if err := s.make().Forget(t.Context()); err == nil {
			t.Error("got no error")
		}
		s.wantRequests()
		s.wantConfig(undecided)
	})
	t.Run("ID from the environment", func(t *testing.T) {
		s := newSite(t, granted)
		t.Setenv(rollcall.DefaultIDVariable, knownID)
		service := s.start()
		err := service.Forget(t.Context())
		contains(t, "error", fmt.Sprint(err), "the collector has forgotten")
		contains(t, "error", fmt.Sprint(err), rollcall.DefaultIDVariable)
		wantDecision(t, "decision", service.Decisions(t.Context()).Telemetry, rollcall.Denied,
			"the installation ID was reset or forgotten: "+rollcall.DefaultIDVariable)
	})
	t.Run("read-only config", func(t *testing.T) {
		s := newSite(t, strings.Replace(granted, "{\"en", "{\"installation_id\": \""+knownID+"\", \"en", 1))
		if err := os.Chmod(s.config, 0o444); err != nil {
			t.Fatal(err)
		}
		service := s.start()
		if err := service.Forget(t.Context()); err != nil {
			t.Error(err)
		}
		if id := service.ID().String(); id == knownID || !strings.Contains(s.read(filepath.Join(filepath.Dir(s.config), ".config.json.installation-id")), id) {
			t.Errorf("got ID %s, which is not in the anchor", id)
		}
		if err := service.SendNow(t.Context()); !errors.Is(err, rollcall.ErrWithheld) {
			t.Errorf("got %v: forgotten, and sent under the same ID", err)
		}
	})
	t.Run("the host decides", func(t *testing.T) {
		s := newSite(t, "")
		var host hostSettings
		service := s.start(host.use, func(c *rollcall.Config) {
			c.ConfigPath, c.StateDir = "", filepath.Join(s.dir, "state")
			c.Consent.Load = func(context.Context) (rollcall.Consents, error) {
				return rollcall.Consents{Telemetry: rollcall.Granted, Health: rollcall.Unset}, nil
			}
		})
		send(t, service)
		id := service.ID()
		if err := service.Forget(t.Context()); err != nil {
			t.Error(err)
		}
		if err := service.SendNow(t.Context()); !errors.Is(err, rollcall.ErrWithheld) {
			t.Errorf("got %v", err)
		}
		if host.stored() == id.String() || service.ID() == id {
			t.Error("the ID is still the same")
		}
		s.wantRequests(postHeartbeat, "DELETE /v1/installations/"+id.String())
	})
}

// TestUpload: a report exported on a machine without a network is sent unchanged
// from another one, whatever its consent.
func TestUpload(t *testing.T) {
	here := newSite(t, granted)
	offline := here.start(allFacts, func(c *rollcall.Config) { c.Endpoint = "" })
	exported := preview(t, offline).Heartbeat

	there := newSite(t, `{"telemetry": {"enabled": false}}`)
	before := there.files()
	service := there.make()
	if err := service.Upload(t.Context(), exported); err != nil {
		t.Fatal(err)
	}
	there.wantRequests(postHeartbeat)
	if got := there.collector.Requests()[0].Body; string(got) != string(exported) {
		t.Errorf("got\n%s\nwant\n%s", got, exported)
	}
	for _, rubbish := range []string{"", "{}", "rubbish", string(exported[:50]), strings.Repeat(" ", report.MaxBodyBytes) + string(exported)} {
		if err := service.Upload(t.Context(), []byte(rubbish)); err == nil {
			t.Errorf("uploaded %.20q", rubbish)
		}
	}
	there.wantRequests(postHeartbeat)
	there.wantUntouched(before)
	if err := offline.Upload(t.Context(), exported); !errors.Is(err, rollcall.ErrNoEndpoint) {
		t.Errorf("got %v, want %v", err, rollcall.ErrNoEndpoint)
	}
	there.collector.Answer(func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(http.StatusConflict); return true })
	if failure, ok := asSendError(service.Upload(t.Context(), exported)); !ok || failure.Status != http.StatusConflict {
		t.Errorf("got %v", failure)
	}
}

// TestSendIsolated: reporting is the same with the file work in child processes.
func TestSendIsolated(t *testing.T) {
	isolated := func(c *rollcall.Config) { c.Isolate = true }
	t.Run("config", func(t *testing.T) { testIsolated(t, isolated, nil) })
	t.Run("state file", func(t *testing.T) {
		testIsolated(t, isolated, func(s *site) func(*rollcall.Config) {
			return func(c *rollcall.Config) { c.ConfigPath, c.StateDir = "", filepath.Join(s.dir, "state") }
		})
	})
}

func testIsolated(t *testing.T, isolated func(*rollcall.Config), place func(*site) func(*rollcall.Config)) {
	s := newSite(t, "")
	where := func(*rollcall.Config) {}
	if place != nil {
		where = place(s)
	}
	service := s.start(isolated, where)
	if err := service.SendIfDue(t.Context()); !errors.Is(err, rollcall.ErrWithheld) {
		t.Errorf("got %v, want %v", err, rollcall.ErrWithheld)
	}
	for _, set := range []func(context.Context, bool) error{service.SetConsent, service.SetHealthConsent} {
		if err := set(t.Context(), true); err != nil {
			t.Fatal(err)
		}
	}
	service.ReportFault(diskFull)
	if err := service.SendIfDue(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.wantRequests(postHeartbeat, postHealth)
	if h := s.lastHeartbeat(); h.IDPersistence != report.Persisted {
		t.Errorf("got %+v", h)
	}
	s.stop(service)

	s.log.reset()
	service = s.start(isolated, where)
	s.log.want("INFO Telemetry service started enabled=true has_persistent_id=true", reportingIsOn(s))
	if err := service.SendIfDue(t.Context()); !errors.Is(err, rollcall.ErrNotDue) {
		t.Errorf("got %v, want %v", err, rollcall.ErrNotDue)
	}
	s.write(s.policy, `{"telemetry": {"enabled": false}}`)
	wantDecision(t, "policy", service.Decisions(t.Context()).Telemetry, rollcall.Denied, "policy file "+s.policy)
	s.write(s.policy, "{")
	wantDecision(t, "torn policy", service.Decisions(t.Context()).Telemetry, rollcall.Denied, "the policy file could not be read: "+s.policy)
	os.Remove(s.policy)

	begun, gone := s.hang("/v1/heartbeat")
	go service.SendNow(t.Context())
	within(t, someTime, "the request", begun)
	if err := service.SetConsent(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	within(t, atOnce, "the end of the request", gone)
	s.collector.Answer(nil)
	id := service.ID()
	if err := service.Forget(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := s.collector.Forgotten(); !slices.Equal(got, []string{id.String()}) || service.ID() == id {
		t.Errorf("forgotten: got %v, ID %v", got, service.ID())
	}
}
