package rollcall_test

import (
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollcall-dev/rollcall"
	"github.com/rollcall-dev/rollcall/internal/test/faultfs"
)

// callAll calls every method of a service with a canceled context and zero
// arguments. None panics.
func callAll(t *testing.T, service *rollcall.Service) {
	t.Helper()
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	v := reflect.ValueOf(service)
	for i := range v.NumMethod() {
		method := v.Type().Method(i)
		var args []reflect.Value
		for n := 1; n < method.Type.NumIn() && !(method.Type.IsVariadic() && n == method.Type.NumIn()-1); n++ {
			switch in := method.Type.In(n); in {
			case reflect.TypeFor[context.Context]():
				args = append(args, reflect.ValueOf(canceled))
			default:
				args = append(args, reflect.Zero(in))
			}
		}
		func() {
			defer func() {
				if p := recover(); p != nil {
					t.Errorf("%s panicked: %v", method.Name, p)
				}
			}()
			v.Method(i).Call(args)
		}()
	}
}

// TestNilService: a host can use a service that New failed to return.
func TestNilService(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var service *rollcall.Service
		callAll(t, service)
		if err := errors.Join(service.Start(t.Context()), service.WaitSettled(t.Context()), service.Stop(t.Context())); err != nil {
			t.Error(err)
		}
		if st := service.Status(); !service.ID().IsZero() || st.Persisted || st.Consent.State != rollcall.Unset {
			t.Errorf("got %+v", st)
		}
		if _, err := service.Reset(t.Context()); err == nil {
			t.Error("Reset: got no error")
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		begin := time.Now()
		if err := service.Run(ctx); err != nil || time.Since(begin) != time.Minute {
			t.Errorf("Run: got %v after %v", err, time.Since(begin))
		}
	})
}

// TestEveryMethodAnyTime calls every method before the start, after it, and
// after the stop.
func TestEveryMethodAnyTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, hostConfig)
		callAll(t, r.make())
		service := r.start()
		callAll(t, service)
		r.stop(service)
		callAll(t, service)
	})
}

func TestBeforeStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, withID(knownID))
		service := r.make()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := service.WaitSettled(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("WaitSettled: got error %v", err)
		}
		if st := service.Status(); !service.ID().IsZero() || st.Settled || st.Persisted || st.Consent.State != rollcall.Unset {
			t.Errorf("got %+v", st)
		}
		r.stop(service)
		if err := service.Start(t.Context()); !errors.Is(err, rollcall.ErrStopped) {
			t.Errorf("Start after Stop: got error %v", err)
		}
		if ops := r.fs.Log(); len(ops) > 0 || !service.ID().IsZero() {
			t.Errorf("started all the same: %v", ops)
		}
	})
}

// TestFirstStart: the ID is persisted, and a config that did not exist denies.
func TestFirstStart(t *testing.T) {
	for name, config := range map[string]string{"config": hostConfig, "no config": ""} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, config)
				service := r.start()
				r.log.wantTimed(in(0, generated(service.ID())), in(0, persisted(1)), in(0, started(true)))
				r.wantPersisted(service, service.ID().String())
				r.wantFiles(anchorPath, configPath)
				if st := service.Status(); st.Consent.State != rollcall.Denied || st.Consent.Source.String() != "config key telemetry.enabled" {
					t.Errorf("got consent %v by %q", st.Consent, st.Consent.Source.String())
				}
				if err := service.Start(t.Context()); err == nil {
					t.Error("second Start: got no error")
				}
				r.stop(service)

				r.log.reset()
				r.fs.ResetLog()
				r.wantState(r.start(), service.ID().String(), true)
				r.log.want(started(true))
				r.wantNoMutation()
			})
		})
	}
}

// TestHungDisk: on a disk that hangs, the service starts within its limits and
// denies consent.
func TestHungDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, hostConfig)
		r.fs.Inject(faultfs.Rule{Op: faultfs.OpOpen, Hang: true})
		service := r.start()
		r.log.wantTimed(
			in(5*time.Second, timedOut(1)),
			in(11*time.Second, timedOut(2)),
			in(18*time.Second, timedOut(3)),
			in(18*time.Second, generated(service.ID())),
			in(18*time.Second, inMemory(service.ID(), "read installation ID: *timed out*")),
			in(18*time.Second, started(false)),
		)
		if st := service.Status(); st.Consent.State != rollcall.Denied || st.Consent.Source.String() != "the config could not be read" {
			t.Errorf("got consent %v by %q", st.Consent, st.Consent.Source.String())
		}
	})
}

