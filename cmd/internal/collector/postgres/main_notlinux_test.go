//go:build !linux

package postgres_test

import (
	"testing"

	"github.com/rollcall-dev/rollcall/cmd/internal/test/pgserver"
)

func TestMain(m *testing.M) { pgserver.Main(m) }
