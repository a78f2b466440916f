package datadir_test

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"testing"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/datadir"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/engine"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/postgres"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/sqlite"
	"github.com/rollcall-dev/rollcall/cmd/internal/test/pgserver"
	"github.com/rollcall-dev/rollcall/report"
)

func TestMain(m *testing.M) { pgserver.Main(m) }

// fill counts n installations, and leaves entries in the journal.
func fill(t *testing.T, d *datadir.Dir, n int) {
	t.Helper()
	app, err := d.Collector.AddApp(t.Context(), collector.App{Key: "myapp"})
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		h := report.Heartbeat{Schema: 1, App: "myapp", InstallationID: numberedID(i), IDPersistence: report.Persisted, Version: "1.0"}
		if _, err := d.Collector.Heartbeat(t.Context(), collector.Received{App: app.Num, Heartbeat: h}); err != nil {
			t.Fatal(err)
		}
	}
}

func numberedID(n int) string {
	const digits = "0123456789abcdef"
	id := []byte("00000000-0000-4000-8000-000000000000")
	for at := len(id) - 1; n > 0; at, n = at-1, n/16 {
		id[at] = digits[n%16]
	}
	return string(id)
}

func openWith(t *testing.T, path, store string) *datadir.Dir {
	t.Helper()
	d, err := datadir.Open(t.Context(), path, datadir.Options{Create: true, Store: store})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	return d
}

// knows reports how many of the installations a collector knows.
func knows(t *testing.T, d *datadir.Dir, n int) (known int) {
	t.Helper()
	app, ok := d.Collector.App("myapp")
	if !ok {
		return 0
	}
	for i := range n {
		if ok, err := d.Collector.Known(t.Context(), app.Num, numberedID(i)); err != nil {
			t.Fatal(err)
		} else if ok {
			known++
		}
	}
	return known
}

