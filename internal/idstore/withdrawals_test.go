package idstore_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollcall-dev/rollcall/installid"
	"github.com/rollcall-dev/rollcall/internal/anchor"
	"github.com/rollcall-dev/rollcall/internal/idstore"
	"github.com/rollcall-dev/rollcall/internal/keeper"
	"github.com/rollcall-dev/rollcall/internal/test/faultfs"
)

const (
	denialsPath = "/srv/app/.config.json.telemetry-denied"
	retiredPath = "/srv/app/.config.json.retired-ids"
)

var (
	stateFile = idstore.Location{StateFile: "/var/lib/app/installation-id"}
	hostKeeps = idstore.Location{AnchorDir: "/var/lib/app"}
)

// TestRetired: an ID that was replaced never counts again, wherever a copy of it
// turns up, and the current one is written over it.
func TestRetired(t *testing.T) {
	type place struct {
		open  func(d *faultfs.FS) keeper.Store
		stale func(d *faultfs.FS) // puts a copy of the old ID back
		holds func(d *faultfs.FS) string
	}
	var stored string
	read := func(name string) func(d *faultfs.FS) string {
		return func(d *faultfs.FS) string { text, _ := d.ReadFile(name); return string(text) }
	}
	places := map[string]place{
		"config": {
			open:  func(d *faultfs.FS) keeper.Store { return open(t, d, location) },
			stale: func(d *faultfs.FS) { d.WriteFile(configPath, []byte(withID(knownID)), 0o644) },
			holds: read(configPath),
		},
		"config and anchor": {
			open: func(d *faultfs.FS) keeper.Store { return open(t, d, location) },
			stale: func(d *faultfs.FS) {
				d.WriteFile(configPath, []byte(withID(strings.ToUpper(knownID))), 0o644)
				d.WriteFile(anchorPath, []byte(knownID+"\n"), 0o644)
			},
			holds: read(configPath),
		},
		"anchor": {
			open: func(d *faultfs.FS) keeper.Store { return open(t, d, location) },
			stale: func(d *faultfs.FS) {
				d.WriteFile(configPath, []byte(withoutID), 0o644)
				d.WriteFile(anchorPath, []byte(knownID+"\n"), 0o644)
			},
			holds: read(configPath),
		},
		"separate anchor": {
			open:  func(d *faultfs.FS) keeper.Store { return open(t, d, apart) },
			stale: func(d *faultfs.FS) { d.WriteFile(configPath, []byte(withID(knownID)), 0o644) },
			holds: read(configPath),
		},
		"state file": {
			open:  func(d *faultfs.FS) keeper.Store { return open(t, d, stateFile) },
			stale: func(d *faultfs.FS) { d.WriteFile(stateFile.StateFile, []byte(knownID+"\n"), 0o644) },
			holds: read(stateFile.StateFile),
		},
		"functions of the host": {
			open: func(d *faultfs.FS) keeper.Store {
				store, err := abs(hostKeeps).OpenFuncs(d,
					func(context.Context) (string, error) { return stored, nil },
					func(_ context.Context, id string) error { stored = id; return nil })
				if err != nil {
					t.Fatal(err)
				}
				return store
			},
			stale: func(*faultfs.FS) { stored = knownID },
			holds: func(*faultfs.FS) string { return stored },
		},
	}
	for name, p := range places {
		t.Run(name, func(t *testing.T) {
			d, ctx := disk(withoutID, ""), t.Context()
			stored = ""
			if _, err := p.open(d).Save(ctx, known); err != nil {
				t.Fatal(err)
			}
			if rec, err := p.open(d).Replace(ctx, installid.ID{}, other); err != nil || rec.ID != other {
				t.Fatalf("Replace: got %+v, %v", rec, err)
			}
			p.stale(d)
			store := p.open(d) // another process
			rec, err := store.Load(ctx)
			if rec.ID == known || !rec.Retired || err != nil && !errors.Is(err, keeper.ErrNotFound) {
				t.Errorf("Load: got %+v, %v", rec, err)
			}
			if _, err := store.Save(ctx, known); !errors.Is(err, keeper.ErrRetired) {
				t.Errorf("Save of the old ID: got %v", err)
			}
			if rec, err := store.Save(ctx, other); err != nil || rec.ID != other || !strings.Contains(p.holds(d), otherID) {
				t.Errorf("Save: got %+v, %v, and %q", rec, err, p.holds(d))
			}
			if rec, err := store.Load(ctx); err != nil || rec.ID != other || rec.Retired {
				t.Errorf("Load at the end: got %+v, %v", rec, err)
			}
		})
	}
}

