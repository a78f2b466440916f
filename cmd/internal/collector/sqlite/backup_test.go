package sqlite_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/sqlite"
)

// TestBackupWhileCommitting checks that a backup during commits is intact and
// contains everything that was committed before it began.
func TestBackupWhileCommitting(t *testing.T) {
	many := unlessRace(30_000, 3000)
	s := open(t, filepath.Join(t.TempDir(), "rollcall.db"))
	fill(t, s, 1, 0, many)
	dir := t.TempDir()
	stop := make(chan struct{})
	var wg sync.WaitGroup
	n := many
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				fill(t, s, 1, n, n+20)
				n += 20
			}
		}
	})
	for _, name := range []string{"a", "b", "c"} {
		size, err := s.Size(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Backup(t.Context(), filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
		t.Logf("backup of about %d bytes", size)
	}
	close(stop)
	wg.Wait()
	for _, name := range []string{"a", "b", "c"} {
		backup := open(t, filepath.Join(dir, name))
		if err := backup.Check(t.Context()); err != nil {
			t.Error(err)
		}
		count := 0
		for range backup.Identities(t.Context()) {
			count++
		}
		if count < many || count > n || count%20 != 0 {
			t.Errorf("backup %s: got %d installations, want 30000 to %d in batches of 20", name, count, n)
		}
	}
}

func TestRestore(t *testing.T) {
	ctx, dir := t.Context(), t.TempDir()
	file, backup := filepath.Join(dir, "rollcall.db"), filepath.Join(dir, "backup")
	s, err := sqlite.Open(ctx, file, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	put(t, s, "saved")
	if err := s.Backup(ctx, backup); err != nil {
		t.Fatal(err)
	}
	put(t, s, "lost")
	if err := sqlite.Restore(ctx, backup, file, sqlite.RestoreOptions{Overwrite: true}); !errors.Is(err, sqlite.ErrInUse) {
		t.Errorf("over an open store: got %v, want ErrInUse", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := sqlite.Restore(ctx, backup, file, sqlite.RestoreOptions{}); !errors.Is(err, fs.ErrExist) {
		t.Errorf("over an existing file: got %v, want fs.ErrExist", err)
	}
	s = open(t, file)
	if !has(t, s, "lost") {
		t.Error("refused restores have changed the database")
	}
	s.Close()
	if err := sqlite.Restore(ctx, backup, file, sqlite.RestoreOptions{Overwrite: true}); err != nil {
		t.Fatal(err)
	}
	only(t, dir, "rollcall.db", "rollcall.db.lock", "backup")
	s = open(t, file)
	if !has(t, s, "saved") || has(t, s, "lost") {
		t.Error("the database differs from the backup")
	}
	if info, err := os.Stat(file); err != nil || info.Mode() != 0o600 {
		t.Errorf("got %v and %v, want mode 0600", info, err)
	}
	fresh := filepath.Join(t.TempDir(), "fresh.db")
	if err := sqlite.Restore(ctx, backup, fresh, sqlite.RestoreOptions{}); err != nil {
		t.Fatal(err)
	}
	if !has(t, open(t, fresh), "saved") {
		t.Error("restored to a new file: it differs from the backup")
	}
}

// only checks that the directory contains these files and no others.
func only(t *testing.T, dir string, names ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		found := false
		for _, name := range names {
			found = found || e.Name() == name
		}
		if !found {
			t.Errorf("got a file %s, want only %q", e.Name(), names)
		}
	}
	if len(entries) != len(names) {
		t.Errorf("got %d files, want %q", len(entries), names)
	}
}

// TestRestoreOverALog replaces the database of a killed process, whose log must
// not be applied to the new one.
func TestRestoreOverALog(t *testing.T) {
	ctx, dir := t.Context(), t.TempDir()
	s := open(t, filepath.Join(dir, "rollcall.db"))
	backup := filepath.Join(t.TempDir(), "backup")
	put(t, s, "saved")
	if err := s.Backup(ctx, backup); err != nil {
		t.Fatal(err)
	}
	put(t, s, "lost")
	killed := t.TempDir()
	for _, suffix := range []string{"", sqlite.LogSuffix} {
		data, err := os.ReadFile(filepath.Join(dir, "rollcall.db"+suffix))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(killed, "rollcall.db"+suffix), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(killed, "rollcall.db")
	if err := sqlite.Restore(ctx, file, filepath.Join(t.TempDir(), "x"), sqlite.RestoreOptions{}); err == nil {
		t.Error("from a database with a log: got nil, want an error")
	}
	if err := sqlite.Restore(ctx, backup, file, sqlite.RestoreOptions{Overwrite: true}); err != nil {
		t.Fatal(err)
	}
	restored := open(t, file)
	if !has(t, restored, "saved") || has(t, restored, "lost") {
		t.Error("the database differs from the backup")
	}
	if err := restored.Check(ctx); err != nil {
		t.Error(err)
	}
}

// TestRestoreBad checks that an unusable backup leaves the database as it is, and
// nothing beside it.
func TestRestoreBad(t *testing.T) {
	ctx, dir := t.Context(), t.TempDir()
	file := filepath.Join(dir, "rollcall.db")
	s, err := sqlite.Open(ctx, file, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	fill(t, s, 1, 0, 5000)
	put(t, s, "kept")
	good := filepath.Join(t.TempDir(), "good")
	if err := s.Backup(ctx, good); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Commit(ctx, &collector.Batch{DropInstallations: []collector.Installation{{App: 1, Num: 77}}}); err != nil {
		t.Fatal(err)
	}
	incomplete := filepath.Join(t.TempDir(), "incomplete")
	if err := s.Backup(ctx, incomplete); err != nil {
		t.Fatal(err)
	}
	fill(t, s, 1, 77, 78)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	damaged := append([]byte{}, whole...)
	for at := 10 * sqlite.PageSize; at < len(damaged); at += 10 * sqlite.PageSize {
		clear(damaged[at : at+sqlite.PageSize])
	}
	newer := filepath.Join(t.TempDir(), "newer.db")
	open(t, newer).Close()
	execute(t, newer, "INSERT INTO goose_db_version (version_id, is_applied) VALUES (99, 1)")
	newerData, err := os.ReadFile(newer)
	if err != nil {
		t.Fatal(err)
	}
	incompleteData, err := os.ReadFile(incomplete)
	if err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string]struct {
		data []byte
		want error
	}{
		"truncated":  {whole[:len(whole)/2], nil},
		"damaged":    {damaged, nil},
		"incomplete": {incompleteData, nil},
		"text":       {[]byte("no database, but a text"), sqlite.ErrNotStore},
		"empty":      {nil, sqlite.ErrNotStore},
		"newer":      {newerData, sqlite.ErrNewer},
	} {
		t.Run(name, func(t *testing.T) {
			backup := filepath.Join(t.TempDir(), "backup")
			if err := os.WriteFile(backup, bad.data, 0o600); err != nil {
				t.Fatal(err)
			}
			err := sqlite.Restore(t.Context(), backup, file, sqlite.RestoreOptions{Overwrite: true})
			if err == nil || errors.Is(err, collector.ErrUnavailable) || bad.want != nil && !errors.Is(err, bad.want) {
				t.Errorf("got %v, want %v", err, bad.want)
			}
			only(t, dir, "rollcall.db", "rollcall.db.lock")
			s := open(t, file)
			defer s.Close()
			if !has(t, s, "kept") {
				t.Error("the database has changed")
			}
		})
	}
	if err := sqlite.Restore(ctx, filepath.Join(dir, "missing"), file, sqlite.RestoreOptions{Overwrite: true}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing backup: got %v, want fs.ErrNotExist", err)
	}
}
