package replace_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/internal/configfile"
	"github.com/rollcall-dev/rollcall/internal/test/faultfs"
)

func number(i int) string { return fmt.Sprintf("id-%02d", i) }

// race runs processes at the same time and counts their results.
func race(t *testing.T, disk *faultfs.FS, processes int, run func(p *faultfs.FS, i int) (string, error)) map[string]int {
	t.Helper()
	var mu sync.Mutex
	got := make(map[string]int)
	var wg sync.WaitGroup
	for i := range processes {
		wg.Go(func() {
			text, err := run(disk.As(fmt.Sprint(i)), i)
			if err != nil {
				t.Errorf("process %d: %v", i, err)
			}
			mu.Lock()
			defer mu.Unlock()
			got[text]++
		})
	}
	wg.Wait()
	return got
}

// delays lets operations take a random time, so that the processes of a race
// meet in many ways. In virtual time only this decides their order.
func delays(disk *faultfs.FS, seed uint64, longest time.Duration) {
	random := rand.New(rand.NewPCG(seed, 0))
	for d := longest; d > longest/100; d /= 2 {
		disk.Inject(faultfs.Rule{Delay: d, If: func(faultfs.Entry) bool { return random.IntN(8) == 0 }})
	}
}

// TestRace starts 64 processes at once. All of them, and the file, end up with
// one of their IDs.
func TestRace(t *testing.T) {
	const processes, rounds = 64, 3
	there := func(*faultfs.FS) {}
	missing := func(disk *faultfs.FS) { disk.Delete("/etc") }
	damaged := func(disk *faultfs.FS) { disk.WriteFile(anchorPath, []byte("torn"), 0o644) }
	fails := func(op faultfs.Op, err error) func(*faultfs.FS) {
		return func(disk *faultfs.FS) { disk.Inject(faultfs.Rule{Op: op, Err: err}) }
	}
	for _, tt := range []struct {
		name    string
		prepare func(disk *faultfs.FS)
		run     func(t *testing.T, p *faultfs.FS, i int) (string, error)
		path    string
	}{
		{"publish", there, publishNumber, anchorPath},
		{"publish, directory missing", missing, publishNumber, anchorPath},
		{"publish, damaged", damaged, publishNumber, anchorPath},
		{"publish without links", fails(faultfs.OpLink, syscall.EPERM), publishNumber, anchorPath},
		{"publish, link says EIO", fails(faultfs.OpLink, syscall.EIO), publishNumber, anchorPath},
		{"publish without locks", fails(faultfs.OpLock, syscall.ENOLCK), publishNumber, anchorPath},
		{"set", there, setNumber, configPath},
		{"set, config missing", missing, setNumber, configPath},
		{"set in place", func(disk *faultfs.FS) { disk.MarkMountPoint(configPath) }, setNumber, configPath},
		{"set by rename", fails(faultfs.OpExchange, syscall.EIO), setNumber, configPath},
		{"publish and set without locks", fails(faultfs.OpLock, syscall.ENOLCK), publishAndSet, configPath},
		{"publish and set, config missing", missing, publishAndSet, configPath},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(rounds) {
				bubble(t, func(t *testing.T, disk *faultfs.FS) {
					tt.prepare(disk)
					delays(disk, seed, 2*time.Millisecond)
					got := race(t, disk, processes, func(p *faultfs.FS, i int) (string, error) { return tt.run(t, p, i) })
					text := content(t, disk, tt.path)
					for winner := range maps.Keys(got) {
						if len(got) != 1 || !strings.Contains(text, winner) {
							t.Errorf("seed %d: got %v, and in the file %q", seed, got, text)
							break
						}
					}
					requireNoTemps(t, disk)
				})
			}
		})
	}
}

func publishNumber(t *testing.T, p *faultfs.FS, i int) (string, error) {
	return openAnchor(t, p).Publish(t.Context(), number(i))
}

func setNumber(t *testing.T, p *faultfs.FS, i int) (string, error) {
	return set(patient(t), open(t, p), number(i))
}