// TestRetiredMaintain: the anchor's ID is written over a retired one in the
// config, and the anchor never follows a retired one.
func TestRetiredMaintain(t *testing.T) {
	d, ctx := disk(withID(knownID), knownID), t.Context()
	store := open(t, d, location)
	if _, err := store.Replace(ctx, installid.ID{}, other); err != nil {
		t.Fatal(err)
	}
	d.WriteFile(configPath, []byte(withID(knownID)), 0o644)
	if err := open(t, d, location).Recover(ctx); err != nil {
		t.Error(err)
	}
	wantFiles(t, d, withID(knownID), otherID)
	if rec, err := store.Maintain(ctx, other); err != nil || rec.ID != other || !rec.Written {
		t.Errorf("got %+v, %v", rec, err)
	}
	wantFiles(t, d, withID(otherID), otherID)
}

// TestRetiredKilled kills a reset after each of its steps, and cuts the power.
// Once the reset is done, an old copy does not bring the ID back. Before, the ID
// that comes next is not one that the reset retired.
func TestRetiredKilled(t *testing.T) {
	for steps, killed := 1, true; killed; steps++ {
		if steps > 100 {
			t.Fatal("it never comes to its end")
		}
		synctest.Test(t, func(t *testing.T) {
			d, ctx := disk(withID(knownID), knownID), t.Context()
			p := d.As("p")
			store := open(t, p, location)
			p.StepLimit(steps)
			_, err := store.Replace(ctx, known, other)
			killed = p.Killed()
			check := func(d *faultfs.FS, what string, done bool) {
				records := openRecords(t, d, location)
				w, err := records.ReadWithdrawals(ctx, known)
				if err != nil || done && !w.Retired {
					t.Errorf("step %d, %s: got %+v, %v, done: %v", steps, what, w, err, done)
				}
				d.WriteFile(configPath, []byte(withID(knownID)), 0o644)
				rec, err := open(t, d, location).Load(ctx)
				if (rec.ID == known) == w.Retired {
					t.Errorf("step %d, %s: got %+v, %v, retired: %v", steps, what, rec, err, w.Retired)
				}
			}
			for cut := range d.SampleCrashStates(30, uint64(steps)) {
				check(cut, cut.Origin(), err == nil)
			}
			check(d, "killed", err == nil)
		})
	}
}

// TestLedgerBound: the last 256 IDs are retired, and the file stays small.
func TestLedgerBound(t *testing.T) {
	d, ctx := disk(withoutID, ""), t.Context()
	records := openRecords(t, d, location)
	ids := make([]installid.ID, 260)
	for i := range ids {
		ids[i] = installid.New()
		if err := records.Retire(ctx, ids[i]); err != nil {
			t.Fatal(err)
		}
	}
	if err := records.Retire(ctx, ids[259]); err != nil { // twice is once
		t.Error(err)
	}
	for i, id := range ids {
		if w, err := records.ReadWithdrawals(ctx, id); err != nil || w.Retired != (i >= 4) {
			t.Errorf("%d: got %+v, %v", i, w, err)
		}
	}
	text, _ := d.ReadFile(retiredPath)
	if lines := strings.Split(strings.TrimSpace(string(text)), "\n"); len(lines) != 257 || !strings.HasPrefix(lines[0], "# ") || len(lines[1]) != 64 {
		t.Errorf("got %d lines, the first %q and %q", len(lines), lines[0], lines[1])
	}
	for _, id := range ids {
		if strings.Contains(string(text), id.String()) {
			t.Error("an ID itself is in the file")
		}
	}
}

