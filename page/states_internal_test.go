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

// A state is one state of a service.
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

// states are all states of the page, with texts that it must contain and texts
// that it must not.
var states = []struct {
	name    string
	change  func(*state)
	want    []string
	without []string
}{
	{name: "working", change: func(*state) {}, want: []string{
		"A heartbeat is sent once a day", "Heartbeats go to https://telemetry.example.org.", "Persisted.", "No problems.",
		"2026-11-23 14:20:05 UTC", "(3 hours ago)", "(in 21 hours)", "Turn off telemetry", "Turn off health reports", "Send a heartbeat now",
		"&#34;app&#34;: &#34;example&#34;", "{&#34;schema&#34;:1,&#34;app&#34;:&#34;example&#34;}", "(28 bytes)", "not sent", "It follows the heartbeat.",
		"Turned on by the config key telemetry.enabled.", `class="summary on"`,
	}, without: []string{"Turn on telemetry", "takes precedence", "does not respond", `class="notice`, "summary warn"}},
	{name: "unset", change: func(s *state) {
		s.status.Consent = rollcall.Decision{Source: nobody}
		s.status.Reporting.Withheld = "telemetry is unset (not decided)"
		s.status.Reporting.Health = rollcall.Decision{Source: nobody}
	}, want: []string{"Nothing is sent", "Nobody has decided yet, so telemetry is off.", "Turn on telemetry", "Turn off telemetry", "None. Nothing is sent",
		"can be turned on once telemetry is on"}, without: []string{"Send a heartbeat now", "Turn on health reports"}},
	{name: "denied in the config", change: denyBy(configKey),
		want:    []string{"Telemetry is turned off by the config key telemetry.enabled.", "Turn on telemetry", "It is not sent, because health reports are off."},
		without: []string{"Turn off telemetry", "takes precedence"}},
	{name: "neither true nor false", change: denyBy(invalidKey),
		want: []string{"Telemetry is turned off because the config key telemetry.enabled is neither true nor false.", "Turn on telemetry", "Turn off telemetry"}},
	{name: "denied by the environment", change: denyBy(variable),
		want: []string{"Telemetry is turned off by the environment variable DO_NOT_TRACK.", "The environment variable takes precedence; this page only changes the config.",
			"The config itself turns telemetry on", "Turn off telemetry"},
		without: []string{"Turn on telemetry"}},
	{name: "denied by a policy and in the config", change: func(s *state) {
		denyBy(policyFile)(s)
		s.status.Consent.Setting = rollcall.Denied
	}, want: []string{"Telemetry is turned off by the policy file /etc/rollcall/policy.json.", "The policy takes precedence"}, without: []string{"<form"}},
	{name: "denied and not saved", change: denyBy(rollcall.Source{Kind: rollcall.SourceProcess}),
		want: []string{"in this process only, because the decision could not be saved", "Turn on telemetry", "Turn off telemetry"}},
	{name: "decided by the host", change: func(s *state) {
		denyBy(hostSettings)(s)
		s.status.Consent.CannotGrant, s.status.Consent.Where = true, "Settings > Privacy"
	}, want: []string{"This program keeps the decision in its own settings. Change it there: Settings &gt; Privacy"}, without: []string{"<form"}},
	{name: "decided by the host, which does not say where", change: func(s *state) {
		denyBy(hostSettings)(s)
		s.status.Consent.CannotGrant = true
	}, want: []string{"This program keeps the decision in its own settings. Change it there."}, without: []string{"<form"}},
	{name: "health denied by a policy", change: func(s *state) {
		s.status.Reporting.Health = rollcall.Decision{State: rollcall.Denied, Source: policyFile}
	}, want: []string{"A heartbeat is sent once a day", "The policy takes precedence"}, without: []string{"health reports</button>"}},
	{name: "health unset", change: func(s *state) {
		s.status.Reporting.Health = rollcall.Decision{Source: nobody}
	}, want: []string{"Turn on health reports", "Turn off health reports"}},
	{name: "health denied in the config", change: func(s *state) {
		s.status.Reporting.Health = rollcall.Decision{State: rollcall.Denied, Source: healthKey}
	}, want: []string{"Turn on health reports"}, without: []string{"Turn off health reports"}},
	{name: "health reports withdrawn", change: func(s *state) {
		s.status.Reporting.Health = rollcall.Decision{State: rollcall.Denied, Source: rollcall.Source{Kind: rollcall.SourceWithdrawal, Name: "/s/denied"}}
	}, want: []string{"use this page or rollcall enable --health, or remove the file", "Turn on health reports"}},
	{name: "health decided by the host", change: func(s *state) {
		s.status.Reporting.Health = rollcall.Decision{State: rollcall.Denied, Source: hostSettings, CannotGrant: true}
	}, want: []string{"This program keeps the decision in its own settings."}, without: []string{"health reports</button>"}},
	{name: "health decided by the host, which says where", change: func(s *state) {
		s.status.Reporting.Health = rollcall.Decision{State: rollcall.Denied, Source: hostSettings, CannotGrant: true, Where: "Settings > Faults"}
	}, want: []string{"Change it there: Settings &gt; Faults"}, without: []string{"health reports</button>"}},
	{name: "update check is on", change: func(s *state) {
		grantUpdates(s)
	}, want: []string{"Update check", "Turn off the update check", "No newer version.", "GET https://telemetry.example.org/v1/releases/example"},
		without: []string{"Turn on the update check", "is out"}},
	{name: "update check is undecided", change: func(s *state) {
		grantUpdates(s)
		s.status.Updates = rollcall.UpdateStatus{Channel: "stable", Consent: rollcall.Decision{Source: nobody}, Withheld: "the update check is unset (not decided)"}
	}, want: []string{"Turn on the update check", "Turn off the update check"}, without: []string{"Last check", "Nobody is asked"}},
	{name: "update check denied in the config", change: func(s *state) {
		grantUpdates(s)
		s.status.Updates.Consent = rollcall.Decision{State: rollcall.Denied, Source: configKey, Setting: rollcall.Denied}
		s.status.Updates.Withheld = "the update check is denied"
	}, want: []string{"Turn on the update check"}, without: []string{"Turn off the update check"}},
	{name: "update check decided by a policy", change: func(s *state) {
		grantUpdates(s)
		s.status.Updates.Consent = rollcall.Decision{State: rollcall.Denied, Source: policyFile}
		s.status.Updates.Withheld = "the update check is denied"
	}, want: []string{"The policy takes precedence"}, without: []string{"update check</button>"}},
	{name: "update check decided by the host", change: func(s *state) {
		grantUpdates(s)
		s.status.Updates.Consent = rollcall.Decision{State: rollcall.Denied, Source: hostSettings, CannotGrant: true}
		s.status.Updates.Withheld = "the update check is denied"
	}, want: []string{"Change it there."}, without: []string{"update check</button>"}},
	{name: "update check decided by the host, which says where", change: func(s *state) {
		grantUpdates(s)
		s.status.Updates.Consent = rollcall.Decision{State: rollcall.Denied, Source: hostSettings, CannotGrant: true, Where: "Settings > Updates"}
		s.status.Updates.Withheld = "the update check is denied"
	}, want: []string{"Change it there: Settings &gt; Updates"}, without: []string{"update check</button>"}},
	{name: "update check granted and not made", change: func(s *state) {
		grantUpdates(s)
		s.status.Updates.Withheld = "not counted: a test binary"
	}, want: []string{"Nobody is asked: not counted: a test binary."}},
	{name: "update check failed", change: func(s *state) {
		grantUpdates(s)
		u := &s.status.Updates
		u.LastSuccess, u.NextDue, u.LastError, u.LastAttempt = time.Time{}, time.Time{}, "no connection within 10 seconds", now.Add(-time.Hour)
	}, want: []string{"None on record.", "<strong>Failed:</strong> no connection within 10 seconds"}},
	{name: "update check failed at an unknown time", change: func(s *state) {
		grantUpdates(s)
		s.status.Updates.LastError, s.status.Updates.LastAttempt = "no connection within 10 seconds", time.Time{}
	}, want: []string{"<strong>Failed:</strong> no connection within 10 seconds"}},
	{name: "a newer release", change: func(s *state) {
		grantUpdates(s)
		s.status.Updates.Newer = rollcall.Update{Version: "1.4.0"}
	}, want: []string{"Version 1.4.0 is out"}, without: []string{"About this release", "known weakness", "No newer version."}},
	{name: "a recommended release", change: func(s *state) {
		grantUpdates(s)
		s.status.Updates.Newer = rollcall.Update{Version: "1.4.0", Severity: "recommended", URL: "https://example.org/1.4.0?a&b"}
	}, want: []string{"The update is recommended.", `<a href="https://example.org/1.4.0?a&amp;b" rel="noreferrer">About this release</a>`}},
	{name: "a security release", change: func(s *state) {
		grantUpdates(s)
		s.status.Updates.Newer = rollcall.Update{Version: "1.4.0", Severity: "security", Released: now}
	}, want: []string{"The running version has a known weakness, which a newer version fixes.", "<time>2026-11-23</time>"}},
	{name: "fields added", change: func(s *state) {
		for _, name := range []string{"facts.tls", "facts.users"} {
			s.glance.preview.Fields = append(s.glance.preview.Fields, rollcall.ExplainedField{Field: report.Field{Name: name, Since: 2}})
		}
	}, want: []string{"added after you turned telemetry on", "<code>facts.tls</code>, <code>facts.users</code>", "Send these fields too", "not agreed to"}},
	{name: "fact left out", change: func(s *state) {
		s.glance.preview.Fields = append(s.glance.preview.Fields, rollcall.ExplainedField{Field: report.Field{Name: "facts.tls", Since: 1}, LeftOut: "not a bool"})
	}, want: []string{"not sent: not a bool"}},
	{name: "not counted", change: func(s *state) { s.status.Reporting.Withheld = "not counted: a test binary" },
		want: []string{"Telemetry is on, but nothing is sent: not counted: a test binary."}},
	{name: "no collector", change: func(s *state) {
		s.status.Reporting = rollcall.ReportingStatus{Withheld: "no collector is configured"}
	}, want: []string{"None configured", "None on record."}, without: []string{"Forget this", "kept in memory"}},
	{name: "gone", change: func(s *state) { s.status.Reporting.Gone, s.status.Reporting.NextDue = true, time.Time{} },
		want: []string{"Telemetry is on, but the collector wants no more reports.", "None. The collector wants no more reports."}, without: []string{"Send a heartbeat now"}},
	{name: "failed", change: func(s *state) {
		s.status.Reporting.LastAttempt, s.status.Reporting.LastError = now.Add(-time.Minute), "no connection within 10 seconds"
	}, want: []string{"The last heartbeat failed", "<strong>Failed:</strong> no connection within 10 seconds", "(60 seconds ago)", `class="summary warn"`, "It is sent again later"}},
	{name: "failed at an unknown time", change: func(s *state) {
		s.status.Reporting.LastAttempt, s.status.Reporting.LastError = time.Time{}, "no connection within 10 seconds"
	}, want: []string{"<strong>Failed:</strong> no connection within 10 seconds"}},
	{name: "in progress", change: func(s *state) {
		s.status.Reporting.LastAttempt, s.status.Reporting.NextDue = now.Add(-time.Second), time.Time{}
	}, want: []string{"in progress, or ended without a response", "Not known yet."}},
	{name: "not kept", change: func(s *state) { s.status.Reporting.Kept = false }, want: []string{"kept in memory only"}},
	{name: "no faults", change: func(s *state) { s.glance.preview.Health = nil }, want: []string{"No fault has been counted"}},
	{name: "not started", change: func(s *state) {
		s.status.Status = installid.Status{}
		s.glance.preview.WithoutID = true
	}, want: []string{"Heartbeats start once the installation ID is known for certain.", "Not known yet. The service has not started",
		"shows zeros", "None planned."}, without: []string{`id="installation-id"`, "Make a new ID"}},
	{name: "no ID before consent", change: func(s *state) {
		s.status.ID, s.status.Persisted, s.status.Reason = installid.ID{}, false, "telemetry is not granted"
	}, want: []string{"There is no ID.", "<dd>telemetry is not granted</dd>"}},
	{name: "in memory", change: func(s *state) {
		s.status.Persisted, s.status.Reason, s.status.LastError = false, "read-only file system", "read-only file system"
		s.status.LastErrorTime = now.Add(-90 * time.Hour)
	}, want: []string{"In memory.", "<dd>read-only file system</dd>", "The last attempt failed.", "(3 days ago)", `class="summary warn"`,
		"The installation ID is only in memory and may change at the next start: read-only file system."}},
	{name: "in memory, and the doctor knows why", change: func(s *state) {
		s.status.Persisted = false
		s.glance.findings = []rollcall.Finding{{Check: "config writable", Level: rollcall.LevelProblem, Detail: "mode 0444", Hint: "make it writable"}}
	}, want: []string{"may change at the next start.", "<li>Mode 0444. Make it writable.</li>"}},
	{name: "denied and in memory", change: func(s *state) {
		denyBy(configKey)(s)
		s.status.Persisted = false
	}, want: []string{`class="summary warn"`, "Nothing is sent", "only in memory"}},
	{name: "grants cannot be saved", change: func(s *state) {
		denyBy(configKey)(s)
		grantUpdates(s)
		s.status.Updates.Consent = rollcall.Decision{Source: nobody}
		s.status.Updates.Withheld = "the update check is unset"
		s.glance.grantError = errors.New("read-only file system")
	}, want: []string{"because the decision cannot be saved: read-only file system.", "Turn off the update check"},
		without: []string{"Turn on telemetry", "Turn on the update check"}},
	{name: "grants of health reports and more fields cannot be saved", change: func(s *state) {
		s.status.Reporting.Health = rollcall.Decision{Source: nobody}
		s.glance.preview.Fields = append(s.glance.preview.Fields, rollcall.ExplainedField{Field: report.Field{Name: "facts.tls", Since: 2}})
		s.glance.grantError = errors.New("read-only file system")
	}, want: []string{"read-only file system", "Turn off telemetry"}, without: []string{"Turn on health reports", "Send these fields too"}},
	{name: "ID from the environment", change: func(s *state) {
		s.glance.resetError = errors.New("the installation ID comes from the environment variable X; change it there")
	}, want: []string{"It cannot be replaced here: the installation ID comes from the environment variable X; change it there.", "Forget this"}, without: []string{"Make a new ID"}},
	{name: "in memory for now", change: func(s *state) {
		s.status.Persisted, s.status.Provisional, s.status.Unread, s.status.LastError = false, true, true, "not valid"
	}, want: []string{"In memory, for now.", "The config could not be read."}},
	{name: "incomplete", change: func(s *state) { s.status.Incomplete, s.status.Reason = true, "no space left" },
		want: []string{"Persisted.", "One of its copies is missing and will be restored.", "no space left"}},
	{name: "busy for a moment", change: func(s *state) { s.status.Stuck, s.status.StuckSince = "read config", now.Add(-time.Second) },
		want: []string{"No problems."}, without: []string{"does not respond"}},
	{name: "stuck", change: func(s *state) { s.status.Stuck, s.status.StuckSince = "read config", now.Add(-5*time.Minute) },
		want: []string{"The storage does not respond.", "An operation has not ended: read config, since", "(5 minutes ago)"}},
	{name: "preview timed out", change: func(s *state) {
		s.glance.preview, s.glance.previewError = rollcall.Preview{}, fmt.Errorf("preview: timed out: %w", context.DeadlineExceeded)
	}, want: []string{"The storage does not respond.", "did not respond within 3 seconds", "preview: timed out"}},
	{name: "preview failed", change: func(s *state) {
		s.glance.preview, s.glance.previewError = rollcall.Preview{}, errors.New("preview: not JSON")
	}, want: []string{"There is no preview.", "preview: not JSON"}, without: []string{"does not respond"}},
	{name: "success", change: func(s *state) { n := notices[telemetryGranted]; s.notice = &n },
		want: []string{`role="status"`, "Telemetry is on. Your decision is saved.", "<title>✓ Turned on – Telemetry – Example</title>"}},
	{name: "failure", change: func(s *state) { n := notices[notSent]; n.Detail = "no answer"; s.notice = &n },
		want: []string{`role="status"`, "The heartbeat was not accepted.", `<p class="detail">no answer</p>`, "<title>! Not sent – Telemetry – Example</title>"}},
}

// grantUpdates is the state of a host with an update check that is on.
func grantUpdates(s *state) {
	s.status.Updates = rollcall.UpdateStatus{
		Channel:     "stable",
		Consent:     rollcall.Decision{State: rollcall.Granted, Source: configKey, Setting: rollcall.Granted},
		LastSuccess: now.Add(-2 * time.Hour), LastAttempt: now.Add(-2 * time.Hour), NextDue: now.Add(22 * time.Hour),
	}
	s.glance.preview.UpdateRequest = "GET https://telemetry.example.org/v1/releases/example?channel=stable"
}

func denyBy(source rollcall.Source) func(*state) {
	return func(s *state) {
		s.status.Consent = rollcall.Decision{State: rollcall.Denied, Source: source, Setting: rollcall.Granted}
		s.status.Reporting.Withheld = "telemetry is denied (" + source.String() + ")"
		s.status.Reporting.Health = rollcall.Decision{State: rollcall.Denied, Source: source}
	}
}
