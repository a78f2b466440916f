package legacy

import (
	"cmp"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/report"
)

// eventSchema is the version of health reports that identify their events.
const eventSchema = "2026-07-25.health-issues.v3"

// identity matches the ID of a report or event in newer versions.
var identity = regexp.MustCompile(`^[a-f0-9]{64}$`)

// eventLen is how many digits of an identity are kept. 16 are enough to distinguish
// the events of one installation.
const eventLen = 16

// healthOf converts the health report of a client, and returns how many of its
// faults were accepted.
//
// The format has three versions. The newest identifies its events, and each is
// counted once. The second has an ID but no events: it contains how often a fault
// occurred since the last report, and is counted unless the ID is known. The
// oldest contains how often a fault occurred in all, and only the increase is
// counted.
func healthOf(o object, list []any, app collector.App, id string, now time.Time) (collector.ReceivedHealth, int) {
	received := collector.ReceivedHealth{Legacy: true, Report: report.HealthReport{
		Schema: report.SchemaVersion, App: app.Key, InstallationID: id, IDPersistence: report.Persisted, SentAt: o.sentAt(),
		Version: report.NormalizeVersion(o.text("version")),
	}}
	batch := strings.ToLower(o.text("report_id"))
	delta := identity.MatchString(batch)
	named := delta && o.text("schema_version") == eventSchema
	if delta && !named {
		received.Batch = batch[:eventLen]
	}
	events := MaxEvents // left
	accepted := 0
	for _, item := range list[:min(len(list), MaxFaults)] {
		fields, _ := item.(map[string]any)
		issue := object(fields)
		if issue.text("fingerprint") == "" {
			continue // the worker ignores it too
		}
		fault := faultOf(issue, now)
		var ids []string
		if named {
			ids = eventsOf(issue, events)
			events -= len(ids)
			if len(ids) == 0 {
				continue
			}
		}
		accepted++
		add(&received, fault, ids, named)
	}
	return received, accepted
}

// add adds a fault, or its count if the same fault is already in the report.
func add(received *collector.ReceivedHealth, fault report.Fault, events []string, named bool) {
	faults := &received.Report.Faults
	i := slices.IndexFunc(*faults, func(f report.Fault) bool { return f.Key() == fault.Key() })
	if i < 0 {
		*faults = append(*faults, fault)
		i = len(*faults) - 1
		if named {
			received.Events = append(received.Events, nil)
		}
	} else {
		(*faults)[i].Count = min((*faults)[i].Count+fault.Count, report.MaxFaultCount)
	}
	if named {
		all := append(received.Events[i], events...)
		received.Events[i] = all[:min(len(all), collector.MaxEvents)]
	}
}

// faultOf converts an issue.
//
// All counts begin at the same moment, not at first_seen_at, which clients advance
// as events leave their list.
func faultOf(issue object, now time.Time) report.Fault {
	f := report.Fault{
		Source:    cmp.Or(codeOf(issue.text("source"), report.MaxCodeLen), "unknown"),
		Component: cmp.Or(codeOf(issue.text("component"), report.MaxCodeLen), "unknown"),
		Reason:    cmp.Or(codeOf(issue.text("reason_code"), report.MaxCodeLen), "unknown_reason"),
		Stage:     codeOf(issue.text("stage"), report.MaxCodeLen),
		Severity:  report.SeverityWarning,
		Count:     1,
		Since:     time.Unix(0, 0).UTC(),
	}
	f.Context = contextOf(issue.object("sample_context"))
	switch severity := strings.ToLower(issue.text("severity")); severity {
	case "error", "critical":
		f.Severity = report.Severity(severity)
	}
	if n, ok := issue["count"].(float64); ok && n >= 1 {
		f.Count = int(min(n, MaxEvents))
	}
	first, ok := issue.time("first_seen_at")
	if !ok {
		first = now.UTC().Truncate(time.Second)
	}
	f.First, f.Last = first, first
	if last, ok := issue.time("last_seen_at"); ok && last.After(first) {
		f.Last = last
	}
	return f
}

// contextKeys are the values of a sample context that are kept, as codes. Others
// are numbers that differ each time, or text.
var contextKeys = []string{"backend", "device", "error_type", "kind", "provider", "runtime", "stage", "status"}

func contextOf(sample object) map[string]string {
	var context map[string]string
	for _, key := range contextKeys {
		text, _ := sample[key].(string)
		if code := codeOf(text, report.MaxCodeLen); code != "" {
			if context == nil {
				context = make(map[string]string)
			}
			context[key] = code
		}
	}
	return context
}

// eventsOf returns the identities of at most so many events of an issue.
func eventsOf(issue object, most int) []string {
	list, _ := issue["event_ids"].([]any)
	var events []string
	for _, item := range list {
		if len(events) == most {
			break
		}
		text, _ := item.(string)
		if text = strings.ToLower(strings.TrimSpace(text)); !identity.MatchString(text) {
			continue
		}
		if event := text[:eventLen]; !slices.Contains(events, event) {
			events = append(events, event)
		}
	}
	return events
}
