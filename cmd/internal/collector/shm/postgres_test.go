package shm_test

import (
	"bytes"
	"errors"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/shm"
	"github.com/rollcall-dev/rollcall/cmd/internal/test/pgserver"
)

func TestMain(m *testing.M) { pgserver.Main(m) }

// What the real pg_dump writes of a real database is what the made dumps have, in each
// of its forms.
func TestPostgres(t *testing.T) {
	server := pgserver.Shared(t, pgserver.V15)
	database := server.NewDatabase(t)
	s := newServer(20, 30, collector.DayOf(time.Now()))
	server.Exec(t, database,
		`CREATE FUNCTION slugify(text) RETURNS text AS $$ BEGIN RETURN 'COPY instances FROM stdin;'; END; $$ LANGUAGE plpgsql IMMUTABLE`,
		`CREATE TABLE applications (id UUID PRIMARY KEY, app_slug VARCHAR(100) NOT NULL UNIQUE, app_name VARCHAR(100) NOT NULL,
		 github_stars INT DEFAULT 0, created_at TIMESTAMP WITH TIME ZONE DEFAULT NOW())`,
		`CREATE TABLE instances (id UUID PRIMARY KEY, instance_id UUID NOT NULL UNIQUE, public_key BYTEA NOT NULL,
		 app_name VARCHAR(100) DEFAULT 'unknown_app', app_version VARCHAR(50), deployment_mode VARCHAR(20), environment VARCHAR(20), os_arch VARCHAR(50),
		 status VARCHAR(20) DEFAULT 'pending', last_seen_at TIMESTAMP WITH TIME ZONE DEFAULT NOW(), created_at TIMESTAMP WITH TIME ZONE DEFAULT NOW())`,
		`CREATE TABLE snapshots (id BIGSERIAL PRIMARY KEY, instance_id UUID NOT NULL REFERENCES instances(instance_id) ON DELETE CASCADE,
		 snapshot_at TIMESTAMP WITH TIME ZONE DEFAULT NOW(), data JSONB NOT NULL)`,
		`ALTER TABLE instances ADD COLUMN application_id UUID REFERENCES applications(id)`)
	for _, table := range []string{"applications", "instances", "snapshots"} {
		rows := make([]string, len(s.rows[table]))
		for i, values := range s.rows[table] {
			cells := make([]string, len(values))
			for i, value := range values {
				cells[i] = quote(value)
			}
			rows[i] = "(" + strings.Join(cells, ", ") + ")"
		}
		server.Exec(t, database, "INSERT INTO "+table+" ("+columns[table]+") VALUES "+strings.Join(rows, ", "))
	}
	want, _ := write(t, s.dump("copy"), "my-app")
	for _, form := range []string{"--no-owner", "--inserts", "--column-inserts", "--rows-per-insert=7", "--data-only", "--quote-all-identifiers"} {
		cmd := exec.CommandContext(t.Context(), filepath.Join(server.Bin, "pg_dump"), form, server.URL(database))
		dump, err := cmd.Output()
		if err != nil {
			t.Fatalf("%s: %v", cmd, err)
		}
		if got, _ := write(t, string(dump), "my-app"); got != want {
			t.Errorf("%s: the history differs from that of a made dump", form)
		}
		// A dump that was cut after a statement is not complete either.
		cut := string(dump[:bytes.LastIndex(dump, []byte("-- PostgreSQL database dump complete"))])
		if _, err := shm.Read(t.Context(), strings.NewReader(cut)); !errors.Is(err, shm.ErrInvalid) {
			t.Errorf("%s, cut: got %v, want %v", form, err, shm.ErrInvalid)
		}
	}
}
