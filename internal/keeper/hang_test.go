package keeper_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollcall-dev/rollcall/internal/keeper"
	"github.com/rollcall-dev/rollcall/internal/test/faultfs"
)

// disks are the disks on which a start can hang.
var disks = []struct{ name, config, anchor string }{
	{"no ID", hostConfig, ""},
	{"no config", "", ""},
	{"stored ID", withID(knownID), knownID + "\n"},
	{"stored ID in the anchor only", hostConfig, knownID + "\n"},
}

// allOps are the operations that can hang; "" means all of them.
var allOps = append([]faultfs.Op{""}, faultfs.Ops()...)

// TestHang is D1: each operation hangs forever.
func TestHang(t *testing.T) {
	for _, disk := range disks {
		for _, op := range allOps {
			t.Run(disk.name+"/"+string(op), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { testHang(t, disk.config, disk.anchor, op) })
			})
		}
	}
}

func testHang(t *testing.T, config, anchor string, op faultfs.Op) {
	r := newRig(t, config)
	if anchor != "" {
		r.fs.WriteFile(anchorPath, []byte(anchor), 0o640)
	}
	fault := r.fs.Inject(faultfs.Rule{Op: op, Hang: true})
	k := r.start()
	took := time.Since(r.log.begin)
	// Where the ID is stored and only its place is not known, there is nothing
	// to try again.
	if want := 18 * time.Second; took != 0 && took != want && !(took == time.Second && k.Status().Stored) {
		t.Errorf("Start took %v, want 0 or %v", took, want)
	}
	if k.ID().IsZero() || !k.Status().Settled {
		t.Error("no ID, or not settled")
	}
	if took > 0 && k.Status().Stuck == "" {
		t.Error("the status does not say what hangs")
	}
	checkPersisted(t, r, k)

	for range 7 { // days
		time.Sleep(week / 7)
		r.wantOneInFlight()
	}
	if n := fault.Hits(); n > 1 {
		t.Errorf("%d operations began and hang", n)
	}
	r.stop(k)

	// Late operations leave the config whole, and the next start agrees with it.
	r.fs.ReleaseAll()
	synctest.Wait()
	r.wantWhole(config)
	again := r.start()
	synctest.Wait()
	if id := idIn(r.fs); id != again.ID().String() {
		t.Errorf("got ID %q in the config, and %q in use after a restart", id, again.ID())
	}
	if st := k.Status(); st.Persisted && st.ID != again.ID() {
		t.Errorf("got ID %q after a restart, want %q, which was called persisted", again.ID(), st.ID)
	}
	if anchor != "" && again.ID().String() != knownID {
		t.Errorf("got ID %q, want the stored one", again.ID())
	}
}

// checkPersisted checks that an ID that is called persisted survives a power
// cut.
func checkPersisted(t *testing.T, r *rig, k *keeper.Keeper) {
	t.Helper()
	if !k.Status().Persisted {
		return
	}
	disk := r.fs.Crash(faultfs.LoseUnsynced)
	anchor, _ := disk.ReadFile(anchorPath)
	id := k.ID().String()
	if idIn(disk) != id && string(anchor) != id+"\n" {
		t.Errorf("called persisted, and lost in a power cut")
	}
}

// wantWhole checks that the config has changed in nothing but the ID, and that
// no temporary file is left.
func (r *rig) wantWhole(before string) {
	r.t.Helper()
	for _, name := range r.fs.Files() {
		if strings.Contains(name, ".rollcall-") {
			r.t.Errorf("left behind: %s", name)
		}
	}
	id := idIn(r.fs)
	now, err := r.fs.ReadFile(configPath)
	switch {
	case err != nil && before == "":
	case id != "" && before == hostConfig && string(now) == withID(id):
	case id != "" && before == "" && strings.HasPrefix(string(now), "{\n  \"telemetry\": {\n    \"enabled\": false,"):
	case string(now) == before:
	default:
		r.t.Errorf("got config\n%s\nwant\n%s\nbut for the ID", now, before)
	}
}

