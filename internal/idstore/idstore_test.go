package idstore_test

import (
	"context"
	"errors"
	"path/filepath"
	"testing"

	"github.com/rollcall-dev/rollcall/installid"
	"github.com/rollcall-dev/rollcall/internal/idstore"
	"github.com/rollcall-dev/rollcall/internal/jsonedit"
	"github.com/rollcall-dev/rollcall/internal/keeper"
	"github.com/rollcall-dev/rollcall/internal/test/faultfs"
)

// TestStores holds every store to what the interface says.
func TestStores(t *testing.T) {
	const path = "/srv/app/config.json"
	open := func(l idstore.Location) func(t *testing.T) keeper.Store {
		return func(t *testing.T) keeper.Store {
			store, err := l.OpenFS(faultfs.New())
			if err != nil {
				t.Fatal(err)
			}
			return store
		}
	}
	stores := map[string]func(t *testing.T) keeper.Store{
		"config":               open(idstore.Location{ConfigPath: path}),
		"config, anchor apart": open(idstore.Location{ConfigPath: path, AnchorDir: "/var/lib/app"}),
		"config, other keys":   open(idstore.Location{ConfigPath: path, Key: jsonedit.Key{"a.b", "c"}, EnabledKey: jsonedit.Key{"on"}}),
		"state file":           open(idstore.Location{StateFile: "/var/lib/app/installation-id"}),
		"functions of the host": func(t *testing.T) keeper.Store {
			var stored string
			store, err := idstore.NewFuncs(
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
			check := func(what string, rec keeper.Record, err error, want installid.ID, written bool) {
				t.Helper()
				if err != nil || rec.ID != want || rec.Written != written || rec.Incomplete || rec.Replaced || rec.Place == "" {
					t.Errorf("%s: got %+v, %v", what, rec, err)
				}
			}
			rec, err := store.Load(ctx)
			if !errors.Is(err, keeper.ErrNotFound) || !rec.ID.IsZero() || rec.Place == "" {
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
			if m, ok := store.(keeper.Maintainer); ok {
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
	l := idstore.Location{ConfigPath: "/srv/app/config.json", EnabledKey: jsonedit.Key{"telemetry", "enabled"}}
	store, err := l.OpenFS(faultfs.New())
	if err != nil {
		t.Fatal(err)
	}
	rec, err := store.Save(t.Context(), mustParse(knownID))
	if err != nil || rec.Enabled != (jsonedit.Value{Kind: jsonedit.Bool, Text: "false"}) {
		t.Errorf("got %+v, %v", rec, err)
	}
	loaded, err := store.Load(t.Context())
	if err != nil || loaded.Enabled != rec.Enabled {
		t.Errorf("got %+v, %v when it was read", loaded, err)
	}
}

func TestFixedStore(t *testing.T) {
	if _, err := idstore.NewFixed(installid.ID{}, "nowhere"); err == nil {
		t.Error("no ID: got no error")
	}
	store, err := idstore.NewFixed(mustParse(knownID), "envelope")
	if err != nil {
		t.Fatal(err)
	}
	want := keeper.Record{ID: mustParse(knownID), Place: "envelope"}
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
	for name, l := range map[string]idstore.Location{
		"nothing":             {},
		"both":                {ConfigPath: "/a", StateFile: "/b"},
		"relative config":     {ConfigPath: "a"},
		"relative state file": {StateFile: "a"},
		"empty name in key":   {ConfigPath: "/a", Key: jsonedit.Key{"a", ""}},
	} {
		if store, err := l.OpenFS(faultfs.New()); err == nil {
			t.Errorf("%s: got %v", name, store)
		}
	}
	if _, err := idstore.NewFuncs(nil, func(context.Context, string) error { return nil }); err == nil {
		t.Error("no Load: got no error")
	}
	if _, err := idstore.NewStateFile(filepath.Join("relative", "path")); err == nil {
		t.Error("relative state file: got no error")
	}
}

// TestHostErrors: what the host's functions say of an ID is not passed on, and everything else is.
func TestHostErrors(t *testing.T) {
	cause := errors.New("row " + knownID + " and " + otherID + ", " + knownID[:30])
	store, err := idstore.NewFuncs(
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

const (
	knownID = "0b9d6f1e-7a3c-4d52-9c41-5f6e7d8c9b0a"
	otherID = "7c1f0e2d-3b4a-4c5d-8e9f-a0b1c2d3e4f5"
)

func mustParse(text string) installid.ID {
	id, err := installid.Parse(text)
	if err != nil {
		panic(err)
	}
	return id
}
