package page

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/rollcall-dev/rollcall"
	"github.com/rollcall-dev/rollcall/installid"
	"github.com/rollcall-dev/rollcall/report"
)

const knownID = "0b9d6f1e-7a3c-4d52-9c41-5f6e7d8c9b0a"

var now = time.Date(2026, 11, 23, 17, 20, 5, 0, time.UTC)

// A state is what a service can say of itself.
type state struct {
	status rollcall.Status
	glance glance
	notice *notice
}

var (
	configKey    = rollcall.Source{Kind: rollcall.SourceConfig, Name: "telemetry.enabled"}
	invalidKey   = rollcall.Source{Kind: rollcall.SourceConfig, Name: "telemetry.enabled", Problem: rollcall.ProblemInvalid}
	healthKey    = rollcall.Source{Kind: rollcall.SourceConfig, Name: "telemetry.health_enabled"}
	variable     = rollcall.Source{Kind: rollcall.SourceEnvironment, Name: "DO_NOT_TRACK"}
	policyFile   = rollcall.Source{Kind: rollcall.SourcePolicy, Name: "/etc/rollcall/policy.json"}
	hostSettings = rollcall.Source{Kind: rollcall.SourceHost}
	nobody       = rollcall.Source{Kind: rollcall.SourceNobody}
)

// working is the state of a service that reports.
func working() state {
	id, _ := installid.Parse(knownID)
	var s state
	s.status.Status = installid.Status{
		ID: id, Settled: true, Persisted: true, Place: "config /srv/app/config.json, key telemetry.installation_id",
		Attempts: 1, NextTry: now.Add(time.Hour),
	}
	s.status.Consent = rollcall.Decision{State: rollcall.Granted, Source: configKey, Setting: rollcall.Granted}
	r := &s.status.Reporting
	r.Endpoint, r.Kept = "https://telemetry.example.org", true
	r.LastSuccess, r.LastAttempt, r.NextDue = now.Add(-3*time.Hour), now.Add(-3*time.Hour), now.Add(21*time.Hour)
	r.Health = rollcall.Decision{State: rollcall.Granted, Source: healthKey, Setting: rollcall.Granted}
	s.glance.decisions = rollcall.Decisions{Telemetry: rollcall.Decision{State: rollcall.Granted}, Schema: 1, Facts: 1}
	s.glance.preview = rollcall.Preview{
		Heartbeat: []byte(`{"schema":1,"app":"example"}`),
		Health:    []byte(`{"schema":1,"faults":[]}`),
		Fields: []rollcall.ExplainedField{
			{Field: report.Field{Name: "schema", Since: 1, Reason: "Says how to read it."}, Value: "1"},
			{Field: report.Field{Name: "version", Since: 1, Reason: "Shows which are in use."}},
		},
	}
	return s
}

