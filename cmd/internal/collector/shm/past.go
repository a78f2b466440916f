package shm

import (
	"bufio"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/history"
	"github.com/rollcall-dev/rollcall/report"
)

// A Summary says what the history of an application does not have as it was in the
// dump.
type Summary struct {
	// Orphans counts snapshots of instances that the dump lacks, and Undated
	// instances without a day.
	Orphans, Undated int
	// Moved are snapshots that their sender dated before the server knew it, or
	// after it was last seen. They count on the nearest day between.
	Moved int
	// LeftOut names the metrics with values that did not become facts.
	LeftOut []string
}

// Choose returns the application with a slug or name, or the only one if none is
// named. The error is a [ChoiceError] if that is not possible.
func (d *Dump) Choose(ctx context.Context, named string) (string, error) {
	if _, err := d.db.ExecContext(ctx, choose); err != nil {
		return "", fmt.Errorf("read temporary database: %w", err)
	}
	has, err := d.strings(ctx, "SELECT DISTINCT slug FROM chosen ORDER BY slug")
	if err != nil {
		return "", err
	}
	found, err := d.strings(ctx, "SELECT DISTINCT slug FROM chosen WHERE slug = ?1 OR name = ?1 ORDER BY slug = ?1 DESC, slug", named)
	switch {
	case err != nil:
		return "", err
	case named == "" && len(has) == 1:
		return has[0], nil
	case len(found) > 0 && (len(found) == 1 || found[0] == named):
		return found[0], nil
	}
	return "", &ChoiceError{named, has}
}

// choose makes a table of the instances with their applications. Those without one,
// as in dumps of older servers, belong to the application of their name, which may be
// no more than the name.
const choose = `
CREATE TABLE IF NOT EXISTS chosen AS
SELECT i.id AS instance, coalesce(a.slug, b.slug, i.name) AS slug, coalesce(a.name, b.name, i.name) AS name
FROM instance i LEFT JOIN application a ON a.id = i.application LEFT JOIN application b ON a.id IS NULL AND b.name = i.name
GROUP BY i.id`

// activeDays makes a table of the days of an application's instances, each with its last
// snapshot, if it has one. The last day has that of an earlier one otherwise.
const activeDays = `
DROP TABLE IF EXISTS span; DROP TABLE IF EXISTS active; DROP TABLE IF EXISTS final;
CREATE TABLE span AS
SELECT i.id AS instance, coalesce(i.first, s.first, i.last) AS first,
 max(coalesce(i.first, s.first, i.last), coalesce(CASE WHEN i.revoked THEN s.last ELSE i.last END, s.last, i.first)) AS last
FROM instance i JOIN chosen c ON c.instance = i.id AND c.slug = ?
 LEFT JOIN (SELECT instance, min(day) AS first, max(day) AS last FROM snapshot GROUP BY instance) s ON s.instance = i.id;
CREATE UNIQUE INDEX spans ON span (instance);
CREATE TABLE active AS
SELECT day, instance, data, max(at) AS at FROM (
 SELECT max(p.first, min(p.last, s.day)) AS day, s.instance AS instance, s.data AS data, s.at AS at FROM snapshot s JOIN span p USING (instance)
 UNION ALL SELECT first, instance, NULL, -9223372036854775808 FROM span WHERE first IS NOT NULL
 UNION ALL SELECT last, instance, NULL, -9223372036854775808 FROM span WHERE last IS NOT NULL
) GROUP BY day, instance ORDER BY day, instance;
CREATE TABLE final AS SELECT instance, max(day) AS day FROM active GROUP BY instance;
CREATE UNIQUE INDEX finals ON final (instance);
UPDATE active SET data = (SELECT data FROM snapshot s WHERE s.instance = active.instance ORDER BY at DESC LIMIT 1)
WHERE data IS NULL AND (instance, day) IN (SELECT instance, day FROM final);`

