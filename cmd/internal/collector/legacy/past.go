package legacy

import (
	"bufio"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/history"
	"github.com/rollcall-dev/rollcall/report"
)

// A column of a table is a value of a heartbeat.
type column struct {
	name, group, key string
	flag             bool // 0 or 1
}

func columnsOf(group string, flag bool, pairs string) (all []column) {
	for pair := range strings.FieldsSeq(pairs) {
		name, key, renamed := strings.Cut(pair, "=")
		if !renamed {
			key = name
		}
		all = append(all, column{name, group, key, flag})
	}
	return all
}

var (
	lastColumns = slices.Concat(
		columnsOf("platform", false, "platform_system=system platform_release=release platform_machine=machine"),
		columnsOf("configuration", false, "model_type llm_provider"),
		columnsOf("configuration", true, "llm_enabled media_cache_enabled media_cache_clips auto_video_classification"),
		columnsOf("integrations", true, "birdnet_enabled birdweather_enabled ebird_enabled inaturalist_enabled"),
		columnsOf("notifications", true, "notifications_discord=discord_enabled notifications_pushover=pushover_enabled "+
			"notifications_telegram=telegram_enabled notifications_email=email_enabled"),
		columnsOf("enrichment", false, "enrichment_mode=mode"),
		columnsOf("access", true, "access_auth_enabled=auth_enabled access_public_enabled=public_access_enabled"),
		columnsOf("runtime", false, "model_runtime inference_provider_configured inference_provider_active inference_backend_active "+
			"image_execution_mode bird_crop_detector_tier inference_health_status inference_health_unhealthy_runtimes "+
			"inference_health_degraded_runtimes inference_health_total_runtimes last_recovery_reason last_recovery_status"),
		columnsOf("hardware", true, "cuda_available nvidia_gpu_detected openvino_available intel_gpu_available intel_npu_available "+
			"openvino_gpu_compile_ok openvino_gpu_fallback_active"),
		columnsOf("hardware", false, "openvino_gpu_compile_device"),
		columnsOf("deployment", false, "deployment_mode=mode image_flavor image_arch app_branch"),
	)
	dayColumns = slices.Concat(
		columnsOf("platform", false, "platform=system machine"),
		columnsOf("configuration", false, "model=model_type"),
		columnsOf("runtime", false, "runtime_flavor=model_runtime inference_provider=inference_provider_active "+
			"configured_inference_provider=inference_provider_configured"),
		columnsOf("deployment", false, "environment=mode deployment_image=image_flavor channel=app_branch"),
	)
	dayFlags = slices.Concat(
		columnsOf("integrations", true, "birdnet=birdnet_enabled birdweather=birdweather_enabled ebird=ebird_enabled inaturalist=inaturalist_enabled"),
		columnsOf("configuration", true, "llm=llm_enabled auto_video=auto_video_classification"),
	)
)

// addTo adds the values of a row to a heartbeat.
func addTo(o object, columns []column, values map[string]any) {
	for _, c := range columns {
		value, ok := values[c.name]
		if n, isInt := value.(int64); isInt {
			if value = float64(n); c.flag {
				value = n != 0
			}
		}
		if !ok || value == nil {
			continue
		}
		group, _ := o[c.group].(map[string]any)
		if group == nil {
			group = make(map[string]any)
			o[c.group] = group
		}
		group[c.key] = value
	}
}

// A Summary says what an archive has.
type Summary struct {
	// Unknown counts the installations that the archive knows only by a hash. They
	// are part of the past, but new if they report again.
	Unknown int
	// Skipped are rows without a day, and reports of issues that the worker has
	// deleted.
	Skipped int
}

// A past is what an archive says of the installations apart from its tables of days.
type past struct {
	app     string
	out     *json.Encoder
	summary Summary
	// ids are the installations by the plain hash of their IDs, which is how the
	// tables of days name them.
	ids map[string]string
	// last are the last heartbeats by hash, and lastDays their days.
	last     map[string]row
	lastDays map[string]collector.Day
	// firsts and lasts are the installations by the day that they were created and
	// that of their last heartbeat, in order.
	firsts, lasts map[collector.Day][]string
	issues        map[issueKey]row
	// undated are occurrences that are in no report with events, by day.
	undated map[collector.Day][]occurrence
	// total has how often a fault of an installation occurred in those so far.
	total map[ownFault]int
}

type issueKey struct{ hash, fingerprint string }

// An ownFault is a fault of an installation.
type ownFault struct {
	hash string
	report.FaultKey
}

type occurrence struct {
	issue row
	n     int
}