// TestLedgerUnreadable: the stored ID is kept, and nothing is written.
func TestLedgerUnreadable(t *testing.T) {
	tests := map[string]func(d *faultfs.FS){
		"garbage":   func(d *faultfs.FS) { d.WriteFile(retiredPath, []byte("rubbish\n"), 0o644) },
		"cut short": func(d *faultfs.FS) { d.WriteFile(retiredPath, []byte("# x\n"+strings.Repeat("a", 63)+"\n"), 0o644) },
		"empty":     func(d *faultfs.FS) { d.WriteFile(retiredPath, nil, 0o644) },
		"too large": func(d *faultfs.FS) { d.WriteFile(retiredPath, []byte(strings.Repeat("#", 20_000)), 0o644) },
		"directory": func(d *faultfs.FS) { d.MkdirAll(retiredPath, 0o755) },
		"link":      func(d *faultfs.FS) { d.Symlink("/mnt/gone/retired-ids", retiredPath) },
		"read error": func(d *faultfs.FS) {
			d.Inject(faultfs.Rule{Op: faultfs.OpRead, Name: "*.retired-ids", Err: syscall.EIO})
			d.WriteFile(retiredPath, []byte("# x\n"), 0o644)
		},
		"not readable": func(d *faultfs.FS) {
			d.WriteFile(retiredPath, []byte("# x\n"), 0o600)
			d.Chmod("/srv/app", 0o777)
			d.Chmod(configPath, 0o666)
			d.SetUser(1000, 1000)
		},
	}
	for name, break_ := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := disk(withID(knownID), otherID)
				break_(d)
				d.ResetLog()
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
				defer cancel()
				if rec, err := open(t, d, location).Load(ctx); err != nil || rec.ID != known {
					t.Errorf("Load: got %+v, %v", rec, err)
				}
				time.Sleep(2 * time.Minute)
				ctx, cancel = context.WithTimeout(t.Context(), 5*time.Second)
				defer cancel()
				store, records := open(t, d, location), openRecords(t, d, location)
				_, saveErr := store.Save(ctx, known)
				_, maintainErr := store.Maintain(ctx, known)
				_, replaceErr := store.Replace(ctx, known, other)
				retireErr := records.Retire(ctx, known)
				_, readErr := records.ReadWithdrawals(ctx, known)
				store.Recover(ctx)
				for what, err := range map[string]error{
					"Save": saveErr, "Maintain": maintainErr, "Replace": replaceErr, "Retire": retireErr, "ReadWithdrawals": readErr,
				} {
					if err == nil || !strings.Contains(faultfs.Slashed(err.Error()), retiredPath) {
						t.Errorf("%s: got error %v, want one that names the file", what, err)
					}
				}
				time.Sleep(time.Hour)
				for _, e := range d.Log() {
					if e.Mutates() {
						t.Errorf("changed something: %v", e)
					}
				}
			})
		})
	}
}

// TestLedgerHangs: an ID in the config is used although the disk of a separate
// anchor hangs. Nothing is sent meanwhile, since the withdrawals are not known.
func TestLedgerHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := disk(withID(knownID), "")
		d.MkdirAll(stateDir, 0o755)
		d.WriteFile(stateDir+"/.config.json.retired-ids", []byte("# x\n"), 0o644)
		d.Inject(faultfs.Rule{Name: "*.retired-ids", Delay: time.Hour})
		begin := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if rec, err := open(t, d, apart).Load(ctx); err != nil || rec.ID != known || time.Since(begin) > 2*time.Second {
			t.Errorf("got %+v, %v after %v", rec, err, time.Since(begin))
		}
		if _, err := openRecords(t, d, apart).ReadWithdrawals(ctx, known); err == nil {
			t.Error("no error from withdrawals that cannot be read")
		}
		time.Sleep(24 * time.Hour)
	})
}

var denial = idstore.Denial{Denied: true, Since: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), By: "rollcall disable"}