// TestStartLimit: the limits of the config are those of the start.
func TestStartLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, hostConfig)
		r.fs.Inject(faultfs.Rule{Op: faultfs.OpSync, Hang: true})
		service := r.start(func(c *rollcall.Config) { c.Limits.StartTimeout = 3 * time.Second })
		r.log.wantTimed(
			in(0, generated(service.ID())),
			in(3*time.Second, "ERROR Installation ID generation timed out - using in-memory ID timeout=3s"),
			in(3*time.Second, started(false)),
		)
	})
}

func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, hostConfig)
		service := r.make()
		ctx, cancel := context.WithCancel(t.Context())
		ran := make(chan error)
		go func() { ran <- service.Run(ctx) }()
		time.Sleep(time.Hour + 30*time.Second) // between two looks at the disk, which would get a moment to end
		r.wantPersisted(service, service.ID().String())
		if err := service.Run(ctx); !errors.Is(err, rollcall.ErrStarted) {
			t.Errorf("second Run: got error %v", err)
		}
		begin := time.Now()
		cancel()
		if err := <-ran; err != nil || time.Since(begin) != 0 {
			t.Errorf("got %v after %v", err, time.Since(begin))
		}
	})
}

// TestRunEnds: Run ends at once although the disk hangs, except for the grace
// that an operation gets if it has just begun.
func TestRunEnds(t *testing.T) {
	for _, after := range []time.Duration{0, time.Second, time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, hostConfig)
			r.fs.Inject(faultfs.Rule{Hang: true})
			ctx, cancel := context.WithTimeout(t.Context(), after)
			defer cancel()
			if err := r.make().Run(ctx); err != nil {
				t.Error(err)
			}
			if late := time.Since(r.log.begin) - after; late != 0 && (after > 0 || late > 100*time.Millisecond) {
				t.Errorf("Run took %v more than %v", late, after)
			}
		})
	}
}

func TestWaitSettled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, hostConfig)
		r.fs.Inject(faultfs.Rule{Op: faultfs.OpSync, Delay: time.Second})
		service := r.start(lazily)
		select {
		case <-service.Settled():
			t.Error("settled before anything was written")
		default:
		}
		if err := service.WaitSettled(t.Context()); err != nil {
			t.Error(err)
		}
		if d := time.Since(r.log.begin); d != 2*time.Second {
			t.Errorf("settled after %v", d)
		}
		canceled, cancel := context.WithCancel(t.Context())
		cancel()
		for range 100 {
			if err := service.WaitSettled(canceled); err != nil {
				t.Fatalf("settled, and got error %v", err)
			}
		}
	})
}

// TestOneGoroutine: an idle service without an endpoint has one goroutine.
func TestOneGoroutine(t *testing.T) {
	for name, set := range map[string]func(*rollcall.Config){"": func(*rollcall.Config) {}, "lazy": lazily} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, hostConfig)
				r.start(set)
				time.Sleep(time.Hour / 2)
				synctest.Wait()
				stacks := make([]byte, 1<<20)
				stacks = stacks[:runtime.Stack(stacks, true)]
				own := 0
				for stack := range strings.SplitSeq(string(stacks), "\n\n") {
					if strings.Contains(stack, "synctest bubble") && strings.Contains(stack, "created by github.com/rollcall-dev/rollcall/") {
						own++
					}
				}
				if own != 1 {
					t.Errorf("%d goroutines:\n%s", own, stacks)
				}
			})
		})
	}
}

// TestConsentAfterFault: a config that cannot be read for a moment denies
// consent, and is soon read again.
func TestConsentAfterFault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, strings.Replace(withID(knownID), "false", "true", 1))
		service := r.start()
		want := func(want rollcall.Consent) {
			t.Helper()
			synctest.Wait()
			if got := service.Status().Consent.State; got != want {
				t.Errorf("got consent %v, want %v", got, want)
			}
		}
		want(rollcall.Granted)
		fault := r.fs.Inject(faultfs.Rule{Op: faultfs.OpRead, Err: syscall.EIO})
		time.Sleep(66 * time.Minute)
		want(rollcall.Denied)
		r.wantState(service, knownID, true)
		fault.Remove()
		time.Sleep(15 * time.Minute)
		want(rollcall.Granted)
	})
}