func TestHangLazy(t *testing.T) {
	for _, disk := range disks {
		for _, op := range allOps {
			t.Run(disk.name+"/"+string(op), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					r := newRig(t, disk.config)
					r.fs.Inject(faultfs.Rule{Op: op, Hang: true})
					k := r.start(lazily)
					if d := time.Since(r.log.begin); d != 0 {
						t.Errorf("Start took %v", d)
					}
					if k.ID().IsZero() {
						t.Error("no ID")
					}
					if st := k.Status(); op == "" && (st.Persisted || !st.Provisional || st.Settled) {
						t.Errorf("got %+v before anything was read", st)
					}
					r.wantSettled(k, 20*time.Second)
					r.wantOneInFlight()
				})
			})
		}
	}
}

// TestLazyStopped stops the keeper while the first attempt hangs. That is not
// logged as a failure.
func TestLazyStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, hostConfig)
		r.fs.Inject(faultfs.Rule{Op: faultfs.OpRead, Hang: true})
		k := r.start(lazily)
		time.Sleep(time.Second)
		r.stop(k)
		r.log.want()
		r.wantSettled(k, time.Nanosecond)
		if st := k.Status(); st.Persisted || !st.Provisional || st.Attempts != 0 || st.LastError != "" {
			t.Errorf("got %+v", st)
		}
	})
}

// TestStartTimeout reaches the limit of the start during an attempt and between
// two attempts.
func TestStartTimeout(t *testing.T) {
	tests := []struct {
		name  string
		limit time.Duration
		lines []string
	}{
		{"during an attempt", 3 * time.Second, nil},
		{"between attempts", 5500 * time.Millisecond, []string{in(5*time.Second, timedOut(1))}},
		{"during the second", 8 * time.Second, []string{in(5*time.Second, timedOut(1))}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, hostConfig)
				r.fs.Inject(faultfs.Rule{Op: faultfs.OpSync, Hang: true})
				k := r.start(func(s *setup) { s.StartTimeout = tt.limit })
				r.log.wantTimed(slices.Concat([]string{in(0, generated(k.ID()))}, tt.lines, []string{
					in(tt.limit, "ERROR Installation ID generation timed out - using in-memory ID timeout="+tt.limit.String()),
					in(tt.limit, started(false)),
				})...)
			})
		})
	}
}

// TestDefaultLimits spells out the log of a start on a disk that hangs forever.
func TestDefaultLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, hostConfig)
		r.fs.Inject(faultfs.Rule{Op: faultfs.OpOpen, Hang: true})
		k := r.start()
		r.log.wantTimed(
			in(5*time.Second, timedOut(1)),
			in(11*time.Second, timedOut(2)),
			in(18*time.Second, timedOut(3)),
			in(18*time.Second, generated(k.ID())),
			in(18*time.Second, inMemory(k.ID(), "read installation ID: *timed out*")),
			in(18*time.Second, started(false)),
		)
		st := k.Status()
		if !st.Provisional || st.Attempts != 3 || st.Stuck == "" || !st.StuckSince.Equal(r.log.begin) {
			t.Errorf("got %+v", st)
		}
		if !st.Unread {
			t.Error("the config counts as read")
		}
	})
}

// TestAdoptAfterHang is D4: an ID is stored while the read hangs. It is adopted
// at the moment the read returns.
func TestAdoptAfterHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, withID(knownID))
		fault := r.fs.Inject(faultfs.Rule{Op: faultfs.OpRead, Hang: true})
		k := r.start()
		first := k.ID()
		if st := k.Status(); !st.Provisional || st.Persisted {
			t.Errorf("got %+v while the read hangs", st)
		}
		time.Sleep(week)
		if k.ID() != first || !k.Status().Provisional {
			t.Error("the ID changed while the read hangs")
		}
		r.log.reset()
		fault.Release()
		synctest.Wait()
		r.log.wantTimed(in(0, adopted(knownID)))
		r.wantState(k, knownID, true)
		if k.Status().Provisional {
			t.Error("still provisional")
		}
		r.wantFile(configPath, withID(knownID))
	})
}

