package postgres_test

import (
	"testing"

	"github.com/rollcall-dev/rollcall/cmd/internal/test/lab"
	"github.com/rollcall-dev/rollcall/cmd/internal/test/pgserver"
)

func TestMain(m *testing.M) { lab.Main(withServers{m}) }

// withServers runs tests that share servers.
type withServers struct{ *testing.M }

func (m withServers) Run() int {
	defer pgserver.StopShared()
	return m.M.Run()
}
