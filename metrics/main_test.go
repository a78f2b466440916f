package metrics_test

import (
	"os"
	"testing"
)

func TestMain(m *testing.M) {
	os.Setenv("ROLLCALL_TRUST_DISK", "true") // that of the test run may be a container's
	os.Exit(m.Run())
}
