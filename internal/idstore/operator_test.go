package idstore_test

import (
	"context"
	"errors"
	"io/fs"
	"strings"
	"testing"

	"github.com/rollcall-dev/rollcall/internal/idstore"
	"github.com/rollcall-dev/rollcall/internal/test/faultfs"
)

// TestToken: where the token is, that it is created once, and its mode.
func TestToken(t *testing.T) {
	tests := []struct {
		name     string
		location idstore.Location
		file     string
	}{
		{"config", location, "/srv/app/.config.json.rollcall-token"},
		{"config, separate anchor", apart, "/var/lib/app/.config.json.rollcall-token"},
		{"state file", idstore.Location{StateFile: "/var/lib/app/id"}, "/var/lib/app/.id.rollcall-token"},
		{"host functions", idstore.Location{AnchorDir: "/var/lib/app"}, "/var/lib/app/.installation.rollcall-token"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := disk(withoutID, "")
			d.SetUmask(0)
			records, ctx := openRecords(t, d, tt.location), t.Context()
			if o, err := records.ReadOperator(ctx); !errors.Is(err, fs.ErrNotExist) || o.Token != "" {
				t.Errorf("before it was created: got %+v, %v", o, err)
			}
			if files := strings.Join(d.Files(), " "); strings.Contains(files, "token") {
				t.Errorf("reading created a file: %s", files)
			}
			created, err := records.CreateToken(ctx)
			if err != nil || len(created.Token) != 26 || faultfs.Slashed(created.TokenPath) != tt.file {
				t.Fatalf("got %+v, %v, want a token in %s", created, err, tt.file)
			}
			if a, err := d.Attributes(tt.file); err != nil || a.Mode.Perm() != 0o600 {
				t.Errorf("got mode %v, %v, want 0600", a.Mode, err)
			}
			other := openRecords(t, d.As("another process"), tt.location)
			if again, err := other.CreateToken(ctx); again != created || err != nil {
				t.Errorf("created again: got %+v, %v, want %+v", again, err, created)
			}
			if read, err := other.ReadOperator(ctx); read != created || err != nil {
				t.Errorf("read: got %+v, %v, want %+v", read, err, created)
			}
		})
	}
}

// TestTokenNotPrivate: the error says what to do.
func TestTokenNotPrivate(t *testing.T) {
	d := disk(withoutID, "")
	records, ctx := openRecords(t, d, location), t.Context()
	o, err := records.CreateToken(ctx)
	if err != nil {
		t.Fatal(err)
	}
	d.Chmod(faultfs.Slashed(o.TokenPath), 0o644)
	for what, do := range map[string]func(context.Context) (idstore.Operator, error){"create": records.CreateToken, "read": records.ReadOperator} {
		if o, err := do(ctx); err == nil || !strings.Contains(err.Error(), "mode is 0644; others may know the token, so remove it and restart the agent") || o.Token != "" {
			t.Errorf("%s: got %+v, %v", what, o, err)
		}
	}
}

func TestTokenOfNoPlace(t *testing.T) {
	o, err := openRecords(t, faultfs.New(), idstore.Location{}).CreateToken(t.Context())
	if !errors.Is(err, idstore.ErrNoPlace) || o != (idstore.Operator{Owner: -1}) {
		t.Errorf("got %+v, %v", o, err)
	}
}

// TestTokenBesideReadOnlyConfig: nothing is written next to a read-only config.
func TestTokenBesideReadOnlyConfig(t *testing.T) {
	for _, l := range []idstore.Location{location, apart} {
		d := disk(withoutID, "")
		d.Chmod(configPath, 0o444)
		_, err := openRecords(t, d, l).CreateToken(t.Context())
		if (err == nil) != (l.AnchorDir != "") {
			t.Errorf("AnchorDir %q: got error %v", l.AnchorDir, err)
		}
		if want := "nothing is written beside the config: "; err != nil && !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got error %v, want %q", err, want)
		}
	}
}

// TestNoToken: what is not a token is not used, and not quoted.
func TestNoToken(t *testing.T) {
	const file = "/srv/app/.config.json.rollcall-token"
	for _, text := range []string{"", "secret", strings.Repeat("A", 25), strings.Repeat("A", 27), strings.Repeat("a", 26), strings.Repeat("A", 4000)} {
		d := disk(withoutID, "")
		d.WriteFile(file, []byte(text), 0o600)
		o, err := openRecords(t, d, location).ReadOperator(t.Context())
		if err == nil || o.Token != "" || text != "" && strings.Contains(err.Error(), text) {
			t.Errorf("%q: got %+v, %v", text, o, err)
		}
	}
}