func publishAndSet(t *testing.T, p *faultfs.FS, i int) (string, error) {
	f := open(t, p)
	text, err := anchorOf(f).Publish(t.Context(), number(i))
	if err != nil {
		return "", err
	}
	return setUntil(patient(t), f, text)
}

// setUntil retries Set, as every caller does.
func setUntil(ctx context.Context, f *configfile.File, text string) (string, error) {
	for {
		stored, err := set(ctx, f, text)
		if err == nil || configfile.Permanent(err) || ctx.Err() != nil {
			return stored, err
		}
		time.Sleep(time.Second)
	}
}

func patient(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	t.Cleanup(cancel)
	return ctx
}

// TestRaceWithHost lets processes save the ID again and again while the host
// saves again and again. All of them have one ID, and the last save of the host
// is there in the end, even if locks do not work, and if the processes are so
// impatient that they abandon most of their operations.
func TestRaceWithHost(t *testing.T) {
	for _, tt := range []struct {
		name     string
		patience time.Duration
		rule     faultfs.Rule
	}{
		{"patient", time.Hour, faultfs.Rule{Op: faultfs.OpLock}},
		{"without locks", time.Hour, faultfs.Rule{Op: faultfs.OpLock, Err: syscall.ENOLCK}},
		{"impatient", 3 * time.Millisecond, faultfs.Rule{Op: faultfs.OpLock}},
	} {
		for _, host := range hostSaves {
			t.Run(tt.name+", host saves "+host.name, func(t *testing.T) {
				t.Parallel()
				for seed := range uint64(3) {
					bubble(t, func(t *testing.T, disk *faultfs.FS) {
						disk.Inject(tt.rule)
						delays(disk, seed, 500*time.Microsecond)
						var saves int
						stop := saveAgainAndAgain(t, disk, host.save, seed, &saves)
						got := race(t, disk, 6, func(p *faultfs.FS, i int) (string, error) {
							return publishAgainAndAgain(t, p, number(i), tt.patience)
						})
						stop()
						time.Sleep(2 * time.Second) // until everything displaced has been put back
						if now, err := parse([]byte(content(t, disk, configPath))); err != nil || now.Saves != saves {
							t.Errorf("seed %d: got %+v, %v, want save %d", seed, now, err, saves)
						}
						if len(got) != 1 {
							t.Errorf("seed %d: got %v", seed, got)
						}
						requireNoTemps(t, disk)
					})
				}
			})
		}
	}
}

// saveAgainAndAgain lets the host save until stop is called, and counts.
func saveAgainAndAgain(t *testing.T, disk *faultfs.FS, save func(*faultfs.FS, string, string) error, seed uint64, saves *int) (stop func()) {
	t.Helper()
	random := rand.New(rand.NewPCG(seed, 1))
	process := disk.As("host")
	stopped := make(chan struct{})
	var saving sync.WaitGroup
	saving.Go(func() {
		for {
			select {
			case <-stopped:
				return
			case <-time.After(time.Duration(random.IntN(12_000)) * time.Microsecond):
			}
			*saves++
			if err := save(process, configPath, strings.Replace(saved, `"saves": 2`, fmt.Sprintf(`"saves": %d`, *saves), 1)); err != nil {
				t.Error(err)
			}
		}
	})
	return func() {
		close(stopped)
		saving.Wait()
	}
}

// publishAgainAndAgain publishes an ID and sets it many times, and returns the
// one that won.
func publishAgainAndAgain(t *testing.T, p *faultfs.FS, text string, patience time.Duration) (string, error) {
	t.Helper()
	f := open(t, p)
	a := anchorOf(f)
	published := ""
	for i := 0; i < 8 || published == ""; i++ {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		got, err := a.Publish(ctx, text)
		if err == nil {
			if published != "" && got != published {
				t.Errorf("got %s after %s", got, published)
			}
			published = got
			set(ctx, f, published)
		}
		cancel()
		time.Sleep(time.Millisecond)
	}
	return published, nil
}