// A store goes from a file to PostgreSQL, from there to another database, to a
// backup, and back to files, and is the same everywhere.
func TestCopy(t *testing.T) {
	server := pgserver.Shared(t, pgserver.V15)
	first, second, third := server.URL(server.NewDatabase(t)), server.URL(server.NewDatabase(t)), server.URL(server.NewDatabase(t))
	ctx, source, back := t.Context(), t.TempDir(), filepath.Join(t.TempDir(), "back")
	const n = 50
	d := openWith(t, source, "")
	fill(t, d, n)
	if _, err := datadir.Copy(ctx, source, first, datadir.CopyOptions{}); !errors.Is(err, sqlite.ErrInUse) {
		t.Errorf("copy of an open file: got %v, want ErrInUse", err)
	}
	d.Close()
	var done, all int64
	copied, err := datadir.Copy(ctx, source, first, datadir.CopyOptions{Progress: func(d, a int64) { done, all = d, a }})
	if err != nil || copied.Identities != n || copied.Installations != n || done != all || all != copied.Rows() {
		t.Fatalf("got %+v and %v, and progress %d of %d", copied, err, done, all)
	}
	if _, err := datadir.Copy(ctx, source, first, datadir.CopyOptions{}); !errors.Is(err, postgres.ErrNotEmpty) {
		t.Errorf("copy to a database that is not empty: got %v, want ErrNotEmpty", err)
	}
	ended, cancel := context.WithCancel(ctx)
	if _, err := datadir.Copy(ended, source, second, datadir.CopyOptions{Progress: func(int64, int64) { cancel() }}); err == nil {
		t.Error("cancelled copy: got nil")
	}
	again, err := datadir.Copy(ctx, first, second, datadir.CopyOptions{}) // so the one before left nothing
	if err != nil || again != copied {
		t.Errorf("copy between databases: got %+v and %v, want %+v", again, err, copied)
	}

	// The collector goes on in the database, with the key of the directory.
	keyOnly := t.TempDir()
	if err := datadir.AddSecret(filepath.Join(source, "rollcall.key"), keyOnly); err != nil {
		t.Fatal(err)
	}
	d = openWith(t, keyOnly, first)
	if got := knows(t, d, n+1); got != n {
		t.Errorf("in the database: %d installations are known, want %d", got, n)
	}
	if _, err := datadir.Copy(ctx, first, third, datadir.CopyOptions{}); err == nil {
		t.Error("copy of a database in use: got nil")
	}
	dest := t.TempDir()
	err = d.Backup(ctx, func(file *os.File) error {
		text, err := os.ReadFile(file.Name())
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(dest, "rollcall.db"), text, 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
	receipt, err := d.Collector.Forget(ctx, numberedID(0))
	if err != nil || receipt.Deleted != 1 || receipt.Erased != collector.ErasedFromAnswers {
		t.Errorf("deletion: got %+v and %v", receipt, err)
	}
	if warnings, err := d.Warnings(ctx); err != nil || len(warnings) != 2 || warnings[1] != postgres.Unscrubbed {
		t.Errorf("after a deletion: got warnings %q and %v", warnings, err)
	}
	if err := d.Scrub(ctx); err != nil {
		t.Error(err)
	}
	if warnings, err := d.Warnings(ctx); err != nil || len(warnings) != 1 {
		t.Errorf("after a scrub: got warnings %q and %v", warnings, err)
	}
	d.Close()

	if _, err := datadir.Copy(ctx, second, back, datadir.CopyOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := datadir.Copy(ctx, second, back, datadir.CopyOptions{}); !errors.Is(err, fs.ErrExist) {
		t.Errorf("copy over a file: got %v, want ErrExist", err)
	}
	if _, err := datadir.Open(ctx, back, datadir.Options{}); !errors.Is(err, datadir.ErrNoSecret) {
		t.Errorf("copy without a key: got %v, want ErrNoSecret", err)
	}
	if err := datadir.AddSecret(filepath.Join(source, "rollcall.key"), back); err != nil {
		t.Fatal(err)
	}
	if got := knows(t, openWith(t, back, ""), n); got != n {
		t.Errorf("back in a file: %d installations are known, want %d", got, n)
	}

	// A backup of the database restores into a database.
	restore := datadir.RestoreOptions{Store: third, SecretFile: filepath.Join(source, "rollcall.key")}
	target := t.TempDir()
	if err := datadir.Restore(ctx, dest, target, restore); err != nil {
		t.Fatal(err)
	}
	if err := datadir.Restore(ctx, dest, target, restore); !errors.Is(err, postgres.ErrNotEmpty) {
		t.Errorf("restore over data: got %v, want ErrNotEmpty", err)
	}
	if restore.Overwrite = true; datadir.Restore(ctx, dest, target, restore) != nil {
		t.Error("restore that replaces data failed")
	}
	if got := knows(t, openWith(t, target, third), n); got != n {
		t.Errorf("restored: %d installations are known, want %d", got, n)
	}

	// Without its key, a database is refused, and no other key takes its place.
	other := t.TempDir()
	if _, err := datadir.Open(ctx, other, datadir.Options{Create: true, Store: first}); !errors.Is(err, datadir.ErrNoSecret) {
		t.Errorf("database without its key: got %v, want ErrNoSecret", err)
	}
}

// A restore into a database refuses a directory with another key before it writes
// anything. It replaces only a key without a database file, and only if told to.
func TestRestoreKeepsTheKeyOfAnother(t *testing.T) {
	server := pgserver.Shared(t, pgserver.V15)
	source := t.TempDir()
	withApp(t, source, "saved")
	saved := backup(t, source, true)
	whole, keyOnly := t.TempDir(), t.TempDir()
	withApp(t, whole, "other")
	if err := datadir.CopySecret(whole, keyOnly); err != nil {
		t.Fatal(err)
	}
	content := func(dir string) map[string]string {
		t.Helper()
		files := make(map[string]string)
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, entry := range entries {
			data, err := os.ReadFile(filepath.Join(dir, entry.Name()))
			if err != nil {
				t.Fatal(err)
			}
			files[entry.Name()] = string(data)
		}
		return files
	}
	for _, test := range []struct {
		what, dir string
		opts      datadir.RestoreOptions
		want      error
	}{
		{"a key alone", keyOnly, datadir.RestoreOptions{}, fs.ErrExist},
		{"a key with its database", whole, datadir.RestoreOptions{}, datadir.ErrOtherKey},
		{"a key with its database, overwriting", whole, datadir.RestoreOptions{Overwrite: true}, datadir.ErrOtherKey},
		{"a secret from elsewhere", keyOnly, datadir.RestoreOptions{Secret: make([]byte, 32), Overwrite: true}, engine.ErrSecret},
	} {
		database := server.NewDatabase(t)
		before := content(test.dir)
		test.opts.Store = server.URL(database)
		if err := datadir.Restore(t.Context(), saved, test.dir, test.opts); !errors.Is(err, test.want) {
			t.Errorf("%s: got %v, want %v", test.what, err, test.want)
		}
		if after := content(test.dir); !maps.Equal(after, before) {
			t.Errorf("%s: the directory has changed", test.what)
		}
		server.Exec(t, database, `DO $$ BEGIN IF to_regclass('rollcall_schema') IS NOT NULL THEN RAISE 'the database has changed'; END IF; END $$`)
	}
	url := server.URL(server.NewDatabase(t))
	if err := datadir.Restore(t.Context(), saved, keyOnly, datadir.RestoreOptions{Store: url, Overwrite: true}); err != nil {
		t.Fatal(err)
	}
	if apps := openWith(t, keyOnly, url).Collector.Apps(); len(apps) != 1 || apps[0].Key != "saved" {
		t.Errorf("got apps %+v, want the saved one", apps)
	}
}

// Copy rejects a key that is missing, or that does not match the source or the
// target, before it writes anything.
func TestCopyChecksTheKeyFirst(t *testing.T) {
	from, other := t.TempDir(), t.TempDir()
	for _, dir := range []string{from, other} {
		d := openWith(t, dir, "")
		fill(t, d, 3)
		d.Close()
	}
	key := filepath.Join(from, datadir.SecretFile)
	wrong := filepath.Join(other, datadir.SecretFile)
	to := t.TempDir()
	copyTo := func(key string) error {
		_, err := datadir.Copy(t.Context(), from, to, datadir.CopyOptions{SecretFile: key})
		return err
	}
	for _, bad := range []string{filepath.Join(from, "missing"), wrong} {
		if err := copyTo(bad); err == nil {
			t.Errorf("%s: got no error", bad)
		}
	}
	if err := datadir.CopySecret(other, to); err != nil {
		t.Fatal(err)
	}
	if err := copyTo(key); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a target with another key: got %v", err)
	}
	if _, err := os.Stat(filepath.Join(to, datadir.DatabaseFile)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a refused copy left a database: %v", err)
	}
	if err := os.Remove(filepath.Join(to, datadir.SecretFile)); err != nil {
		t.Fatal(err)
	}
	if err := copyTo(key); err != nil {
		t.Fatal(err)
	}
	if n := knows(t, openWith(t, to, ""), 3); n != 3 {
		t.Errorf("the copy knows %d of 3", n)
	}
}