// TestDenials: a denial is recorded for people to read, each consent for itself,
// and lasts until it is granted or the file is removed.
func TestDenials(t *testing.T) {
	for name, tt := range map[string]struct {
		location idstore.Location
		path     string
	}{
		"config":                {location, denialsPath},
		"separate anchor":       {apart, "/var/lib/app/.config.json.telemetry-denied"},
		"state file":            {stateFile, "/var/lib/app/telemetry-denied"},
		"functions of the host": {hostKeeps, "/var/lib/app/telemetry-denied"},
	} {
		t.Run(name, func(t *testing.T) {
			d, ctx := disk(withoutID, ""), t.Context()
			d.Chmod(configPath, 0o444) // the operator orders it all the same
			records := openRecords(t, d, tt.location)
			want := func(what string, w idstore.Withdrawals) {
				t.Helper()
				if got, err := openRecords(t, d, tt.location).ReadWithdrawals(ctx, known); err != nil || got != w {
					t.Errorf("%s: got %+v, %v, want %+v", what, got, err, w)
				}
			}
			do := func(what string, err error) {
				t.Helper()
				if err != nil {
					t.Errorf("%s: %v", what, err)
				}
			}
			want("before", idstore.Withdrawals{})
			do("grant without a denial", records.Grant(ctx, idstore.Telemetry, idstore.Denial{}))
			do("deny", records.Deny(ctx, idstore.Telemetry, denial))
			want("denied", idstore.Withdrawals{Telemetry: denial})
			const text = `{
  "note": "The operator denied this through Rollcall. It stays denied, whatever the config says, until it is granted through Rollcall: with 'rollcall enable', on the operator's page, or by the library's SetConsent. Removing this file ends the denial too.",
  "telemetry": {
    "denied_at": "2026-01-02T03:04:05Z",
    "by": "rollcall disable"
  }
}
`
			if got, _ := d.ReadFile(tt.path); string(got) != text {
				t.Errorf("got\n%s\nwant\n%s", got, text)
			}
			later := denial
			later.Since = later.Since.Add(time.Hour)
			do("deny again", records.Deny(ctx, idstore.Telemetry, later))
			want("denied again by the same", idstore.Withdrawals{Telemetry: denial})
			later.By = "page"
			do("deny on the page", records.Deny(ctx, idstore.Telemetry, later))
			do("deny health reports", records.Deny(ctx, idstore.Health, denial))
			want("both", idstore.Withdrawals{Telemetry: later, Health: denial})
			do("take back another denial", records.Grant(ctx, idstore.Telemetry, denial))
			want("still both", idstore.Withdrawals{Telemetry: later, Health: denial})
			do("take back this denial", records.Grant(ctx, idstore.Telemetry, later))
			want("health reports", idstore.Withdrawals{Health: denial})
			do("deny the update check", records.Deny(ctx, idstore.UpdateCheck, later))
			want("both again", idstore.Withdrawals{Health: denial, UpdateCheck: later})
			do("grant", records.Grant(ctx, idstore.Health, idstore.Denial{}))
			want("the update check", idstore.Withdrawals{UpdateCheck: later})
			do("grant the update check", records.Grant(ctx, idstore.UpdateCheck, idstore.Denial{}))
			want("granted", idstore.Withdrawals{})
			if _, err := d.ReadFile(tt.path); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("the file is still there: %v", err)
			}
		})
	}
	records, ctx := openRecords(t, faultfs.New(), idstore.Location{}), t.Context()
	if err := errors.Join(records.Grant(ctx, idstore.Health, idstore.Denial{})); err != nil {
		t.Errorf("grant without a place: %v", err)
	}
	for what, err := range map[string]error{"deny": records.Deny(ctx, idstore.Health, denial), "retire": records.Retire(ctx, known)} {
		if !errors.Is(err, idstore.ErrNoPlace) {
			t.Errorf("%s without a place: got %v", what, err)
		}
	}
	if w, err := records.ReadWithdrawals(ctx, known); err != nil || w != (idstore.Withdrawals{}) {
		t.Errorf("read without a place: got %+v, %v", w, err)
	}
}

// TestDenialUnreadable: what cannot be read denies. An explicit grant repairs a
// file that is damaged, and leaves the other consent denied.
func TestDenialUnreadable(t *testing.T) {
	for name, text := range map[string]string{
		"empty": "", "garbage": "no", "cut short": `{"telemetry": {"denied_at`,
		"no denial": "{}", "null": `{"telemetry": null}`, "of a later version": `{"performance": {"by": "x"}}`,
	} {
		t.Run(name, func(t *testing.T) {
			d, ctx := disk(withoutID, ""), t.Context()
			d.WriteFile(denialsPath, []byte(text), 0o644)
			records := openRecords(t, d, location)
			if w, err := records.ReadWithdrawals(ctx, known); err == nil || faultfs.Slashed(w.Unread) != denialsPath {
				t.Errorf("got %+v, %v", w, err)
			}
			if err := records.Grant(ctx, idstore.Telemetry, idstore.Denial{}); err != nil {
				t.Fatal(err)
			}
			w, err := records.ReadWithdrawals(ctx, known)
			if err != nil || w.Telemetry.Denied || !w.Health.Denied || !w.UpdateCheck.Denied {
				t.Errorf("after a grant: got %+v, %v", w, err)
			}
		})
	}
	t.Run("link to a disk that is not mounted", func(t *testing.T) {
		d, ctx := disk(withoutID, ""), t.Context()
		d.Symlink("/mnt/gone/denied", denialsPath)
		records := openRecords(t, d, location)
		if w, err := records.ReadWithdrawals(ctx, known); !errors.Is(err, anchor.ErrDangling) || faultfs.Slashed(w.Unread) != denialsPath {
			t.Errorf("got %+v, %v", w, err)
		}
		for what, err := range map[string]error{
			"grant": records.Grant(ctx, idstore.Telemetry, idstore.Denial{}), "deny": records.Deny(ctx, idstore.Telemetry, denial),
		} {
			if !errors.Is(err, anchor.ErrDangling) {
				t.Errorf("%s: got %v", what, err)
			}
		}
	})
	// A time or a name that nobody understands is still a denial.
	for _, text := range []string{`{"telemetry": {"denied_at": 7}}`, `{"telemetry": {"by": "x"}}`, `{"telemetry": {"denied_at": "yesterday", "by": null}}`, `{"telemetry": []}`, `{"telemetry": {}}`, "[]"} {
		d := disk(withoutID, "")
		d.WriteFile(denialsPath, []byte(text), 0o644)
		if w, err := openRecords(t, d, location).ReadWithdrawals(t.Context(), known); err != nil || !w.Telemetry.Denied || !w.Telemetry.Since.IsZero() {
			t.Errorf("%s: got %+v, %v", text, w, err)
		}
	}
}