// WriteHistory writes the history of an application, as that of an app. ID returns
// the installation ID that stands for an instance.
//
// An installation is active on the day it was created, on the day it was last seen,
// and on the days of its snapshots. Its version, platform, deployment, and environment
// are known as of its last day, and the metrics of all days become facts.
func (d *Dump) WriteHistory(ctx context.Context, application, app string, id func(string) string, w io.Writer) (found Summary, err error) {
	if _, err := d.db.ExecContext(ctx, activeDays, application); err != nil {
		return found, fmt.Errorf("read temporary database: %w", err)
	}
	for query, n := range map[string]*int{
		"SELECT count(*) FROM snapshot WHERE instance NOT IN (SELECT id FROM instance)":                           &found.Orphans,
		"SELECT count(*) FROM span WHERE first IS NULL":                                                           &found.Undated,
		"SELECT count(*) FROM snapshot s JOIN span p USING (instance) WHERE s.day NOT BETWEEN p.first AND p.last": &found.Moved,
	} {
		if err := d.db.QueryRowContext(ctx, query).Scan(n); err != nil {
			return found, fmt.Errorf("read temporary database: %w", err)
		}
	}
	metrics := newMetrics()
	if err := d.each(ctx, func(_ active, data map[string]any) error { metrics.learn(data); return nil }); err != nil {
		return found, err
	}
	metrics.decide()
	buffered := bufio.NewWriterSize(w, 256<<10)
	out := json.NewEncoder(buffered)
	err = d.each(ctx, func(a active, data map[string]any) error {
		h := a.heartbeat(app, id(a.instance), data)
		h.Facts = append(h.Facts, metrics.facts(data)...)
		slices.SortFunc(h.Facts, func(a, b report.FactValue) int { return strings.Compare(a.Name, b.Name) })
		text, err := h.Marshal()
		if err != nil {
			return err
		}
		return out.Encode(history.Line{Day: a.day, Heartbeat: text})
	})
	found.LeftOut = slices.Sorted(maps.Keys(metrics.leftOut))
	if err != nil {
		return found, err
	}
	return found, buffered.Flush()
}

// An active is an instance on a day. The values but the first two are empty before its
// last day.
type active struct {
	day                                         collector.Day
	instance                                    string
	version, mode, environment, system, machine string
}

// each calls do for each instance and day, in order, with the metrics of the last
// snapshot.
func (d *Dump) each(ctx context.Context, do func(active, map[string]any) error) error {
	rows, err := d.db.QueryContext(ctx, `SELECT a.day, a.instance, a.data, f.day = a.day, i.version, i.mode, i.environment, i.os_arch
FROM active a JOIN final f USING (instance) JOIN instance i ON i.id = a.instance ORDER BY a.rowid`)
	if err != nil {
		return fmt.Errorf("read temporary database: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var a active
		var day int64
		var data sql.NullString
		var last bool
		var osArch string
		if err := rows.Scan(&day, &a.instance, &data, &last, &a.version, &a.mode, &a.environment, &osArch); err != nil {
			return fmt.Errorf("read temporary database: %w", err)
		}
		if a.day = collector.Day(day); last {
			a.system, a.machine, _ = strings.Cut(osArch, "/")
		} else {
			a = active{day: a.day, instance: a.instance}
		}
		var metrics map[string]any
		_ = json.Unmarshal([]byte(data.String), &metrics) // other JSON has no metrics
		if err := do(a, metrics); err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("read temporary database: %w", err)
	}
	return nil
}

// heartbeat returns what an instance would have reported, apart from metrics.
func (a *active) heartbeat(app, id string, metrics map[string]any) report.Heartbeat {
	metric := func(value, name string) string {
		if value == "" {
			value, _ = metrics[name].(string)
		}
		return strings.ToLower(strings.TrimSpace(value))
	}
	platform := func(text string) string {
		if report.ValidPlatform(text) {
			return text
		}
		return ""
	}
	h := report.Heartbeat{
		Schema: report.SchemaVersion, App: app, InstallationID: id, IDPersistence: report.Persisted, SentAt: a.day.Time(),
		Version:    report.NormalizeVersion(a.version),
		Platform:   report.Platform{System: platform(metric(a.system, "sys_os")), Machine: platform(metric(a.machine, "sys_arch"))},
		Deployment: deploymentOf(metric(a.mode, "sys_mode")),
	}
	if value := codeOf(a.environment); value != "" {
		h.Facts = report.Facts{{Name: environmentFact, Value: value}}
	}
	return h
}

// deploymentOf converts a mode of SHM. One outside containers may be a virtual machine.
func deploymentOf(mode string) report.Deployment {
	switch mode {
	case "docker", "container", "podman":
		return report.DeploymentContainer
	case "kubernetes", "k8s":
		return report.DeploymentKubernetes
	case "vm":
		return report.DeploymentVM
	case "bare":
		return report.DeploymentBare
	}
	return report.DeploymentUnknown
}

// strings returns the texts that a query finds.
func (d *Dump) strings(ctx context.Context, query string, args ...any) (all []string, err error) {
	rows, err := d.db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("read temporary database: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, rows.Err()
}
