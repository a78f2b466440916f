package report_test

import (
	"fmt"
	"time"

	"github.com/rollcall-dev/rollcall/report"
)

// A sender declares its facts once, and then fills in a heartbeat.
func Example() {
	facts, err := report.Declare(
		report.BoolFact("media_cache", "Shows whether the cache is worth keeping."),
		report.EnumFact("auth", "Shows which ways of signing in have to be tested.", "none", "password", "oidc"),
		report.BucketFact("cameras", "Shows how large installations are.", 1, 10, 100),
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	h := report.Heartbeat{
		Schema:         report.SchemaVersion,
		App:            "birdwatch",
		InstallationID: "6f1c1f0e-8a52-4c7b-9d3e-2b1a7c5d9e04",
		IDPersistence:  report.Persisted,
		SentAt:         time.Date(2026, 1, 31, 23, 59, 59, 0, time.UTC),
		Version:        report.NormalizeVersion("v1.4.0"),
		Deployment:     report.DeploymentContainer,
		Facts:          facts.Encode(map[string]any{"media_cache": true, "auth": "ldap", "cameras": 12}),
	}
	data, err := h.Marshal()
	fmt.Println(string(data), err)
	// Output:
	// {"schema":1,"app":"birdwatch","installation_id":"6f1c1f0e-8a52-4c7b-9d3e-2b1a7c5d9e04","id_persistence":"persisted","sent_at":"2026-01-31T23:59:59Z","version":"1.4.0","deployment":"container","facts":{"cameras":"10-99","media_cache":true}} <nil>
}

// A receiver learns why a report is refused, and what was left out of one that is not.
func ExampleParseHeartbeat() {
	const body = `{"schema":1,"app":"birdwatch","installation_id":"6f1c1f0e-8a52-4c7b-9d3e-2b1a7c5d9e04",` +
		`"id_persistence":"memory","sent_at":"2026-01-31T23:59:59Z","version":"v1.4.0","hostname":"attic"}`
	h, dropped, err := report.ParseHeartbeat([]byte(body))
	fmt.Println(h.Version, dropped.Fields, err)
	_, _, err = report.ParseHeartbeat([]byte(`{"schema":1,"app":"Bird Watch"}`))
	fmt.Println(err)
	// Output:
	// 1.4.0 1 <nil>
	// invalid report: installation_id: missing
}

// The lists of fields make a table for operators.
func ExampleFields() {
	for _, f := range report.Fields()[:3] {
		fmt.Printf("%s (%s): %s\n", f.Name, f.Type, f.Bound)
	}
	// Output:
	// schema (number): 1 to 1000000
	// app (text): a-z, 0-9 and -; at most 64 characters
	// installation_id (text): a UUID in lower case, neither nil nor all ones; at most 36 characters
}

func ExampleCompareVersions() {
	fmt.Println(report.CompareVersions("1.4.0-rc.1", "v1.4"), report.CompareVersions("1.10", "1.9.2"))
	// Output: -1 1
}
