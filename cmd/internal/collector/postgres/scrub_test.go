package postgres_test

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/test/pgserver"
)

// After a scrub, no file of the tables holds what was deleted before it.
func TestScrubbedFiles(t *testing.T) {
	server := pgserver.Start(t, pgserver.V15, pgserver.Options{})
	db := open(t, server.URL("postgres"))
	s := take(t, db)
	const marker = "marker of a deleted installation"
	contains := func() (found []string) {
		server.Exec(t, "postgres", "CHECKPOINT")
		err := filepath.WalkDir(filepath.Join(server.Dir, "data", "base"), func(name string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			if data, err := os.ReadFile(name); err == nil && bytes.Contains(data, []byte(marker)) {
				found = append(found, name)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	b := numbered(1, 10)
	b.PutInstallations[0].State, b.Records[0].Data, b.Journal = []byte(marker), []byte(marker), []byte(marker)
	number, err := s.Commit(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	if got := contains(); len(got) < 3 {
		t.Fatalf("the files %q have the marker, want those of three tables", got)
	}
	if _, err := s.Commit(t.Context(), &collector.Batch{TrimJournal: number, DropIdentities: []collector.Key{b.PutIdentities[0].Key},
		DropInstallations: b.PutInstallations, Records: []collector.Record{{RecordKey: b.Records[0].RecordKey}}, Scrub: true}); err != nil {
		t.Fatal(err)
	}
	if due, err := db.Unscrubbed(t.Context()); err != nil || !due {
		t.Errorf("before the scrub: got %v and %v, want that it is due", due, err)
	}
	if err := s.ScrubFiles(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := contains(); len(got) > 0 {
		t.Errorf("after the scrub, the files %q have the marker", got)
	}
	if due, err := db.Unscrubbed(t.Context()); err != nil || due {
		t.Errorf("after the scrub: got %v and %v, want that none is due", due, err)
	}
}
