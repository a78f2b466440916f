// Package browser_test drives the operator's page and the dashboard in headless
// Chromium: with and without JavaScript, by keyboard, in narrow and wide windows,
// in light and dark. It has tests only.
package browser_test

import (
	"context"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall"
	"github.com/rollcall-dev/rollcall/page"
	"github.com/rollcall-dev/rollcall/report"
	"github.com/rollcall-dev/rollcall/rollcalltest"
)

const (
	title   = "Example Server"
	knownID = "0b9d6f1e-7a3c-4d52-9c41-5f6e7d8c9b0a"

	// lanName stands for a name of the machine in its network. The browser
	// resolves it to loopback.
	lanName = "operator.test"

	undecided = "{\n  \"port\": 8080,\n  \"telemetry\": {\n    \"installation_id\": \"" + knownID + "\"\n  }\n}\n"
	denied    = "{\n  \"telemetry\": {\n    \"enabled\": false,\n    \"installation_id\": \"" + knownID + "\"\n  }\n}\n"
	granted   = "{\n  \"telemetry\": {\n    \"enabled\": true,\n    \"health_enabled\": true,\n    \"installation_id\": \"" + knownID + "\"\n  }\n}\n"
)

// A site is an operator's page, its service, and the path of the config.
type site struct {
	URL     string
	Service *rollcall.Service
	Config  string
}

func (s site) config(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile(s.Config)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// newSite serves the page of a service with its own config.
func newSite(t *testing.T, config string, change ...func(*rollcall.Config)) site {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.json")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	c := rollcall.Config{
		App: "example", ConfigPath: path, Version: "v2.4.1", Facts: facts(t),
		Reporting: rollcall.ReportingConfig{Development: true, FaultContext: []string{"backend"}},
		Consent:   rollcall.ConsentConfig{PolicyPath: filepath.Join(t.TempDir(), "policy.json")},
	}
	for _, f := range change {
		f(&c)
	}
	service, err := rollcall.New(c)
	if err != nil {
		t.Fatal(err)
	}
	if err := service.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		service.Stop(ctx)
	})
	for range 3 {
		service.ReportFault(rollcall.Fault{
			Source: "log", Component: "mailer", Reason: "smtp_refused", Severity: report.SeverityWarning,
			Context: map[string]string{"backend": "postfix"},
		})
	}
	return site{serve(t, service), service, path}
}

func serve(t *testing.T, service *rollcall.Service) (url string) {
	t.Helper()
	server := httptest.NewServer(page.Handler(service, page.Options{Title: title, AllowHosts: []string{lanName}, Rights: page.BehindLogin}))
	t.Cleanup(server.Close)
	return server.URL + "/"
}

func facts(t *testing.T) []rollcall.Fact {
	t.Helper()
	return []rollcall.Fact{
		{
			Declaration: report.BoolFact("tls", "Shows whether the set-up of certificates has to become easier."),
			Value:       func(context.Context) (any, error) { return true, nil },
		},
		{
			Declaration: report.EnumFact("database", "Shows which databases have to be supported and tested.", "sqlite", "postgres"),
			Value:       func(context.Context) (any, error) { return "postgres", nil },
		},
		{
			Declaration: report.BucketFact("users", "Shows for how many users the program has to be quick.", 1, 10, 100, 1000),
			Value:       func(context.Context) (any, error) { return 42, nil },
		},
	}
}

// collecting makes a service report to its own collector.
func collecting(t *testing.T) func(*rollcall.Config) {
	t.Helper()
	collector := rollcalltest.NewCollector(t)
	return func(c *rollcall.Config) { c.Endpoint = collector.URL }
}
