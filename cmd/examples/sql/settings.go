package main

import (
	"context"
	"database/sql"
	"errors"

	"github.com/rollcall-dev/rollcall"
	"github.com/rollcall-dev/rollcall/installid"
)

// settings are a table of a database, with a row for each setting.
type settings struct{ db *sql.DB }

// The names of the settings.
const (
	nameID        = "telemetry_id"
	nameTelemetry = "telemetry"
	nameHealth    = "telemetry_health"
	nameUpdates   = "update_check"
)

// create creates the table if there is none.
func (s settings) create(ctx context.Context) error {
	_, err := s.db.ExecContext(ctx, `CREATE TABLE IF NOT EXISTS settings (name TEXT PRIMARY KEY, value TEXT NOT NULL)`)
	return err
}

// loadID returns the ID. It derives one from the token that earlier versions of
// the program stored there.
func (s settings) loadID(ctx context.Context) (string, error) {
	text, err := s.get(ctx, nameID)
	return installid.FromLegacy("example.org", text).String(), err
}

func (s settings) saveID(ctx context.Context, id string) error { return set(ctx, s.db, nameID, id) }

func (s settings) loadConsents(ctx context.Context) (c rollcall.Consents, err error) {
	for name, state := range map[string]*rollcall.Consent{nameTelemetry: &c.Telemetry, nameHealth: &c.Health, nameUpdates: &c.UpdateCheck} {
		text, err := s.get(ctx, name)
		if err == nil && text != "" {
			err = state.UnmarshalText([]byte(text))
		}
		if err != nil {
			return rollcall.Consents{}, err
		}
	}
	return c, nil
}

// saveConsents saves all decisions or none.
func (s settings) saveConsents(ctx context.Context, c rollcall.Consents) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	for name, state := range map[string]rollcall.Consent{nameTelemetry: c.Telemetry, nameHealth: c.Health, nameUpdates: c.UpdateCheck} {
		if err := set(ctx, tx, name, state.String()); err != nil {
			return err
		}
	}
	return tx.Commit()
}

// get returns a setting, or "" if there is none.
func (s settings) get(ctx context.Context, name string) (value string, err error) {
	err = s.db.QueryRowContext(ctx, `SELECT value FROM settings WHERE name = ?`, name).Scan(&value)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return value, err
}

type execer interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

func set(ctx context.Context, db execer, name, value string) error {
	_, err := db.ExecContext(ctx, `INSERT INTO settings VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value`, name, value)
	return err
}
