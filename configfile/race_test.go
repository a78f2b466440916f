package configfile_test

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

	"github.com/rollcall-dev/rollcall/configfile"
	"github.com/rollcall-dev/rollcall/internal/faultfs"
)

func number(i int) string { return fmt.Sprintf("id-%02d", i) }

// race runs processes at once and counts what they give.
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

// delays makes operations take a random time, so that the processes of a race meet in many ways. In virtual time it is
// these that decide the order.
func delays(disk *faultfs.FS, seed uint64, longest time.Duration) {
	random := rand.New(rand.NewPCG(seed, 0))
	for d := longest; d > longest/100; d /= 2 {
		disk.Inject(faultfs.Rule{Delay: d, If: func(faultfs.Entry) bool { return random.IntN(8) == 0 }})
	}
}

// TestRace starts 64 processes at once. Exactly one of their IDs is that of all of them, and of the file.
func TestRace(t *testing.T) {
	const processes, rounds = 64, 3
	for _, tt := range []struct {
		name string
		path string
		run  func(t *testing.T, p *faultfs.FS, i int) (string, error)
		rule faultfs.Rule
		from string // "" for a missing folder
	}{
		{name: "publish", path: anchorPath, run: publishNumber, from: config},
		{name: "publish, folder missing", path: anchorPath, run: publishNumber},
		{name: "publish without links", path: anchorPath, run: publishNumber, rule: faultfs.Rule{Op: faultfs.OpLink, Err: syscall.EPERM}, from: config},
		{name: "set", path: configPath, run: setNumber, from: config},
		{name: "set, config missing", path: configPath, run: setNumber},
		{name: "set, in place", path: configPath, run: setNumber, rule: faultfs.Rule{Op: faultfs.OpExchange, Err: syscall.EBUSY}, from: config},
		{name: "publish and set without locks", path: configPath, run: publishAndSet, rule: faultfs.Rule{Op: faultfs.OpLock, Err: syscall.ENOLCK}, from: config},
		{name: "publish and set, config missing", path: configPath, run: publishAndSet},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for round := range rounds {
				bubble(t, func(t *testing.T, disk *faultfs.FS) {
					if tt.from == "" {
						disk.Delete("/etc")
					}
					if tt.rule.Op != "" {
						disk.Inject(tt.rule)
					}
					delays(disk, uint64(round), 2*time.Millisecond)
					got := race(t, disk, processes, func(p *faultfs.FS, i int) (string, error) { return tt.run(t, p, i) })
					text := content(t, disk, tt.path)
					for winner := range maps.Keys(got) {
						if len(got) != 1 || !strings.Contains(text, winner) {
							t.Errorf("round %d: got %v, and in the file %q", round, got, text)
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
	text, err := f.Anchor("", isID).Publish(t.Context(), number(i))
	if err != nil {
		return "", err
	}
	return setUntil(patient(t), f, text)
}

// setUntil is Set by one who tries again, as all do.
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

// TestRaceWithHost has processes save the ID again and again while the host saves again and again. All of them have one
// ID, and the host's last save is there in the end, also where locks do not work, and when the processes are so impatient
// that most of their operations are given up and go on by themselves.
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
						time.Sleep(2 * time.Second) // in which what was displaced is put back
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

// saveAgainAndAgain has the host save until stop is called, and counts.
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

// publishAgainAndAgain publishes an ID and sets it many times, and gives the one that it was given.
func publishAgainAndAgain(t *testing.T, p *faultfs.FS, text string, patience time.Duration) (string, error) {
	t.Helper()
	f := open(t, p)
	a := f.Anchor("", isID)
	published := ""
	for i := 0; i < 20 || published == ""; i++ {
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
