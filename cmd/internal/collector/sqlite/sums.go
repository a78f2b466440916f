package sqlite

import (
	"database/sql/driver"
	"errors"
	"fmt"

	"modernc.org/sqlite"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector/rowsum"
)

// ErrDamaged means that the file does not hold what was written to it.
var ErrDamaged = errors.New("database is damaged")

// unseal returns the value of a sealed one, whose checksum sum computes.
func unseal(sealed []byte, what string, sum func(value []byte) rowsum.Sum) ([]byte, error) {
	value, ok := rowsum.Unseal(sealed, sum)
	switch {
	case value == nil:
		return nil, fmt.Errorf("%w: %s has no checksum", ErrDamaged, what)
	case !ok:
		return nil, fmt.Errorf("%w: %s has a wrong checksum", ErrDamaged, what)
	}
	return value, nil
}

// Package rowsum for SQL, in migrations and checks:
//
//	rollcall_sum(part, ...)             the checksum of these parts
//	rollcall_seal(part, ..., value)     the value, sealed
//	rollcall_intact(part, ..., sealed)  1 if the checksum is right, else 0
func init() {
	sqlite.MustRegisterDeterministicScalarFunction("rollcall_sum", -1, func(_ *sqlite.FunctionContext, args []driver.Value) (driver.Value, error) {
		s, err := sumOf(args)
		return int64(s.Value()), err
	})
	sqlite.MustRegisterDeterministicScalarFunction("rollcall_seal", -1, func(_ *sqlite.FunctionContext, args []driver.Value) (driver.Value, error) {
		value, ok := lastBlob(args)
		if !ok {
			return nil, errors.New("rollcall_seal: the value is no BLOB")
		}
		s, err := sumOf(args)
		return rowsum.Seal(value, s), err
	})
	sqlite.MustRegisterDeterministicScalarFunction("rollcall_intact", -1, func(_ *sqlite.FunctionContext, args []driver.Value) (driver.Value, error) {
		sealed, ok := lastBlob(args)
		if !ok {
			return int64(0), nil
		}
		var failed error
		_, ok = rowsum.Unseal(sealed, func(value []byte) (s rowsum.Sum) {
			s, failed = sumOf(append(args[:len(args)-1:len(args)-1], value))
			return s
		})
		if !ok || failed != nil {
			return int64(0), nil
		}
		return int64(1), nil
	})
}

// lastBlob returns the last argument. SQLite passes an empty BLOB as nil.
func lastBlob(args []driver.Value) ([]byte, bool) {
	switch value := args[len(args)-1].(type) {
	case []byte:
		return value, true
	case nil:
		return nil, true
	}
	return nil, false
}

func sumOf(parts []driver.Value) (s rowsum.Sum, err error) {
	for _, part := range parts {
		switch part := part.(type) {
		case []byte:
			s.Bytes(part)
		case string:
			s.Text(part)
		case int64:
			s.Number(part)
		case nil:
			s.Bytes(nil)
		default:
			return s, fmt.Errorf("checksum of a %T", part)
		}
	}
	return s, nil
}
