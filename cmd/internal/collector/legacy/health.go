package legacy

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/report"
)

// eventSchema is the version of health reports whose events have identities.
const eventSchema = "2026-07-25.health-issues.v3"

// identity is what a report or an event of the newer versions has.
var identity = regexp.MustCompile(`^[a-f0-9]{64}$`)

// eventLen is how much of an identity is kept: 16 hexadecimal digits are enough to tell the events of one installation apart.
const eventLen = 16

// healthOf gives the health report that a client means, and how many of its issues are in it.
//
// There are three versions of them. The newest names its events, and each is counted once. One with an ID but without events
// says how often something happened since the report before; it is counted unless the ID is known, for which each occurrence
// gets an identity that is made of it. The oldest says how often it happened in all, so that what is more than was reported
// before is counted.
func healthOf(o object, list []any, app collector.App, id string, now time.Time) (collector.ReceivedHealth, int) {
	received := collector.ReceivedHealth{App: app.Num, Report: report.HealthReport{
		Schema: report.SchemaVersion, App: app.Key, InstallationID: id, IDPersistence: report.Persisted, SentAt: o.sentAt(now),
		Version: report.NormalizeVersion(o.text("version")),
	}}
	batch := strings.ToLower(o.text("report_id"))
	delta := identity.MatchString(batch)
	named := delta && o.text("schema_version") == eventSchema
	left, issues := MaxEvents, 0
	for _, item := range list[:min(len(list), MaxIssues)] {
		issue, _ := item.(map[string]any)
		fingerprint := object(issue).text("fingerprint")
		if fingerprint == "" {
			continue // the worker has no place for it either
		}
		group := groupOf(issue, now)
		var events []string
		switch {
		case named:
			events = eventsOf(issue, left)
			left -= len(events)
			if len(events) == 0 {
				continue
			}
		case delta:
			for i := range group.Count {
				events = append(events, derived(batch, fingerprint, i))
			}
		}
		issues++
		add(&received, group, events, delta)
	}
	return received, issues
}

// derived gives the identity of one occurrence in a report whose events have none.
func derived(batch, fingerprint string, i int) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %d %s", batch, i, fingerprint))
	return hex.EncodeToString(sum[:])[:eventLen]
}

// add adds a group; one of the same fault is made part of it.
func add(received *collector.ReceivedHealth, group report.Fault, events []string, delta bool) {
	groups := &received.Report.Faults
	i := slices.IndexFunc(*groups, func(g report.Fault) bool { return g.Key() == group.Key() })
	if i < 0 {
		*groups = append(*groups, group)
		i = len(*groups) - 1
		if delta {
			received.Events = append(received.Events, nil)
		}
	} else {
		(*groups)[i].Count = min((*groups)[i].Count+group.Count, report.MaxFaultCount)
	}
	if delta {
		all := append(received.Events[i], events...)
		received.Events[i] = all[:min(len(all), collector.MaxEvents)]
	}
}

// groupOf gives the group of an issue.
//
// Counting begins at the same moment for ever, whatever first_seen_at says: that of clients moves on as their list of events
// does, and is no beginning of a count.
func groupOf(issue object, now time.Time) report.Fault {
	g := report.Fault{
		Source:    cmp.Or(codeOf(issue.text("source"), report.MaxCodeLen), "unknown"),
		Component: cmp.Or(codeOf(issue.text("component"), report.MaxCodeLen), "unknown"),
		Reason:    cmp.Or(codeOf(issue.text("reason_code"), report.MaxCodeLen), "unknown_reason"),
		Stage:     codeOf(issue.text("stage"), report.MaxCodeLen),
		Severity:  report.SeverityWarning,
		Count:     1,
		Since:     time.Unix(0, 0).UTC(),
	}
	switch severity := strings.ToLower(issue.text("severity")); severity {
	case "error", "critical":
		g.Severity = report.Severity(severity)
	}
	if n, ok := issue["count"].(float64); ok && n >= 1 {
		g.Count = int(min(n, MaxEvents))
	}
	first, ok := issue.time("first_seen_at")
	if !ok {
		first = now.UTC().Truncate(time.Second)
	}
	g.First, g.Last = first, first
	if last, ok := issue.time("last_seen_at"); ok && last.After(first) {
		g.Last = last
	}
	return g
}

// eventsOf gives the identities of an issue's events, at most so many.
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