// TestLateSave is D3: an abandoned save completes after the operator has edited
// the config, at each of its operations.
func TestLateSave(t *testing.T) {
	const edit = "{\"port\": 9090, \"telemetry\": {\"enabled\": false}}\n"
	for _, op := range opsOfASave(t) {
		for how, save := range map[string]func(*faultfs.FS, string, []byte){
			"in place":  func(fs *faultfs.FS, name string, data []byte) { fs.WriteFile(name, data, 0o640) },
			"by rename": func(fs *faultfs.FS, name string, data []byte) { fs.ReplaceFile(name, data, 0o640) },
		} {
			t.Run(string(op)+"/"+how, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					r := newRig(t, hostConfig)
					fault := r.fs.Inject(faultfs.Rule{Op: op, Hang: true, Times: 1})
					k := r.start()
					id := k.ID().String()
					time.Sleep(time.Minute)
					save(r.fs, configPath, []byte(edit))
					fault.Release()
					time.Sleep(2 * time.Hour)
					want := strings.Replace(edit, "false}", "false, \"installation_id\": \""+id+"\"}", 1)
					r.wantFile(configPath, want)
					r.wantPersisted(k, id)
					r.wantFiles(anchorPath, configPath)
				})
			})
		}
	}
}

// opsOfASave returns the operations of a first start.
func opsOfASave(t *testing.T) (ops []faultfs.Op) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, hostConfig)
		r.start()
		for _, e := range r.fs.Log() {
			if !slices.Contains(ops, e.Op) {
				ops = append(ops, e.Op)
			}
		}
	})
	if len(ops) < 10 {
		t.Fatalf("got only %q", ops)
	}
	return ops
}

// TestLateSaveOtherID is D3 with an operator who put another ID into the
// config.
func TestLateSaveOtherID(t *testing.T) {
	for _, op := range []faultfs.Op{faultfs.OpSync, faultfs.OpLink, faultfs.OpExchange, faultfs.OpSyncDir} {
		t.Run(string(op), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, hostConfig)
				fault := r.fs.Inject(faultfs.Rule{Op: op, Hang: true, Times: 1})
				k := r.start()
				r.fs.ReplaceFile(configPath, []byte(withID(otherID)), 0o640)
				fault.Release()
				time.Sleep(2 * time.Hour)
				r.wantFile(configPath, withID(otherID))
				r.wantPersisted(k, otherID)
			})
		})
	}
}

// TestStopDuringStart stops the keeper while Start waits for the disk.
func TestStopDuringStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, hostConfig)
		r.fs.Inject(faultfs.Rule{Op: faultfs.OpSync, Hang: true})
		k := r.newKeeper()
		started := make(chan error)
		go func() { started <- k.Start(t.Context()) }()
		time.Sleep(2 * time.Second)
		r.stop(k)
		if err := <-started; err != nil {
			t.Errorf("Start: %v", err)
		}
		if d := time.Since(r.log.begin); d != 2*time.Second {
			t.Errorf("Start returned after %v", d)
		}
		r.log.want(generated(k.ID()))
	})
}

// TestStartCancelled cancels the context of Start, which limits only the wait
// of Start.
func TestStartCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, hostConfig)
		fault := r.fs.Inject(faultfs.Rule{Op: faultfs.OpSync, Hang: true})
		k := r.newKeeper()
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		if err := k.Start(ctx); err != nil {
			t.Errorf("Start: %v", err)
		}
		r.log.wantTimed(
			in(0, generated(k.ID())),
			in(2*time.Second, inMemory(k.ID(), "save installation ID: *timed out*")),
			in(2*time.Second, started(false)),
		)
		time.Sleep(time.Hour)
		r.log.reset()
		fault.Release()
		synctest.Wait()
		r.log.wantTimed(in(0, persisted(2)))
		r.wantPersisted(k, k.ID().String())
	})
}
