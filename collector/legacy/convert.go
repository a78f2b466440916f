package legacy

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rollcall-dev/rollcall/collector"
	"github.com/rollcall-dev/rollcall/report"
)

// An object is a JSON object of a client, with whatever it wrote.
type object map[string]any

// text gives a value as text, bounded as the worker bounds it; what is missing, null or false is empty.
func (o object) text(key string) string {
	switch v := o[key].(type) {
	case string:
		return cut(strings.TrimSpace(v))
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64)
	case bool:
		if v {
			return "true"
		}
	}
	return ""
}

// maxText bounds a text, in bytes.
const maxText = 160

func cut(text string) string { return strings.ToValidUTF8(text[:min(len(text), maxText)], "") }

func (o object) object(key string) object {
	inner, _ := o[key].(map[string]any)
	return inner
}

var uuid = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)

// InstallationID gives the ID under which the collector knows an installation ID of the format: a UUID in lower case as it
// is, and for any other text a UUID of version 8 (RFC 9562) that is derived from it. Empty stays empty.
func InstallationID(text string) string {
	if text == "" {
		return ""
	}
	if lower := strings.ToLower(text); uuid.MatchString(lower) {
		return lower
	}
	sum := sha256.Sum256([]byte("rollcall legacy installation\x00" + text))
	sum[6], sum[8] = sum[6]&0x0f|0x80, sum[8]&0x3f|0x80
	h := hex.EncodeToString(sum[:16])
	return strings.Join([]string{h[:8], h[8:12], h[12:16], h[16:20], h[20:]}, "-")
}

// groups are the nested objects of a heartbeat whose values become facts, named by group and key with a dot between.
var groups = []string{"configuration", "integrations", "notifications", "enrichment", "access", "runtime", "hardware", "deployment"}

// leftOut are values that are not counted: they tell more of one installation than of many.
var leftOut = []string{"deployment.git_hash"}

// heartbeatOf gives the heartbeat that a client means.
func heartbeatOf(o object, app, id string, now time.Time) report.Heartbeat {
	h := report.Heartbeat{
		Schema: report.SchemaVersion, App: app, InstallationID: id, IDPersistence: report.Persisted, SentAt: sentAt(o, now),
		Version: report.NormalizeVersion(o.text("version")), Platform: platformOf(o.object("platform")), Deployment: report.DeploymentUnknown,
	}
	for _, group := range groups {
		for key, value := range o.object(group) {
			name := group + "." + strings.ToLower(key)
			if text := factValue(value); text != "" && report.ValidName(name) && !slices.Contains(leftOut, name) {
				h.Facts = append(h.Facts, report.FactValue{Name: name, Value: text})
			}
		}
	}
	slices.SortFunc(h.Facts, func(a, b report.FactValue) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Value, b.Value))
	})
	h.Facts = slices.CompactFunc(h.Facts, func(a, b report.FactValue) bool { return a.Name == b.Name })
	h.Facts = h.Facts[:min(len(h.Facts), report.MaxFacts)]
	return h
}

func sentAt(o object, now time.Time) time.Time {
	if t, err := time.Parse(time.RFC3339, o.text("timestamp")); err == nil && t.Year() >= 1970 && t.Year() <= 9999 {
		return t.UTC()
	}
	return now
}

func platformOf(o object) report.Platform {
	valid := func(text string) string {
		if report.ValidPlatform(text) {
			return text
		}
		return ""
	}
	return report.Platform{System: valid(strings.ToLower(o.text("system"))), Release: valid(o.text("release")), Machine: valid(o.text("machine"))}
}

// factValue gives a value as it is counted: true or false, a code, or the range of a number; empty for none.
func factValue(value any) string {
	switch v := value.(type) {
	case bool:
		return strconv.FormatBool(v)
	case string:
		return code(v, report.MaxFactValueLen)
	case float64:
		return bucket(v)
	}
	return ""
}

// bucket gives the range of a number.
func bucket(n float64) string {
	switch {
	case math.IsNaN(n) || n < 0:
		return ""
	case n < 1:
		return "0"
	case n < 2:
		return "1"
	case n < 10:
		return "2-9"
	case n < 100:
		return "10-99"
	}
	return ">=100"
}

