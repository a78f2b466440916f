package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/postgres"
	"github.com/rollcall-dev/rollcall/cmd/internal/test/pgserver"
)

// postgres starts a PostgreSQL with a standby that commits do not wait for.
func (s *script) postgres(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg || len(args) != 0, "postgres")
	server := pgserver.Start(s.t, pgserver.V15, pgserver.Options{})
	server.Exec(s.t, "postgres", "CREATE DATABASE counted", "CREATE DATABASE empty", "CREATE DATABASE other", "CREATE ROLE guest LOGIN PASSWORD 'guest'",
		"CREATE ROLE reader SUPERUSER LOGIN PASSWORD 'reader'", "ALTER ROLE reader SET default_transaction_read_only = on",
		"CREATE ROLE hurried SUPERUSER LOGIN PASSWORD 'hurried'", "ALTER ROLE hurried SET statement_timeout = '10min'")
	server.Exec(s.t, "other", "CREATE TABLE rollcall_record (id integer)")
	standby := pgserver.Start(s.t, pgserver.V15, pgserver.Options{From: server})
	for name, url := range map[string]string{
		"DATABASE": server.URL("counted"), "EMPTY": server.URL("empty"), "OTHER": server.URL("other"), "STANDBY": standby.URL("counted"),
		"WRONG": server.URLFor("guest", "wrong", server.Port, "counted"), "GUEST": server.URLFor("guest", "guest", server.Port, "empty"),
		"NOWHERE": server.URL("nowhere"), "READER": server.URLFor("reader", "reader", server.Port, "counted"),
		"HURRIED": server.URLFor("hurried", "hurried", server.Port, "counted"),
		"SECURE":  strings.Replace(server.URL("counted"), "sslmode=disable", "sslmode=verify-full", 1),
		"FILE":    fmt.Sprintf("postgres://guest@127.0.0.1:%d/counted?sslmode=disable", server.Port),
	} {
		ts.Setenv(name, url)
	}
	s.server = server
}

// synchronous makes commits wait for the standby.
func (s *script) synchronous(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg || len(args) != 0, "synchronous")
	s.server.Exec(s.t, "postgres", "ALTER SYSTEM SET synchronous_standby_names = '*'", "SELECT pg_reload_conf()")
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) { // until new sessions have it
		_, warnings, err := postgres.Probe(s.t.Context(), postgres.Config{URL: s.server.URL("counted")})
		ts.Check(err)
		if !slices.Contains(warnings, postgres.Asynchronous) {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("the setting does not arrive")
		}
	}
}
