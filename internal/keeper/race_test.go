package keeper_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollcall-dev/rollcall/internal/keeper"
	"github.com/rollcall-dev/rollcall/internal/test/faultfs"
)

// jitterAll makes every operation of the disk take a random time, so that
// processes meet in every order.
func jitterAll(fs *faultfs.FS, random *rand.Rand, most time.Duration) {
	var mu sync.Mutex
	fs.Inject(faultfs.Rule{If: notTheHost, Do: func() {
		mu.Lock()
		d := time.Duration(random.Int64N(int64(most)))
		mu.Unlock()
		time.Sleep(d)
	}})
}

func notTheHost(e faultfs.Entry) bool { return e.Proc != "host" }

// startAll starts n keepers at once, each in its own process.
func (r *rig) startAll(n int, change ...func(*setup)) []*keeper.Keeper {
	keepers := make([]*keeper.Keeper, n)
	for i := range keepers {
		keepers[i] = r.newKeeperOn(r.fs.As(fmt.Sprint("process ", i)), change...)
	}
	r.each(keepers, func(s *keeper.Keeper) { s.Start(r.t.Context()) })
	return keepers
}

func (r *rig) each(keepers []*keeper.Keeper, do func(*keeper.Keeper)) {
	var wg sync.WaitGroup
	for _, s := range keepers {
		wg.Go(func() { do(s) })
	}
	wg.Wait()
}

func idsOf(keepers []*keeper.Keeper) []string {
	ids := make(map[string]bool)
	for _, s := range keepers {
		ids[s.ID().String()] = true
	}
	return slices.Collect(maps.Keys(ids))
}

// TestRacingProcesses is D13, simulated: 64 processes start at once on one
// config.
func TestRacingProcesses(t *testing.T) {
	configs := map[string]string{"no config": "", "config": hostConfig, "not an ID": withID("none")}
	const rounds = 3
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
					keepers := r.startAll(64)
					ids := idsOf(keepers)
					if len(ids) != 1 {
						t.Fatalf("got %d IDs", len(ids))
					}
					for _, s := range keepers {
						r.wantState(s, ids[0], true)
					}
					if invalid != nil {
						t.Errorf("got an invalid file: %s", invalid)
					}
					r.wantPersisted(keepers[0], ids[0])
					if config != "" {
						r.wantFile(configPath, withID(ids[0]))
					}
					r.wantFiles(anchorPath, configPath)
				})
			})
		}
	}
}

// TestRacingRestart starts 64 processes on a config with an ID. None writes.
func TestRacingRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, withID(knownID))
		r.fs.WriteFile(anchorPath, []byte(knownID+"\n"), 0o640)
		r.fs.ResetLog()
		keepers := r.startAll(64)
		if ids := idsOf(keepers); len(ids) != 1 || ids[0] != knownID {
			t.Errorf("got IDs %q", ids)
		}
		synctest.Wait()
		r.wantNoMutation()
	})
}

// A host is a program that keeps its settings in memory and saves all of them,
// without our key.
type host struct {
	fs     *faultfs.FS
	atomic bool // saves by renaming

	lock   chan struct{} // holds a token while the rest is in use
	random *rand.Rand
	saves  int
}

func newHost(r *rig, atomic bool, seed uint64) *host {
	r.fs.MkdirAll(path.Dir(configPath), 0o755)
	return &host{fs: r.fs.As("host"), atomic: atomic, lock: make(chan struct{}, 1), random: rand.New(rand.NewPCG(seed, 1))}
}

// save writes all settings with a change.
func (h *host) save() {
	h.lock <- struct{}{}
	defer func() { <-h.lock }()
	h.saves++
	data := fmt.Appendf(nil, "{\n  \"saves\": %d,\n  \"text\": %q\n}\n", h.saves, strings.Repeat("x", 1000))
	if h.atomic {
		h.fs.ReplaceFile(configPath, data, 0o640)
		return
	}
	file, err := h.fs.OpenFile(configPath, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o640)
	if err != nil {
		panic(err)
	}
	defer file.Close()
	for part := range slices.Chunk(data, 400) {
		time.Sleep(time.Duration(h.random.Int64N(int64(3 * time.Millisecond))))
		file.Write(part)
	}
}

// check checks that nobody has undone the last save, except for the moment in
// which an operation finds out that it displaced it.
func (h *host) check(t *testing.T) {
	t.Helper()
	h.lock <- struct{}{}
	defer func() { <-h.lock }()
	var now struct{ Saves int }
	data, _ := h.fs.ReadFile(configPath)
	if err := json.Unmarshal(data, &now); err != nil || now.Saves != h.saves && h.fs.InFlight() == 0 {
		t.Errorf("save %d was undone: got %d, %v", h.saves, now.Saves, err)
	}
}

// maybe returns true with a probability of chance.
func (h *host) maybe(chance float64) bool {
	h.lock <- struct{}{}
	defer func() { <-h.lock }()
	return h.random.Float64() < chance
}

// TestHostSaves is D14, simulated: the host saves its settings before, during
// and after our save, at any operation, over several restarts.
func TestHostSaves(t *testing.T) {
	for name, atomic := range map[string]bool{"by rename": true, "in place": false} {
		for seed := range uint64(4) {
			t.Run(fmt.Sprintf("%s/%d", name, seed), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { testHostSaves(t, atomic, seed) })
			})
		}
	}
}

func testHostSaves(t *testing.T, atomic bool, seed uint64) {
	const processes, restarts = 5, 4
	r := newRig(t, "")
	h := newHost(r, atomic, seed)
	h.save()
	jitterAll(r.fs, rand.New(rand.NewPCG(seed, 2)), 5*time.Millisecond)
	meddle := r.fs.Inject(faultfs.Rule{If: notTheHost, Do: func() {
		if h.maybe(0.05) {
			h.save()
		}
	}})
	id := ""
	for range restarts {
		keepers := r.startAll(processes)
		ids := idsOf(keepers)
		if len(ids) != 1 || id != "" && ids[0] != id {
			t.Errorf("got IDs %q, before %q", ids, id)
		}
		id = ids[0]
		h.check(t)
		for range 10 {
			time.Sleep(10 * time.Minute)
			h.check(t)
			h.save()
		}
		for _, s := range keepers {
			r.wantState(s, id, true)
			r.stop(s)
		}
	}
	if h.saves < 100 {
		t.Errorf("the host saved only %d times", h.saves)
	}
	// Once the host is quiet, the ID is copied again.
	meddle.Remove()
	r.start()
	time.Sleep(2 * time.Hour)
	if got := idIn(r.fs); got != id {
		t.Errorf("got ID %q in the config, want %q", got, id)
	}
}
