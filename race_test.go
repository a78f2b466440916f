package rollcall_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollcall-dev/rollcall"
	"github.com/rollcall-dev/rollcall/internal/faultfs"
)

// jitterAll gives every operation of the disk a duration of its own, so that processes meet in every order.
func jitterAll(fs *faultfs.FS, random *rand.Rand, most time.Duration) {
	var mu sync.Mutex
	fs.Inject(faultfs.Rule{Do: func() {
		mu.Lock()
		d := time.Duration(random.Int64N(int64(most)))
		mu.Unlock()
		time.Sleep(d)
	}})
}

// startAll starts that many services at once, each in a process of its own.
func (r *rig) startAll(n int, change ...func(*rollcall.Config)) []*rollcall.Service {
	services := make([]*rollcall.Service, n)
	for i := range services {
		services[i] = r.makeOn(r.fs.As(fmt.Sprint("process ", i)), change...)
	}
	r.each(services, func(s *rollcall.Service) { s.Start(r.t.Context()) })
	return services
}

func (r *rig) each(services []*rollcall.Service, do func(*rollcall.Service)) {
	var wg sync.WaitGroup
	for _, s := range services {
		wg.Go(func() { do(s) })
	}
	wg.Wait()
}

func idsOf(services []*rollcall.Service) []string {
	ids := make(map[string]bool)
	for _, s := range services {
		ids[s.ID().String()] = true
	}
	return slices.Collect(maps.Keys(ids))
}

// TestRacingProcesses is D13, simulated: 64 processes start at once on one config.
func TestRacingProcesses(t *testing.T) {
	configs := map[string]string{"no config": "", "config": hostConfig, "not an ID": withID("none")}
	rounds := 6
	if testing.Short() {
		rounds = 1
	}
	for name, config := range configs {
		for round := range rounds {
			t.Run(fmt.Sprintf("%s/%d", name, round), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					r := newRig(t, config)
					jitterAll(r.fs, rand.New(rand.NewPCG(uint64(round), 0)), time.Millisecond)
					var invalid []byte
					r.fs.Inject(faultfs.Rule{Op: faultfs.OpUnlock, After: func() {
						if data, err := r.fs.ReadFile(configPath); err == nil && !json.Valid(withoutComments(data)) {
							invalid = data
						}
					}})
					services := r.startAll(64)
					ids := idsOf(services)
					if len(ids) != 1 {
						t.Fatalf("got %d IDs", len(ids))
					}
					for _, s := range services {
						r.wantState(s, ids[0], true)
					}
					if invalid != nil {
						t.Errorf("got an invalid file: %s", invalid)
					}
					r.wantPersisted(services[0], ids[0])
					if config != "" {
						r.wantFile(configPath, withID(ids[0]))
					}
					r.wantFiles(anchorPath, configPath)
				})
			})
		}
	}
}

// TestRacingRestart starts 64 processes on a config with an ID: nobody writes.
func TestRacingRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, withID(knownID))
		r.fs.WriteFile(anchorPath, []byte(knownID+"\n"), 0o640)
		r.fs.ResetLog()
		services := r.startAll(64)
		if ids := idsOf(services); len(ids) != 1 || ids[0] != knownID {
			t.Errorf("got IDs %q", ids)
		}
		synctest.Wait()
		r.wantNoMutation()
	})
}

// A host is a program that keeps its whole settings in memory and saves all of them, knowing nothing of our key.
type host struct {
	fs       *faultfs.FS
	atomic   bool // whether it saves by renaming
	settings map[string]any
	lost     int // saves that were undone
}

// save changes a setting and writes all of them, after having checked that nobody undid the last save.
func (h *host) save() {
	if h.settings["saves"] != 0 {
		var now map[string]any
		data, _ := h.fs.ReadFile(configPath)
		if json.Unmarshal(data, &now) != nil || now["saves"] != float64(h.settings["saves"].(int)) {
			h.lost++
		}
	}
	h.settings["saves"] = h.settings["saves"].(int) + 1
	data, _ := json.MarshalIndent(h.settings, "", "  ")
	if h.atomic {
		h.fs.ReplaceFile(configPath, data, 0o640)
	} else {
		h.fs.WriteFile(configPath, data, 0o640)
	}
}

// TestHostSaves is D14, simulated: the host saves its settings before, during and after our save, and all is restarted
// several times.
func TestHostSaves(t *testing.T) {
	for name, atomic := range map[string]bool{"by rename": true, "in place": false} {
		for seed := range uint64(8) {
			t.Run(fmt.Sprintf("%s/%d", name, seed), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { testHostSaves(t, atomic, seed) })
			})
		}
	}
}

func testHostSaves(t *testing.T, atomic bool, seed uint64) {
	const processes, restarts = 6, 5
	r := newRig(t, "")
	random := rand.New(rand.NewPCG(seed, 1))
	h := &host{fs: r.fs, atomic: atomic, settings: map[string]any{"saves": 0, "text": string(bytes.Repeat([]byte("x"), 5000))}}
	h.save()
	jitterAll(r.fs, rand.New(rand.NewPCG(seed, 2)), 5*time.Millisecond)

	ctx, cancel := context.WithCancel(t.Context())
	var hosts sync.WaitGroup
	hosts.Go(func() {
		for ctx.Err() == nil {
			h.save()
			time.Sleep(time.Duration(random.Int64N(int64(300 * time.Millisecond))))
		}
	})
	id := ""
	for range restarts {
		services := r.startAll(processes)
		ids := idsOf(services)
		if len(ids) != 1 || id != "" && ids[0] != id {
			t.Errorf("got IDs %q, before %q", ids, id)
		}
		id = ids[0]
		for _, s := range services {
			r.wantState(s, id, true)
		}
		time.Sleep(90 * time.Minute)
		for _, s := range services {
			r.wantState(s, id, true)
			r.stop(s)
		}
	}
	cancel()
	hosts.Wait()
	if h.lost > 0 {
		t.Errorf("%d of %d saves of the host were lost", h.lost, h.settings["saves"])
	}
	// Once the host is quiet the key comes back.
	r.start()
	synctest.Wait()
	time.Sleep(2 * time.Hour)
	if got := idIn(r.fs); got != id {
		t.Errorf("got ID %q in the config, want %q", got, id)
	}
}