// TestHostFunctions: the ID is kept by functions of the host, without a file.
func TestHostFunctions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "")
		var host hostSettings
		service := r.start(host.use)
		r.log.wantTimed(in(0, generated(service.ID())), in(0, persisted(1)), in(0, started(true)))
		r.wantState(service, host.stored(), true)
		r.stop(service)
		r.wantState(r.start(host.use), host.stored(), true)
		if ops := r.fs.Log(); len(ops) > 0 {
			t.Errorf("used the disk: %v", ops)
		}
	})
}

// TestStatusJSON holds the JSON that agents and the tools of operators parse.
func TestStatusJSON(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		service := newRig(t, hostConfig).start()
		st := service.Status()
		data, err := json.Marshal(st)
		if err != nil {
			t.Fatal(err)
		}
		var got map[string]any
		if err := json.Unmarshal(data, &got); err != nil {
			t.Fatal(err)
		}
		want := map[string]any{
			"state": "denied", "setting": "denied", "source": map[string]any{"kind": "config", "name": "telemetry.enabled"},
		}
		if !reflect.DeepEqual(got["consent"], want) || got["installation_id"] != st.ID.String() {
			t.Errorf("got %s", data)
		}
		for key := range got {
			if strings.ToLower(key) != key {
				t.Errorf("%s has the key %q", data, key)
			}
		}
	})
}

// TestFindingJSON holds the output of doctor --json.
func TestFindingJSON(t *testing.T) {
	for level, want := range map[rollcall.Level]string{
		rollcall.LevelOK: "ok", rollcall.LevelWarning: "warning", rollcall.LevelProblem: "problem", 7: "problem",
	} {
		got, err := json.Marshal(rollcall.Finding{Check: "disk", Level: level, Detail: "silent"})
		if want := `{"check":"disk","level":"` + want + `","detail":"silent"}`; string(got) != want || err != nil {
			t.Errorf("got %s, %v, want %s", got, err, want)
		}
	}
}

// TestDiagnose: the findings are those about the config, or that the disk does
// not answer.
func TestDiagnose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, hostConfig)
		config := rollcall.Config{ConfigPath: configPath}.On(r.fs)
		findings, err := config.Diagnose(t.Context())
		if err != nil || len(findings) < 3 || findings[0].Level != rollcall.LevelOK || findings[0].Check == "" || findings[0].Detail == "" {
			t.Errorf("got %+v, %v", findings, err)
		}
		r.fs.Inject(faultfs.Rule{Op: faultfs.OpRead, Hang: true})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		findings, err = config.Diagnose(ctx)
		if err != nil || len(findings) != 1 || findings[0].Level != rollcall.LevelProblem || findings[0].Hint == "" {
			t.Errorf("got %+v, %v from a disk that hangs", findings, err)
		}
	})
}

// TestStored reads what is stored and changes nothing.
func TestStored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for config, want := range map[string]string{withID(knownID): knownID, hostConfig: ""} {
			r := newRig(t, config)
			stored, err := rollcall.Config{ConfigPath: configPath}.On(r.fs).Stored(t.Context())
			if err != nil || stored.ID.String() != want || faultfs.Slashed(stored.Place) != "config "+configPath+", key telemetry.installation_id" {
				t.Errorf("got %+v, %v, want %q", stored, err, want)
			}
			r.wantNoMutation()
			r.fs.Inject(faultfs.Rule{Op: faultfs.OpRead, Hang: true})
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if stored, err := (rollcall.Config{ConfigPath: configPath}).On(r.fs).Stored(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %+v, %v from a disk that hangs", stored, err)
			}
			r.fs.ReleaseAll()
		}
	})
}

// TestResetBeforeStart replaces the stored ID.
func TestResetBeforeStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, withID(knownID))
		service := r.make()
		id, err := service.Reset(t.Context())
		if err != nil || id.IsZero() || id.String() == knownID || service.ID() != id {
			t.Fatalf("got %v, %v", id, err)
		}
		r.wantFile(configPath, withID(id.String()))
		if st := service.Status(); st.Incomplete || st.Place == "" {
			t.Errorf("got %+v", st)
		}
	})
}

// TestChangedElsewhere: a running service follows an ID that another process
// put into the config within a minute.
func TestChangedElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, withID(knownID))
		service := r.start()
		time.Sleep(time.Hour / 2)
		r.fs.WriteFile(configPath, []byte(withID(otherID)), 0o640)
		time.Sleep(time.Minute)
		synctest.Wait()
		r.wantState(service, otherID, true)
	})
}
