package sqlite_test

import (
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	mathrand "math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/pressly/goose/v3"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/sqlite"
)

// filled returns a small store, closed, with all kinds of rows.
func filled(t *testing.T, file string) {
	t.Helper()
	s := open(t, file)
	fill(t, s, 1, 0, 300)
	b := &collector.Batch{}
	for i := range 40 {
		data := make([]byte, 20+i*200) // some span several pages
		rand.Read(data)
		b.Records = append(b.Records, collector.Record{
			RecordKey: collector.RecordKey{Kind: fmt.Sprint("kind", i%3), App: 1, Day: collector.Day(i), Name: strings.Repeat("n", i)}, Data: data,
		})
	}
	if _, err := s.Commit(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		if _, err := s.Commit(t.Context(), &collector.Batch{Journal: fmt.Appendf(nil, "entry %d %s", i, strings.Repeat("x", i*50))}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Commit(t.Context(), &collector.Batch{Scrub: true}); err != nil { // which leaves nothing but live data
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// content returns everything that a store holds, or an error.
func content(t *testing.T, s *sqlite.Store) (all []string, err error) {
	for row, err := range s.Identities(t.Context()) {
		if err != nil {
			return nil, err
		}
		all = append(all, fmt.Sprintf("%x %d %d", row.Key, row.App, row.Num))
	}
	for row, err := range s.Installations(t.Context()) {
		if err != nil {
			return nil, err
		}
		all = append(all, fmt.Sprintf("%d %d %x", row.App, row.Num, row.State))
	}
	for i := range 3 {
		for row, err := range s.Records(t.Context(), fmt.Sprint("kind", i), 1, 0, 1000) {
			if err != nil {
				return nil, err
			}
			all = append(all, fmt.Sprintf("%v %x", row.RecordKey, row.Data))
		}
	}
	for row, err := range s.Journal(t.Context()) {
		if err != nil {
			return nil, err
		}
		all = append(all, fmt.Sprintf("%d %s", row.Number, row.Data))
	}
	return all, nil
}

// Check finds each byte of live data that has changed: either it complains, or
// everything reads as it was written.
func TestEachFlippedByteIsFound(t *testing.T) {
	file := filepath.Join(t.TempDir(), "rollcall.db")
	filled(t, file)
	genuine, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	s := open(t, file)
	want, err := content(t, s)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.Close()
	flips := 150
	if os.Getenv("ROLLCALL_SOAK") != "" {
		flips = len(genuine)
	}
	harmless, step := 0, len(genuine)/flips
	for i := range flips {
		at := i*step + mathrand.IntN(step)
		damaged := append([]byte(nil), genuine...)
		damaged[at] ^= byte(1 + mathrand.IntN(255))
		other := filepath.Join(t.TempDir(), "rollcall.db")
		if err := os.WriteFile(other, damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := sqlite.Open(t.Context(), other, sqlite.Options{})
		if err != nil {
			continue // found at once
		}
		checked := s.Check(t.Context())
		got, readErr := content(t, s)
		same := readErr == nil && strings.Join(got, "\n") == strings.Join(want, "\n")
		switch {
		case checked == nil && !same:
			t.Errorf("byte %d of page %d: Check finds nothing, and reading differs (%v)", at%4096, at/4096+1, readErr)
		case checked == nil:
			harmless++
		case readErr != nil && !errors.Is(readErr, sqlite.ErrDamaged) && !strings.Contains(readErr.Error(), "SQL logic error"): // the schema
			t.Errorf("byte %d of page %d: reading fails with %v, want ErrDamaged", at%4096, at/4096+1, readErr)
		}
		s.Close()
	}
	t.Logf("%d of %d flips were outside of live data", harmless, flips)
}

// storeOfVersion2 creates a store of version 2, which had no checksums.
func storeOfVersion2(t *testing.T, file string) *sql.DB {
	t.Helper()
	before := fstest.MapFS{}
	for _, name := range []string{"00001_store.sql", "00002_places.sql"} {
		data, err := fs.ReadFile(sqlite.Embedded(), name)
		if err != nil {
			t.Fatal(err)
		}
		before[name] = &fstest.MapFile{Data: data}
	}
	db := outside(t, file)
	p, err := goose.NewProvider(goose.DialectSQLite3, db, before, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Up(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{
		"PRAGMA application_id = 0x52636c6c",
		"INSERT INTO identity VALUES (x'00112233445566778899aabbccddeeff', 1, 7)",
		"INSERT INTO installation VALUES (1 << 32 | 7, x'0102')",
		"INSERT INTO record VALUES ('kind', 1, 20000, 'name', x''), ('kind', 1, 20001, '', x'000102')",
		"INSERT INTO journal (data) VALUES (x'00'), (x'6162')",
	} {
		if _, err := db.ExecContext(t.Context(), text); err != nil {
			t.Fatal(err)
		}
	}
	return db
}

// A store of version 2 gets checksums.
func TestUpgradeAddsChecksums(t *testing.T) {
	file := filepath.Join(t.TempDir(), "rollcall.db")
	storeOfVersion2(t, file).Close()
	s := open(t, file)
	if err := s.Check(t.Context()); err != nil {
		t.Error(err)
	}
	row, ok, err := s.Installation(t.Context(), 1, 7)
	if err != nil || !ok || string(row.State) != "\x01\x02" {
		t.Errorf("installation: got %v, %v, %v", row, ok, err)
	}
	data, ok, err := s.Record(t.Context(), collector.RecordKey{Kind: "kind", App: 1, Day: 20000, Name: "name"})
	if err != nil || !ok || data == nil || len(data) != 0 {
		t.Errorf("empty record: got %v, %v, %v", data, ok, err)
	}
	all, err := content(t, s)
	if err != nil || len(all) != 4 {
		t.Errorf("got %q, %v", all, err)
	}
	// The backup of before can be restored, and is upgraded again.
	old := filepath.Join(t.TempDir(), "old.db")
	if err := sqlite.Restore(t.Context(), file+".v2.backup", old, sqlite.RestoreOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := open(t, old).Check(t.Context()); err != nil {
		t.Error(err)
	}
}
