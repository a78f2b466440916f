package engine_test

import (
	"flag"
	"os"
	"testing"

	"github.com/rollcall-dev/rollcall/cmd/internal/test/race"
)

// Random fleets take long, so a run has few of them, and shrinks failures only
// briefly.
func TestMain(m *testing.M) {
	flag.Parse()
	given := map[string]bool{}
	flag.Visit(func(f *flag.Flag) { given[f.Name] = true })
	checks := "12"
	switch {
	case os.Getenv("ROLLCALL_SOAK") != "":
		checks = "300"
	case race.Enabled:
		checks = "5" // one with -short: rapid divides by five
	}
	for name, value := range map[string]string{"rapid.checks": checks, "rapid.shrinktime": "10s"} {
		if !given[name] {
			flag.Set(name, value)
		}
	}
	os.Exit(m.Run())
}
