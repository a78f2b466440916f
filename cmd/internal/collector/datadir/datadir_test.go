package datadir_test

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/audit"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/datadir"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/sqlite"
)

var create = datadir.Options{Create: true}

// open opens a data directory until the end of the test.
func open(t *testing.T, path string) *datadir.Dir {
	t.Helper()
	d, err := datadir.Open(t.Context(), path, create)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	return d
}

// withApp creates a data directory with one app.
func withApp(t *testing.T, path, app string) {
	t.Helper()
	d := open(t, path)
	if _, err := d.Collector.AddApp(t.Context(), collector.App{Key: app}); err != nil {
		t.Fatal(err)
	}
	d.Close()
}

func apps(t *testing.T, path string) (keys []string) {
	t.Helper()
	d := open(t, path)
	defer d.Close()
	for _, app := range d.Collector.Apps() {
		keys = append(keys, app.Key)
	}
	return keys
}

func TestOpen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a", "data")
	if _, err := datadir.Open(t.Context(), path, datadir.Options{}); !errors.Is(err, datadir.ErrNoData) {
		t.Errorf("missing: got %v, want ErrNoData", err)
	}
	d := open(t, path)
	for name, mode := range map[string]fs.FileMode{"": fs.ModeDir | 0o700, "rollcall.db": 0o600, "rollcall.key": 0o600} {
		if info, err := os.Stat(filepath.Join(path, name)); err != nil || info.Mode() != mode {
			t.Errorf("%q: got %v, %v, want mode %v", name, info, err, mode)
		}
	}
	if _, err := datadir.Open(t.Context(), path, create); !errors.Is(err, sqlite.ErrInUse) {
		t.Errorf("open twice: got %v, want ErrInUse", err)
	}
	d.Close()
	file := filepath.Join(path, "rollcall.key")
	secret, err := os.ReadFile(file)
	if err != nil || len(strings.TrimSpace(string(secret))) != 64 {
		t.Fatalf("got secret %q, %v, want 64 digits", secret, err)
	}
	for _, bad := range []string{"", "00", string(secret) + "0", strings.Repeat("x", 64)} {
		if err := os.WriteFile(file, []byte(bad), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := datadir.Open(t.Context(), path, create); !errors.Is(err, datadir.ErrBadSecret) {
			t.Errorf("secret %q: got %v, want ErrBadSecret", bad, err)
		}
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if _, err := datadir.Open(t.Context(), path, create); !errors.Is(err, datadir.ErrNoSecret) {
		t.Errorf("without the secret: got %v, want ErrNoSecret", err)
	}
	if err := os.WriteFile(file, secret, 0o600); err != nil {
		t.Fatal(err)
	}
	open(t, path)
}

// Open removes what killed processes have left, unless it may be in use.
func TestLeftovers(t *testing.T) {
	path := t.TempDir()
	old := time.Now().Add(-11 * time.Minute)
	for name, age := range map[string]time.Time{
		".rollcall.key.1.part": old, ".rollcall.db.1.part": old, ".backup-1": old, ".restore-1": old, "other": old,
		".rollcall.key.2.part": time.Now(), ".backup-2": time.Now(),
	} {
		file := filepath.Join(path, name)
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(file, age, age); err != nil {
			t.Fatal(err)
		}
	}
	open(t, path).Close()
	entries, err := os.ReadDir(path)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	const want = ".backup-2 .rollcall.key.2.part other rollcall.db rollcall.db.lock rollcall.key"
	if got := strings.Join(names, " "); got != want {
		t.Errorf("got files %s, want %s", got, want)
	}
}

// backup writes a backup, with or without the secret, to a new directory.
func backup(t *testing.T, path string, secret bool) string {
	t.Helper()
	dest := t.TempDir()
	d := open(t, path)
	defer d.Close()
	err := d.Backup(t.Context(), func(file *os.File) error {
		data, err := io.ReadAll(file)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(dest, "rollcall.db"), data, 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
	if names, _ := filepath.Glob(filepath.Join(path, ".backup-*")); len(names) != 0 {
		t.Errorf("left behind %q", names)
	}
	if secret {
		if err := datadir.CopySecret(path, dest); err != nil {
			t.Fatal(err)
		}
	}
	return dest
}

func TestRestore(t *testing.T) {
	ctx, source := t.Context(), t.TempDir()
	withApp(t, source, "saved")
	whole, bare := backup(t, source, true), backup(t, source, false)
	target := filepath.Join(t.TempDir(), "data")
	if err := datadir.Restore(ctx, bare, target, datadir.RestoreOptions{}); !errors.Is(err, datadir.ErrNoSecret) {
		t.Errorf("without a secret: got %v, want ErrNoSecret", err)
	}
	if err := datadir.Restore(ctx, bare, target, datadir.RestoreOptions{SecretFile: filepath.Join(source, "rollcall.key")}); err != nil {
		t.Errorf("with a secret from elsewhere: %v", err)
	}
	if got := apps(t, target); len(got) != 1 || got[0] != "saved" {
		t.Errorf("got apps %q, want the saved one", got)
	}
	other := t.TempDir()
	withApp(t, other, "other")
	if err := datadir.Restore(ctx, whole, other, datadir.RestoreOptions{}); !errors.Is(err, fs.ErrExist) {
		t.Errorf("over other data: got %v, want ErrExist", err)
	}
	overwrite := datadir.RestoreOptions{Overwrite: true}
	// The secret in the directory is not the backup's.
	if err := datadir.Restore(ctx, bare, other, overwrite); err == nil {
		t.Error("with the wrong secret: got no error")
	}
	if got := apps(t, other); len(got) != 1 || got[0] != "other" {
		t.Errorf("after refused restores: got apps %q, want the other one", got)
	}
	if err := datadir.Restore(ctx, whole, other, overwrite); err != nil {
		t.Fatal(err)
	}
	if got := apps(t, other); len(got) != 1 || got[0] != "saved" {
		t.Errorf("got apps %q, want the saved one", got)
	}
	d, err := datadir.Open(ctx, other, datadir.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	entries, err := d.Audit.Entries(ctx, "")
	if err != nil || len(entries) == 0 || entries[0].Action != audit.Restored || entries[0].Detail != filepath.Base(whole) {
		t.Errorf("got the audit log %+v, %v, want the restore of %s", entries, err, filepath.Base(whole))
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if err := datadir.Restore(ended, whole, filepath.Join(t.TempDir(), "data"), overwrite); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: got %v", err)
	}
}
