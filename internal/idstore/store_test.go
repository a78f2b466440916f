package idstore_test

import (
	"context"
	"errors"
	"testing"

	"github.com/rollcall-dev/rollcall/installid"
	"github.com/rollcall-dev/rollcall/internal/idstore"
	"github.com/rollcall-dev/rollcall/internal/jsonedit"
	"github.com/rollcall-dev/rollcall/internal/keeper"
	"github.com/rollcall-dev/rollcall/internal/test/faultfs"
)

const (
	configPath = "/srv/app/config.json"
	anchorPath = "/srv/app/.config.json.installation-id"

	knownID = "0b9d6f1e-7a3c-4d52-9c41-5f6e7d8c9b0a"
	otherID = "7c1f0e2d-3b4a-4c5d-8e9f-a0b1c2d3e4f5"
)

var idKey, enabledKey = jsonedit.Key{"telemetry", "installation_id"}, jsonedit.Key{"telemetry", "enabled"}

var known, other = mustParse(knownID), mustParse(otherID)

func mustParse(text string) installid.ID {
	id, err := installid.Parse(text)
	if err != nil {
		panic(err)
	}
	return id
}

// abs makes the paths of a location absolute on every system.
func abs(l idstore.Location) idstore.Location {
	for _, path := range []*string{&l.ConfigPath, &l.StateFile, &l.AnchorDir, &l.PolicyPath} {
		*path = faultfs.Abs(*path)
	}
	return l
}

func open(t *testing.T, disk *faultfs.FS, l idstore.Location) keeper.Store {
	t.Helper()
	store, err := abs(l).Open(disk)
	if err != nil {
		t.Fatal(err)
	}
	return store
}

// TestStores holds every store to what keeper.Store promises.
func TestStores(t *testing.T) {
	on := func(l idstore.Location) func(t *testing.T) keeper.Store {
		return func(t *testing.T) keeper.Store { return open(t, faultfs.New(), l) }
	}
	const hostFunctions = "functions of the host"
	stores := map[string]func(t *testing.T) keeper.Store{
		"config":                  on(idstore.Location{ConfigPath: configPath, Key: idKey}),
		"config, separate anchor": on(idstore.Location{ConfigPath: configPath, Key: idKey, AnchorDir: "/var/lib/app"}),
		"config, other keys":      on(idstore.Location{ConfigPath: configPath, Key: jsonedit.Key{"a.b", "c"}, EnabledKey: jsonedit.Key{"on"}}),
		"state file":              on(idstore.Location{StateFile: "/var/lib/app/installation-id"}),
		hostFunctions: func(t *testing.T) keeper.Store {
			var stored string
			return funcs(t,
				func(context.Context) (string, error) { return stored, nil },
				func(_ context.Context, id string) error { stored = id; return nil })
		},
	}
	for name, newStore := range stores {
		t.Run(name, func(t *testing.T) {
			store, ctx := newStore(t), t.Context()
			check := func(what string, rec keeper.Record, err error, want installid.ID, written bool) {
				t.Helper()
				if err != nil || rec.ID != want || rec.Written != written || rec.Incomplete || rec.Invalid || rec.Place == "" {
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
			if name != hostFunctions { // which only set
				rec, err = store.Save(ctx, other)
				check("Save another", rec, err, known, false)
			}
			rec, err = store.Replace(ctx, known, other)
			check("Replace", rec, err, other, true)
			rec, err = store.Load(ctx)
			check("Load", rec, err, other, false)
			if rec, err = store.Maintain(ctx, other); err != nil || rec != (keeper.Record{}) {
				check("Maintain", rec, err, other, false)
			}
			if err := store.Recover(ctx); err != nil {
				t.Errorf("Recover: %v", err)
			}
			if op, since := store.Running(); op != "" || !since.IsZero() {
				t.Errorf("got %q in flight since %v", op, since)
			}
			canceled, cancel := context.WithCancel(ctx)
			cancel()
			if _, err := store.Load(canceled); !errors.Is(err, context.Canceled) {
				t.Errorf("Load with a canceled context: got error %v", err)
			}
			if _, err := store.Save(canceled, other); !errors.Is(err, context.Canceled) {
				t.Errorf("Save with a canceled context: got error %v", err)
			}
		})
	}
}

func TestFixed(t *testing.T) {
	store, ctx := idstore.NewFixed(known, "envelope"), t.Context()
	want := keeper.Record{ID: known, Place: "envelope"}
	if rec, err := store.Load(ctx); err != nil || rec != want {
		t.Errorf("Load: got %+v, %v", rec, err)
	}
	if rec, err := store.Save(ctx, other); err != nil || rec != want {
		t.Errorf("Save: got %+v, %v", rec, err)
	}
	if rec, err := store.Replace(ctx, known, other); err == nil || !rec.ID.IsZero() {
		t.Errorf("Replace: got %+v, %v", rec, err)
	}
	if rec, err := store.Maintain(ctx, known); err != nil || rec != (keeper.Record{}) {
		t.Errorf("Maintain: got %+v, %v", rec, err)
	}
	if err := store.Recover(ctx); err != nil {
		t.Errorf("Recover: %v", err)
	}
}

func TestOpenRefuses(t *testing.T) {
	for name, l := range map[string]idstore.Location{
		"nothing":             {},
		"both":                {ConfigPath: "/a", StateFile: "/b"},
		"relative config":     {ConfigPath: "a", Key: idKey},
		"relative state file": {StateFile: "a"},
		"relative anchor":     {ConfigPath: "/a", Key: idKey, AnchorDir: "b"},
		"no key":              {ConfigPath: "/a"},
		"empty name in key":   {ConfigPath: "/a", Key: jsonedit.Key{"a", ""}},
	} {
		if store, err := abs(l).Open(faultfs.New()); err == nil {
			t.Errorf("%s: got %v", name, store)
		}
	}
}

// TestHostErrors checks that the IDs in an error of the host's functions are
// shortened, and that nothing else is.
func TestHostErrors(t *testing.T) {
	cause := errors.New("row " + knownID + " and " + otherID + ", " + knownID[:30])
	store := funcs(t,
		func(context.Context) (string, error) { return "", cause },
		func(context.Context, string) error { panic(otherID) })
	_, err := store.Load(t.Context())
	if want := "row 0b9d6f1e... and 7c1f0e2d..., " + knownID[:30]; !errors.Is(err, cause) || err.Error() != want {
		t.Errorf("got %q, want %q", err, want)
	}
	_, err = store.Save(t.Context(), known)
	if want := "save to the host's settings: panic: 7c1f0e2d..."; err == nil || err.Error() != want {
		t.Errorf("got %q, want %q", err, want)
	}
	plain := errors.New("no connection")
	store = funcs(t, func(context.Context) (string, error) { return "", plain }, nil)
	if _, err := store.Load(t.Context()); err != plain {
		t.Errorf("got %v, want the error as it is", err)
	}
}

// funcs returns a store of functions, without a directory for anything else.
func funcs(t *testing.T, load func(context.Context) (string, error), save func(context.Context, string) error) keeper.Store {
	t.Helper()
	store, err := idstore.Location{}.OpenFuncs(faultfs.New(), load, save)
	if err != nil {
		t.Fatal(err)
	}
	return store
}
