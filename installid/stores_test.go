package installid_test

import (
	"context"
	"errors"
	"path/filepath"
	"testing"

	"github.com/rollcall-dev/rollcall/installid"
	"github.com/rollcall-dev/rollcall/internal/configfile"
	"github.com/rollcall-dev/rollcall/internal/test/faultfs"
)

// TestStores holds every store to what the interface says.
func TestStores(t *testing.T) {
	const path = "/srv/app/config.json"
	open := func(l installid.Location) func(t *testing.T) installid.Store {
		return func(t *testing.T) installid.Store {
			store, err := l.OpenFS(faultfs.New())
			if err != nil {
				t.Fatal(err)
			}
			return store
		}
	}
	stores := map[string]func(t *testing.T) installid.Store{
		"config":               open(installid.Location{ConfigPath: path}),
		"config, anchor apart": open(installid.Location{ConfigPath: path, AnchorDir: "/var/lib/app"}),
		"config, other keys":   open(installid.Location{ConfigPath: path, Key: configfile.Key{"a.b", "c"}, EnabledKey: configfile.Key{"on"}}),
		"state file":           open(installid.Location{StateFile: "/var/lib/app/installation-id"}),
		"functions of the host": func(t *testing.T) installid.Store {
			var stored string
			store, err := installid.NewFuncStore(
				func(context.Context) (string, error) { return stored, nil },
				func(_ context.Context, id string) error { stored = id; return nil })
			if err != nil {
				t.Fatal(err)
			}
			return store
		},
	}
	known, other := mustParse(knownID), mustParse(otherID)
	for name, make := range stores {
		t.Run(name, func(t *testing.T) {
			store, ctx := make(t), t.Context()
			check := func(what string, rec installid.Record, err error, want installid.ID, written bool) {
				t.Helper()
				if err != nil || rec.ID != want || rec.Written != written || rec.Incomplete || rec.Replaced || rec.Place == "" {
					t.Errorf("%s: got %+v, %v", what, rec, err)
				}
			}
			rec, err := store.Load(ctx)
			if !errors.Is(err, installid.ErrNotFound) || !rec.ID.IsZero() || rec.Place == "" {
				t.Errorf("Load: got %+v, %v", rec, err)
			}
			rec, err = store.Save(ctx, known)
			check("Save", rec, err, known, true)
			rec, err = store.Load(ctx)
			check("Load", rec, err, known, false)
			if name != "functions of the host" { // which are a plain "set"
				rec, err = store.Save(ctx, other)
				check("Save another", rec, err, known, false)
			}
			rec, err = store.Replace(ctx, other)
			check("Replace", rec, err, other, true)
			rec, err = store.Load(ctx)
			check("Load", rec, err, other, false)
			if m, ok := store.(installid.Maintainer); ok {
				rec, err = m.Maintain(ctx, other)
				check("Maintain", rec, err, other, false)
				if err := m.Recover(ctx); err != nil {
					t.Errorf("Sweep: %v", err)
				}
			}
			ended, cancel := context.WithCancel(ctx)
			cancel()
			if _, err := store.Load(ended); !errors.Is(err, context.Canceled) {
				t.Errorf("Load with an ended context: got error %v", err)
			}
			if _, err := store.Save(ended, known); !errors.Is(err, context.Canceled) {
				t.Errorf("Save with an ended context: got error %v", err)
			}
		})
	}
}

// TestFreshConfig: the record of a save that made the config says what is in it.
func TestFreshConfig(t *testing.T) {
	l := installid.Location{ConfigPath: "/srv/app/config.json", EnabledKey: configfile.Key{"telemetry", "enabled"}}
	store, err := l.OpenFS(faultfs.New())
	if err != nil {
		t.Fatal(err)
	}
	rec, err := store.Save(t.Context(), mustParse(knownID))
	if err != nil || rec.Enabled != (configfile.Value{Kind: configfile.Bool, Text: "false"}) {
		t.Errorf("got %+v, %v", rec, err)
	}
	loaded, err := store.Load(t.Context())
	if err != nil || loaded.Enabled != rec.Enabled {
		t.Errorf("got %+v, %v when it was read", loaded, err)
	}
}

func TestFixedStore(t *testing.T) {
	if _, err := installid.NewFixedStore(installid.ID{}, "nowhere"); err == nil {
		t.Error("no ID: got no error")
	}
	store, err := installid.NewFixedStore(mustParse(knownID), "envelope")
	if err != nil {
		t.Fatal(err)
	}
	want := installid.Record{ID: mustParse(knownID), Place: "envelope"}
	if rec, err := store.Load(t.Context()); err != nil || rec != want {
		t.Errorf("Load: got %+v, %v", rec, err)
	}
	if rec, err := store.Save(t.Context(), mustParse(otherID)); err != nil || rec != want {
		t.Errorf("Save: got %+v, %v", rec, err)
	}
	if rec, err := store.Replace(t.Context(), mustParse(otherID)); err == nil || !rec.ID.IsZero() {
		t.Errorf("Replace: got %+v, %v", rec, err)
	}
}

func TestOpenRefuses(t *testing.T) {
	for name, l := range map[string]installid.Location{
		"nothing":             {},
		"both":                {ConfigPath: "/a", StateFile: "/b"},
		"relative config":     {ConfigPath: "a"},
		"relative state file": {StateFile: "a"},
		"empty name in key":   {ConfigPath: "/a", Key: configfile.Key{"a", ""}},
	} {
		if store, err := l.OpenFS(faultfs.New()); err == nil {
			t.Errorf("%s: got %v", name, store)
		}
	}
	if _, err := installid.NewFuncStore(nil, func(context.Context, string) error { return nil }); err == nil {
		t.Error("no Load: got no error")
	}
	if _, err := installid.NewStateStore(filepath.Join("relative", "path")); err == nil {
		t.Error("relative state file: got no error")
	}
}

// TestHostErrors: what the host's functions say of an ID is not passed on, and everything else is.
func TestHostErrors(t *testing.T) {
	cause := errors.New("row " + knownID + " and " + otherID + ", " + knownID[:30])
	store, err := installid.NewFuncStore(
		func(context.Context) (string, error) { return "", cause },
		func(context.Context, string) error { panic(otherID) })
	if err != nil {
		t.Fatal(err)
	}
	_, err = store.Load(t.Context())
	if want := "row 0b9d6f1e... and 7c1f0e2d..., " + knownID[:30]; !errors.Is(err, cause) || err.Error() != want {
		t.Errorf("got %q, want %q", err, want)
	}
	_, err = store.Save(t.Context(), mustParse(knownID))
	if want := "save to the host's settings: panic: 7c1f0e2d..."; err == nil || err.Error() != want {
		t.Errorf("got %q, want %q", err, want)
	}
}