// TestDenialKilled kills a denial and a grant after each of their steps, and
// cuts the power. The file is old or new, and what is done is durable.
func TestDenialKilled(t *testing.T) {
	type change func(ctx context.Context, records idstore.Records) error
	deny := func(ctx context.Context, records idstore.Records) error {
		return records.Deny(ctx, idstore.Telemetry, denial)
	}
	denyHealth := func(ctx context.Context, records idstore.Records) error {
		return records.Deny(ctx, idstore.Health, denial)
	}
	grant := func(ctx context.Context, records idstore.Records) error {
		return records.Grant(ctx, idstore.Telemetry, idstore.Denial{})
	}
	none, telemetry := idstore.Withdrawals{}, idstore.Withdrawals{Telemetry: denial}
	both := idstore.Withdrawals{Telemetry: denial, Health: denial}
	for name, tt := range map[string]struct {
		before      []change
		do          change
		old, wanted idstore.Withdrawals
	}{
		"deny":              {nil, deny, none, telemetry},
		"deny the other":    {[]change{deny}, denyHealth, telemetry, both},
		"grant":             {[]change{deny}, grant, telemetry, none},
		"grant one of both": {[]change{deny, denyHealth}, grant, both, idstore.Withdrawals{Health: denial}},
	} {
		t.Run(name, func(t *testing.T) {
			for steps, killed := 1, true; killed; steps++ {
				if steps > 100 {
					t.Fatal("it never comes to its end")
				}
				synctest.Test(t, func(t *testing.T) {
					d, ctx := disk(withoutID, ""), t.Context()
					for _, change := range tt.before {
						if err := change(ctx, openRecords(t, d, location)); err != nil {
							t.Fatal(err)
						}
					}
					p := d.As("p")
					records := openRecords(t, p, location)
					p.StepLimit(steps)
					done := tt.do(ctx, records) == nil
					killed = p.Killed()
					check := func(d *faultfs.FS, what string) {
						w, err := openRecords(t, d, location).ReadWithdrawals(ctx, known)
						if err != nil || w != tt.wanted && (done || w != tt.old) {
							t.Errorf("step %d, %s: got %+v, %v, done: %v", steps, what, w, err, done)
						}
					}
					check(d, "killed")
					for cut := range d.SampleCrashStates(30, uint64(steps)) {
						check(cut, cut.Origin())
					}
				})
			}
		})
	}
}

// TestRacingWithdrawals: of 40 processes that retire an ID at the same time, each
// with its own, no entry is lost.
func TestRacingWithdrawals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, ctx := disk(withoutID, ""), t.Context()
		d.Inject(faultfs.Rule{Op: faultfs.OpLink, Delay: time.Millisecond})
		d.Inject(faultfs.Rule{Op: faultfs.OpExchange, Delay: time.Millisecond})
		var running sync.WaitGroup
		ids := make([]installid.ID, 40)
		for i := range ids {
			ids[i] = installid.New()
			records := openRecords(t, d.As(fmt.Sprint(i)), location)
			running.Go(func() {
				if err := records.Retire(ctx, ids[i]); err != nil {
					t.Error(err)
				}
			})
		}
		running.Wait()
		for i, id := range ids {
			if w, err := openRecords(t, d, location).ReadWithdrawals(ctx, id); err != nil || !w.Retired {
				t.Errorf("%d: got %+v, %v", i, w, err)
			}
		}
	})
}
