package postgres

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
)

// minVersion is the oldest supported version of the server.
const minVersion = 15_00_00

// connectTimeout bounds one attempt to connect, unless the configuration does.
const connectTimeout = 5 * time.Second

// Permanent errors of [Open].
var (
	// ErrConfig means that the URL, or a PG* variable, is malformed.
	ErrConfig = errors.New("malformed address of a PostgreSQL database")
	// ErrPassword means that the server refused the user or its password.
	ErrPassword = errors.New("PostgreSQL refuses the user or its password")
	// ErrPassfile means that others can read the password file.
	ErrPassfile = errors.New("password file can be read by others")
	// ErrTLS means that the server cannot be trusted, or does not offer TLS.
	ErrTLS = errors.New("no connection to PostgreSQL with the TLS that is asked for")
	// ErrForeign means that other software's tables have the names of ours.
	ErrForeign = errors.New("tables with these names belong to something else")
	// ErrNoDatabase means that the server has no such database.
	ErrNoDatabase = errors.New("PostgreSQL has no such database")
	// ErrTooOld means that the server is older than version 15.
	ErrTooOld = errors.New("PostgreSQL is too old: version 15 or later is needed")
	// ErrReadOnly means that the server only reads, because it is a standby.
	ErrReadOnly = errors.New("PostgreSQL is read-only")
	// ErrPrivilege means that the user may not create or use the tables.
	ErrPrivilege = errors.New("PostgreSQL refuses access to the tables")
	// ErrNewer means that a newer version of this program made the tables.
	ErrNewer = errors.New("database was written by a newer version of this program")
	// ErrDamaged means that a row does not hold what was written.
	ErrDamaged = errors.New("database is damaged")
)

// explain maps the server's errors to the ones that callers branch on. If ctx has
// ended, it returns the context's error.
func explain(ctx context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	}
	for _, known := range []error{ErrConfig, ErrPassfile, ErrTooOld, ErrReadOnly, ErrNewer, ErrForeign, ErrDamaged, collector.ErrUnavailable, collector.ErrLost} {
		if errors.Is(err, known) {
			return err
		}
	}
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		if meaning := meaningOf(e); meaning != nil {
			return fmt.Errorf("%w: %w", meaning, err)
		}
		return err
	}
	if isTLS(err) {
		return fmt.Errorf("%w: %w", ErrTLS, err)
	}
	// Whatever else fails is the connection: it may be possible later.
	if _, ok := errors.AsType[net.Error](err); ok || isConnection(err) {
		return fmt.Errorf("%w: %w", collector.ErrUnavailable, err)
	}
	return err
}

// isTLS reports whether a connection failed because of TLS, rather than because
// it was cut. Pgconn has no type for a server without TLS; TestTLS holds its
// words.
func isTLS(err error) bool {
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return true
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok { // with verify-ca, pgx verifies it
		return true
	}
	if _, ok := errors.AsType[x509.CertificateInvalidError](err); ok {
		return true
	}
	if _, ok := errors.AsType[tls.AlertError](err); ok {
		return true
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "remote error" { // an alert of the server
		return true
	}
	return strings.Contains(err.Error(), "server refused TLS connection")
}

func isConnection(err error) bool {
	if _, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		return true
	}
	return pgconn.Timeout(err) || pgconn.SafeToRetry(err) || isCut(err)
}

// meaningOf returns the error that a code of the server stands for, or nil.
// https://www.postgresql.org/docs/current/errcodes-appendix.html
func meaningOf(e *pgconn.PgError) error {
	switch {
	case e.Code == "28P01", e.Code == "28000":
		return ErrPassword
	case e.Code == "3D000", strings.HasPrefix(e.Message, "no such database"): // a pooler says only that
		return ErrNoDatabase
	case e.Code == "42501", e.Code == "3F000": // no schema of the search path exists
		return ErrPrivilege
	case e.Code == "42703", e.Code == "42809", e.Code == "42P10": // other columns, a view, no such key
		return ErrForeign
	case e.Code == "25006":
		return fmt.Errorf("%w: %w", collector.ErrUnavailable, ErrReadOnly) // until it is a primary again
	case e.Code == "XX001", e.Code == "XX002":
		return ErrDamaged
	}
	switch e.Code[:min(2, len(e.Code))] {
	case "08", "25", "40", "53", "55", "57", "58":
		return collector.ErrUnavailable
	}
	return nil
}