// states lists what the page can have to show, with words that must be on it, and words that must not.
var states = []struct {
	name    string
	change  func(*state)
	want    []string
	without []string
}{
	{name: "working", change: func(*state) {}, want: []string{
		"A heartbeat is sent once a day", "Heartbeats go to https://telemetry.example.org.", "Persisted.", "Nothing is wrong.",
		"2026-11-23 14:20:05 UTC", "(3 hours ago)", "(in 21 hours)", "Deny telemetry", "Deny health reports", "Send a heartbeat now",
		"&#34;app&#34;: &#34;example&#34;", "{&#34;schema&#34;:1,&#34;app&#34;:&#34;example&#34;}", "(28 bytes)", "not sent", "It follows the heartbeat.",
	}, without: []string{"Grant telemetry", "cannot override", "does not answer", `class="notice`}},
	{name: "unset", change: func(s *state) {
		s.status.Consent = rollcall.Decision{Source: nobody}
		s.status.Reporting.Withheld = "telemetry is unset (not decided)"
		s.status.Reporting.Health = rollcall.Decision{Source: nobody}
	}, want: []string{"Nothing is sent", "nobody has decided yet", "Grant telemetry", "Deny telemetry", "None while nothing is sent",
		"It can be given once telemetry is granted"}, without: []string{"Send a heartbeat now", "Grant health reports"}},
	{name: "denied in the config", change: denyBy(configKey),
		want:    []string{"Telemetry is denied: config key telemetry.enabled.", "Grant telemetry", "It is not sent, since health reports are not granted."},
		without: []string{"Deny telemetry", "cannot override"}},
	{name: "neither true nor false", change: denyBy(invalidKey),
		want: []string{"is neither true nor false", "Grant telemetry", "Deny telemetry"}},
	{name: "denied by the environment", change: denyBy(variable),
		want:    []string{"environment variable DO_NOT_TRACK", "cannot override", "The config itself grants telemetry", "Deny telemetry"},
		without: []string{"Grant telemetry"}},
	{name: "denied by a policy and in the config", change: func(s *state) {
		denyBy(policyFile)(s)
		s.status.Consent.Setting = rollcall.Denied
	}, want: []string{"policy file /etc/rollcall/policy.json", "cannot override"}, without: []string{"<form"}},
	{name: "denied and not saved", change: denyBy(rollcall.Source{Kind: rollcall.SourceProcess}),
		want: []string{"that could not be saved", "Grant telemetry", "Deny telemetry"}},
	{name: "decided by the host", change: denyBy(hostSettings),
		want: []string{"This program keeps the decision in its own settings."}, without: []string{"<form"}},
	{name: "health denied by a policy", change: func(s *state) {
		s.status.Reporting.Health = rollcall.Decision{State: rollcall.Denied, Source: policyFile}
	}, want: []string{"A heartbeat is sent once a day", "cannot override"}, without: []string{"health reports</button>"}},
	{name: "health unset", change: func(s *state) {
		s.status.Reporting.Health = rollcall.Decision{Source: nobody}
	}, want: []string{"Grant health reports", "Deny health reports"}},
	{name: "health denied in the config", change: func(s *state) {
		s.status.Reporting.Health = rollcall.Decision{State: rollcall.Denied, Source: healthKey}
	}, want: []string{"Grant health reports"}, without: []string{"Deny health reports"}},
	{name: "health decided by the host", change: func(s *state) {
		s.status.Reporting.Health.Source = hostSettings
	}, want: []string{"This program keeps the decision in its own settings."}, without: []string{"health reports</button>"}},
	{name: "fields added", change: func(s *state) {
		for _, name := range []string{"facts.tls", "facts.users"} {
			s.glance.preview.Fields = append(s.glance.preview.Fields, rollcall.ExplainedField{Field: report.Field{Name: name, Since: 2}})
		}
	}, want: []string{"added after you granted telemetry", "<code>facts.tls</code>, <code>facts.users</code>", "Grant these fields too", "not granted"}},
	{name: "not counted", change: func(s *state) { s.status.Reporting.Withheld = "not counted: a test binary" },
		want: []string{"Telemetry is granted, but nothing is sent for another reason: not counted: a test binary."}},
	{name: "no collector", change: func(s *state) {
		s.status.Reporting = rollcall.ReportingStatus{Withheld: "no collector is configured"}
	}, want: []string{"None is configured", "None is on record."}, without: []string{"forgotten…", "remembered in memory"}},
	{name: "gone", change: func(s *state) { s.status.Reporting.Gone, s.status.Reporting.NextDue = true, time.Time{} },
		want: []string{"the collector has said that it wants no more reports", "None: the collector wants no more reports."}},
	{name: "failed", change: func(s *state) {
		s.status.Reporting.LastAttempt, s.status.Reporting.LastError = now.Add(-time.Minute), "no connection within 10 seconds"
	}, want: []string{"The last heartbeat failed", "<strong>Failed:</strong> no connection within 10 seconds", "(60 seconds ago)"}},
	{name: "failed at an unknown time", change: func(s *state) {
		s.status.Reporting.LastAttempt, s.status.Reporting.LastError = time.Time{}, "no connection within 10 seconds"
	}, want: []string{"<strong>Failed:</strong> no connection within 10 seconds"}},
	{name: "under way", change: func(s *state) {
		s.status.Reporting.LastAttempt, s.status.Reporting.NextDue = now.Add(-time.Second), time.Time{}
	}, want: []string{"under way, or ended without an answer", "Not known yet."}},
	{name: "not kept", change: func(s *state) { s.status.Reporting.Kept = false }, want: []string{"remembered in memory only"}},
	{name: "no faults", change: func(s *state) { s.glance.preview.Health = nil }, want: []string{"No fault has been counted"}},
	{name: "not started", change: func(s *state) {
		s.status.Status = installid.Status{}
		s.glance.preview.WithoutID = true
	}, want: []string{"Heartbeats begin when the installation ID is known for certain.", "Not known yet: the service has not started",
		"Zeros stand in its place.", "None is planned."}, without: []string{`id="installation-id"`, "Make a new ID"}},
	{name: "no ID before consent", change: func(s *state) {
		s.status.ID, s.status.Persisted, s.status.Reason = installid.ID{}, false, "telemetry is not granted"
	}, want: []string{"There is none.", "<dd>telemetry is not granted</dd>"}},
	{name: "in memory", change: func(s *state) {
		s.status.Persisted, s.status.Reason, s.status.LastError = false, "read-only file system", "read-only file system"
		s.status.LastErrorTime = now.Add(-90 * time.Hour)
	}, want: []string{"In memory.", "<dd>read-only file system</dd>", "The last attempt failed.", "(3 days ago)"}},
	{name: "in memory for now", change: func(s *state) {
		s.status.Persisted, s.status.Provisional, s.status.Unread, s.status.LastError = false, true, true, "not valid"
	}, want: []string{"In memory, for now.", "The config could not be read."}},
	{name: "incomplete", change: func(s *state) { s.status.Incomplete, s.status.Reason = true, "no space left" },
		want: []string{"Persisted.", "One of its copies is missing", "no space left"}},
	{name: "busy for a moment", change: func(s *state) { s.status.Stuck, s.status.StuckSince = "read config", now.Add(-time.Second) },
		want: []string{"Nothing is wrong."}, without: []string{"does not answer"}},
	{name: "stuck", change: func(s *state) { s.status.Stuck, s.status.StuckSince = "read config", now.Add(-5*time.Minute) },
		want: []string{"The storage does not answer.", "This operation does not end: read config, since", "(5 minutes ago)"}},
	{name: "preview timed out", change: func(s *state) {
		s.glance.preview, s.glance.previewError = rollcall.Preview{}, fmt.Errorf("preview: timed out: %w", context.DeadlineExceeded)
	}, want: []string{"The storage does not answer.", "has not answered within 3 seconds", "preview: timed out"}},
	{name: "preview failed", change: func(s *state) {
		s.glance.preview, s.glance.previewError = rollcall.Preview{}, errors.New("preview: not JSON")
	}, want: []string{"The preview could not be made.", "preview: not JSON"}, without: []string{"does not answer"}},
	{name: "it went well", change: func(s *state) { n := telemetryGranted.notice(); s.notice = &n },
		want: []string{`role="status"`, "telemetry is granted.", "<title>✓ Granted – Telemetry – Example</title>"}},
	{name: "it went badly", change: func(s *state) { n := notSent.notice(); n.Detail = "no answer"; s.notice = &n },
		want: []string{`role="status"`, "The heartbeat was not accepted.", `<p class="detail">no answer</p>`, "<title>! Not sent – Telemetry – Example</title>"}},
}

func denyBy(source rollcall.Source) func(*state) {
	return func(s *state) {
		s.status.Consent = rollcall.Decision{State: rollcall.Denied, Source: source, Setting: rollcall.Granted}
		s.status.Reporting.Withheld = "telemetry is denied (" + source.String() + ")"
		s.status.Reporting.Health = rollcall.Decision{State: rollcall.Denied, Source: source}
	}
}