// WriteHistory writes the archive as the history of an app; see package history.
//
// An installation is active on the day it was created, and on each day that it
// reported, with the values that the worker kept of that day; it kept all values
// only of the last one. Events of issues count on the day of their report. Other
// occurrences have no days: all but one count when the issue was first reported,
// and one when it was last.
func (a *Archive) WriteHistory(ctx context.Context, app string, w io.Writer) (Summary, error) {
	buffered := bufio.NewWriterSize(w, 256<<10)
	p := &past{
		app: app, out: json.NewEncoder(buffered), ids: make(map[string]string), last: make(map[string]row),
		lastDays: make(map[string]collector.Day), firsts: make(map[collector.Day][]string), lasts: make(map[collector.Day][]string),
		issues: make(map[issueKey]row), undated: make(map[collector.Day][]occurrence), total: make(map[ownFault]int),
	}
	days, err := a.read(ctx, p)
	if err != nil {
		return p.summary, err
	}
	for _, day := range days {
		if err := a.writeDay(ctx, p, day); err != nil {
			return p.summary, err
		}
	}
	return p.summary, buffered.Flush()
}

// read reads all but the tables of days, and returns all days in order.
func (a *Archive) read(ctx context.Context, p *past) ([]collector.Day, error) {
	all := make(map[collector.Day]bool)
	for _, table := range []string{tableDays, tableReports} {
		days, err := a.days(ctx, table)
		if err != nil {
			return nil, err
		}
		for _, text := range days {
			if day, ok := p.day(text); ok {
				all[day] = true
			}
		}
	}
	err := a.each(ctx, tableInstallations, "", "", "created_at, installation_id", func(r row) error {
		id := r.text("installation_id")
		sum := sha256.Sum256([]byte(id))
		hash := hex.EncodeToString(sum[:])
		p.ids[hash], p.last[hash] = InstallationID(strings.TrimSpace(id)), r
		if day, ok := p.day(r.text("created_at")); ok {
			p.firsts[day], all[day] = append(p.firsts[day], hash), true
		}
		if day, ok := p.day(r.text("last_seen")); ok {
			p.lasts[day], p.lastDays[hash], all[day] = append(p.lasts[day], hash), day, true
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	events, err := a.countEvents(ctx)
	if err != nil {
		return nil, err
	}
	err = a.each(ctx, tableIssues, "", "", "report_key", func(r row) error {
		key := issueKey{r.text("installation_id_hash"), r.text("issue_fingerprint")}
		p.issues[key] = r
		n, _ := r["occurrence_count"].(int64)
		undated := int(n) - events[key]
		switch {
		case undated > 0:
		case events[key] > 0:
			return nil
		default:
			undated = 1 // an issue without a count occurred once
		}
		last, ok := p.day(r.text("updated_at"))
		if !ok {
			return nil
		}
		if first, ok := p.day(r.text("created_at")); ok && first < last && undated > 1 {
			p.undated[first], all[first] = append(p.undated[first], occurrence{r, undated - 1}), true
			undated = 1
		}
		p.undated[last], all[last] = append(p.undated[last], occurrence{r, undated}), true
		return nil
	})
	return slices.Sorted(maps.Keys(all)), err
}

// countEvents returns how many events of each issue are in reports.
func (a *Archive) countEvents(ctx context.Context) (map[issueKey]int, error) {
	events := make(map[issueKey]map[string]struct{})
	err := a.each(ctx, tableReports, "", "", "report_date", func(r row) error {
		for _, group := range groupsOf(r) {
			key := issueKey{r.text("installation_id_hash"), group.Fingerprint}
			if events[key] == nil {
				events[key] = make(map[string]struct{})
			}
			for _, event := range group.events() {
				events[key][event] = struct{}{}
			}
		}
		return nil
	})
	counts := make(map[issueKey]int, len(events))
	for key, known := range events {
		counts[key] = len(known)
	}
	return counts, err
}

// writeDay writes the lines of a day: heartbeats, and then health reports.
func (a *Archive) writeDay(ctx context.Context, p *past, day collector.Day) error {
	done := make(map[string]bool)
	write := func(hash string, country any, o object) error {
		done[hash] = true
		return p.heartbeat(day, hash, country, o)
	}
	err := a.each(ctx, tableDays, "report_date", day.String(), "installation_id_hash", func(r row) error {
		hash := r.text("installation_id_hash")
		if p.lastDays[hash] == day && p.last[hash] != nil {
			return write(hash, p.last[hash]["ip_country"], p.last[hash].lastHeartbeat())
		}
		return write(hash, r["country"], r.heartbeat())
	})
	if err != nil {
		return err
	}
	for _, hash := range p.lasts[day] {
		if !done[hash] {
			err = cmp.Or(err, write(hash, p.last[hash]["ip_country"], p.last[hash].lastHeartbeat()))
		}
	}
	for _, hash := range p.firsts[day] {
		if !done[hash] {
			err = cmp.Or(err, write(hash, nil, object{})) // what it was then is not known
		}
	}
	if err != nil {
		return err
	}
	for _, o := range p.undated[day] {
		if err := p.issue(day, o); err != nil {
			return err
		}
	}
	return a.each(ctx, tableReports, "report_date", day.String(), "reported_at, report_id", func(r row) error { return p.report(day, r) })
}

// day returns the day at the beginning of a text, and whether there is one.
func (p *past) day(text string) (collector.Day, bool) {
	day, err := collector.ParseDay(text[:min(len(text), len(time.DateOnly))])
	if err != nil {
		p.summary.Skipped++
	}
	return day, err == nil
}

// id returns the installation with a hash.
func (p *past) id(hash string) string {
	id, ok := p.ids[hash]
	if !ok {
		id = InstallationID("known only by its hash: " + hash)
		p.ids[hash] = id
		p.summary.Unknown++
	}
	return id
}

func (p *past) heartbeat(day collector.Day, hash string, country any, o object) error {
	h, _ := heartbeatOf(o, p.app, p.id(hash))
	h.SentAt = day.Time()
	text, err := h.Marshal()
	if err != nil {
		return err
	}
	line := history.Line{Day: day, Heartbeat: text}
	if code, _ := country.(string); len(code) == 2 && code != "XX" {
		line.Country = code
	}
	return p.out.Encode(line)
}

// issue writes occurrences that are in no report with events. Counts in such
// reports are cumulative, also of issues that are the same fault here.
func (p *past) issue(day collector.Day, o occurrence) error {
	hash, fault := o.issue.text("installation_id_hash"), o.issue.fault(day)
	key := ownFault{hash, fault.Key()}
	p.total[key] += o.n
	fault.Count = min(p.total[key], report.MaxFaultCount)
	received := p.received(day, hash, o.issue.text("app_version"))
	add(&received, fault, nil, false)
	return p.health(day, received)
}

// report writes a report with events.
func (p *past) report(day collector.Day, r row) error {
	hash := r.text("installation_id_hash")
	received := p.received(day, hash, r.text("app_version"))
	for _, group := range groupsOf(r) {
		issue, ok := p.issues[issueKey{hash, group.Fingerprint}]
		if !ok {
			p.summary.Skipped++
			continue
		}
		if events := group.events(); len(events) > 0 {
			add(&received, issue.fault(day), events, true)
		}
	}
	if len(received.Report.Faults) == 0 {
		return nil
	}
	return p.health(day, received)
}

func (p *past) received(day collector.Day, hash, version string) collector.ReceivedHealth {
	return collector.ReceivedHealth{Report: report.HealthReport{
		Schema: report.SchemaVersion, App: p.app, InstallationID: p.id(hash), IDPersistence: report.Persisted,
		SentAt: day.Time(), Version: report.NormalizeVersion(version),
	}}
}

func (p *past) health(day collector.Day, received collector.ReceivedHealth) error {
	text, err := received.Report.Marshal()
	if err != nil {
		return err
	}
	return p.out.Encode(history.Line{Day: day, Health: text, Events: received.Events})
}

// lastHeartbeat returns a row of the last heartbeats in the form of one.
func (r row) lastHeartbeat() object {
	o := object{"version": r.text("app_version")}
	addTo(o, lastColumns, r)
	return o
}

// heartbeat returns a row of a day in the form of a heartbeat.
func (r row) heartbeat() object {
	o := object{"version": r.text("version")}
	addTo(o, dayColumns, r)
	var flags map[string]any
	if json.Unmarshal([]byte(r.text("feature_flags")), &flags) == nil {
		addTo(o, dayFlags, flags)
	}
	return o
}

// fault returns an issue as a fault that occurred once.
func (r row) fault(day collector.Day) report.Fault {
	var sample map[string]any
	_ = json.Unmarshal([]byte(r.text("sample_context_json")), &sample) // none
	return faultOf(object{
		"sample_context": sample,
		"source":         r.text("issue_source"), "component": r.text("issue_component"), "reason_code": r.text("issue_reason_code"),
		"stage": r.text("issue_stage"), "severity": r.text("severity"),
		"first_seen_at": r.text("first_seen_at"), "last_seen_at": r.text("last_seen_at"),
	}, day.Time())
}

// An eventGroup has the events of an issue in a report.
type eventGroup struct {
	Fingerprint string   `json:"fingerprint"`
	IDs         []string `json:"event_ids"`
}

func groupsOf(r row) (groups []eventGroup) {
	_ = json.Unmarshal([]byte(r.text("event_groups_json")), &groups) // older reports have none
	return groups
}

// events returns the events as reports of clients have them.
func (g *eventGroup) events() []string {
	list := make([]any, len(g.IDs))
	for i, id := range g.IDs {
		list[i] = id
	}
	return eventsOf(object{"event_ids": list}, MaxEvents)
}
