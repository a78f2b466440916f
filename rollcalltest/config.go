package rollcalltest

import (
	"context"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollcall-dev/rollcall"
)

// variables are those of the environment that would change what a service does.
var variables = []string{
	"DO_NOT_TRACK", "ROLLCALL_TELEMETRY", rollcall.DefaultIDVariable, "STATE_DIRECTORY",
}

// Config returns the config of a service for one test: it reports although a
// test binary does not, on a build server too, whatever the environment and the
// machine's policy say. The operator has not decided yet; see
// [rollcall.Service.SetConsent]. ID, consent, and state are in a temporary
// directory. Change what the test is about, above all Facts and, to the URL of a
// [Collector], Endpoint.
//
// Config sets environment variables, so the test and its parents must not be
// parallel.
func Config(t testing.TB) rollcall.Config {
	t.Helper()
	for _, name := range variables {
		t.Setenv(name, "")
	}
	dir := t.TempDir()
	return rollcall.Config{
		App: "app", Version: "v1.0.0", StateDir: dir, TrustDisk: true,
		Consent:   rollcall.ConsentConfig{PolicyPath: filepath.Join(dir, "no-policy.json")},
		Reporting: rollcall.ReportingConfig{Development: true},
	}
}

// Start creates and starts a service, and stops it at the end of the test.
func Start(t testing.TB, config rollcall.Config) *rollcall.Service {
	t.Helper()
	service, err := rollcall.New(config)
	if err == nil {
		err = service.Start(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		service.Stop(ctx)
	})
	return service
}

// CheckFacts fails the test for each fact of the config that a report would
// leave out, and says why: a value that was not declared or has the wrong type,
// or a function that fails, panics or takes longer than a second.
func CheckFacts(t testing.TB, config rollcall.Config) {
	t.Helper()
	if err := config.CheckFacts(t.Context()); err != nil {
		t.Errorf("facts that no report would have:\n%v", err)
	}
}

// plausible is a time that a service accepts from its clock.
var plausible = time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)

// FastClock runs a test in a bubble of testing/synctest whose clock shows 1 June
// 2026, midnight UTC. Waiting takes no time there: time.Sleep for ten minutes
// after a start, and the first report was sent; for a day, and so was the second.
// Call [Config] and [NewCollector] before, outside the bubble.
func FastClock(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(plausible))
		test(t)
	})
}