// code makes a code ([report.ValidCode]) of a text: in lower case, with '-' for what a code cannot hold. Empty for none.
func code(text string, most int) string {
	var b strings.Builder
	for _, r := range strings.ToLower(strings.TrimSpace(text)) {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			b.WriteRune(r)
		case b.Len() == 0: // it begins with a letter or a digit
		case r == '.' || r == '_':
			b.WriteRune(r)
		default:
			b.WriteByte('-')
		}
		if b.Len() == most {
			break
		}
	}
	return b.String()
}

var reportID = regexp.MustCompile(`^[a-f0-9]{64}$`)

// eventSchema is the version of health reports whose events have identities.
const eventSchema = "2026-07-25.health-issues.v3"

// healthOf gives the health report that a client means, and how many of its issues are in it.
//
// There are three generations. The newest names its events, and each is counted once. One with an ID but without events says
// how often something happened since the report before: it is counted unless that ID is known, for which each occurrence
// gets an identity made of it. The oldest says how often it happened in all, so what is more than before is counted.
func healthOf(o object, list []any, app collector.App, id string, now time.Time) (collector.ReceivedHealth, int) {
	received := collector.ReceivedHealth{App: app.Num, Report: report.HealthReport{
		Schema: report.SchemaVersion, App: app.Key, InstallationID: id, IDPersistence: report.Persisted, SentAt: sentAt(o, now),
		Version: report.NormalizeVersion(o.text("version")),
	}}
	batch := strings.ToLower(o.text("report_id"))
	delta := reportID.MatchString(batch)
	named := delta && o.text("schema_version") == eventSchema
	left, issues := MaxEvents, 0
	for _, item := range list[:min(len(list), MaxIssues)] {
		issue, ok := item.(map[string]any)
		if !ok {
			continue
		}
		group := groupOf(issue, now)
		var events []string
		switch {
		case named:
			events = eventsOf(issue)
		case delta:
			for i := range min(group.Count, left) {
				events = append(events, fmt.Sprintf("%.16s-%.16s-%d", batch, hash(object(issue).text("fingerprint")), i))
			}
		}
		events = events[:min(len(events), left)]
		left -= len(events)
		if delta && len(events) == 0 {
			continue
		}
		issues++
		add(&received, group, events, delta)
	}
	return received, issues
}

// add adds a group; one of the same fault is made part of it.
func add(received *collector.ReceivedHealth, group report.Group, events []string, delta bool) {
	groups := &received.Report.Groups
	i := slices.IndexFunc(*groups, func(g report.Group) bool { return g.Key() == group.Key() })
	if i < 0 {
		*groups = append(*groups, group)
		i = len(*groups) - 1
		if delta {
			received.Events = append(received.Events, nil)
		}
	} else {
		(*groups)[i].Count = min((*groups)[i].Count+group.Count, report.MaxGroupCount)
	}
	if delta {
		received.Events[i] = append(received.Events[i], events...)
	}
}

// groupOf gives the group of an issue. What has no code is unknown.
func groupOf(issue object, now time.Time) report.Group {
	unknown := func(key string) string { return cmp.Or(code(issue.text(key), report.MaxCodeLen), "unknown") }
	g := report.Group{
		Source: unknown("source"), Component: unknown("component"), Reason: unknown("reason_code"),
		Stage: code(issue.text("stage"), report.MaxCodeLen), Severity: report.SeverityWarning, Count: 1,
	}
	switch severity := strings.ToLower(issue.text("severity")); severity {
	case "error", "critical":
		g.Severity = report.Severity(severity)
	}
	if n, ok := issue["count"].(float64); ok && n >= 1 {
		g.Count = int(min(n, MaxEvents))
	}
	if first, err := time.Parse(time.RFC3339, issue.text("first_seen_at")); err == nil {
		g.Since, g.First, g.Last = first.UTC(), first.UTC(), first.UTC()
	} else {
		g.Since, g.First, g.Last = time.Unix(0, 0).UTC(), now, now
	}
	return g
}

// eventsOf gives the identities of an issue's events.
func eventsOf(issue object) []string {
	list, _ := issue["event_ids"].([]any)
	var events []string
	for _, item := range list[:min(len(list), MaxEvents)] {
		if event, ok := item.(string); ok && reportID.MatchString(strings.ToLower(event)) && !slices.Contains(events, event[:16]) {
			events = append(events, event[:16])
		}
	}
	return events
}

func hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}
