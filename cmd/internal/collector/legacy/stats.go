package legacy

import (
	"cmp"
	"context"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/figures"
	"github.com/rollcall-dev/rollcall/report"
)

// queryTimeout bounds how long a request waits for figures.
const queryTimeout = 20 * time.Second

// stats answers with figures of the app, if the client may see them.
func (h *Handler) stats(
	w http.ResponseWriter, r *http.Request,
	ask func(ctx context.Context, app collector.App, view figures.View, today, since collector.Day) (any, error),
) {
	app, ok := h.app(w, r)
	if !ok {
		return
	}
	var view figures.View
	if h.opts.MayRead == nil || !h.opts.MayRead(r, app.Key) {
		if !app.Public {
			w.Header().Set("WWW-Authenticate", `Bearer realm="rollcall"`)
			refuse(w, http.StatusUnauthorized, "These figures are not public")
			return
		}
		view = figures.PublicView(app)
	}
	ctx, cancel := context.WithTimeout(r.Context(), queryTimeout)
	defer cancel()
	today, since, err := h.opts.Collector.Today(app.Num)
	var result any
	if err == nil {
		result, err = ask(ctx, app, view, today, since)
	}
	if err != nil {
		h.opts.Logger.Warn("Question could not be answered", "path", r.URL.Path, "error", err.Error())
		refuse(w, http.StatusServiceUnavailable, "Try again later")
		return
	}
	writeJSON(w, http.StatusOK, result)
}

// features are the facts that the summary adds up, by their names in it.
var features = map[string]string{
	"birdnet":       "integrations.birdnet_enabled",
	"ebird":         "integrations.ebird_enabled",
	"inaturalist":   "integrations.inaturalist_enabled",
	"llm":           "configuration.llm_enabled",
	"clips_cache":   "configuration.media_cache_clips",
	"email_notifs":  "notifications.email_enabled",
	"public_access": "access.public_access_enabled",
}

type versionCount struct {
	Version string        `json:"app_version"`
	Count   figures.Count `json:"count"`
}

type modelCount struct {
	Model *string       `json:"model_type"` // null if not reported
	Count figures.Count `json:"count"`
}

// summary answers as the worker does, for the last 7 days.
func (h *Handler) summary(w http.ResponseWriter, r *http.Request) { h.stats(w, r, h.summarize) }

func (h *Handler) summarize(ctx context.Context, app collector.App, view figures.View, today, since collector.Day) (any, error) {
	week := func(dimension string) (figures.Breakdown, error) {
		return h.opts.Collector.Breakdown(ctx, app.Num, dimension, 7, today, view)
	}
	byVersion, err := week(collector.DimVersion)
	if err != nil {
		return nil, err
	}
	versions := []versionCount{}
	for _, v := range byVersion.Values {
		versions = append(versions, versionCount{v.Value, v.Count})
	}
	slices.SortStableFunc(versions, func(a, b versionCount) int { return cmp.Compare(count(b.Count), count(a.Count)) })
	byModel, err := week(collector.FactDimension + "configuration.model_type")
	if err != nil {
		return nil, err
	}
	models := []modelCount{}
	for _, v := range byModel.Values {
		models = append(models, modelCount{&v.Value, v.Count})
	}
	if rest := count(byModel.Active) - count(byModel.Reporting); !view.Public && rest > 0 {
		models = append(models, modelCount{nil, &rest})
	}
	slices.SortStableFunc(models, func(a, b modelCount) int { return cmp.Compare(count(b.Count), count(a.Count)) })
	sums := make(map[string]figures.Count)
	for name, fact := range features {
		byValue, err := week(collector.FactDimension + fact)
		if err != nil {
			return nil, err
		}
		if sums[name] = nil; !view.Public { // hidden from the public, unless it is listed
			sums[name] = new(uint64)
		}
		for _, v := range byValue.Values {
			if v.Value == "true" {
				sums[name] = v.Count
			}
		}
	}
	active := byVersion.Active
	if view.Public { // of 28 days
		active = nil
	}
	total, err := h.total(ctx, app, view, collector.Range{From: max(since, today-collector.MaxRangeDays+1), To: today})
	if err != nil {
		return nil, err
	}
	return map[string]any{
		"total_installs": total, "active_last_7_days": active, "versions": versions, "models": models, "features": sums,
	}, nil
}

// total adds up the new installations of all days. It is hidden from the public.
func (h *Handler) total(ctx context.Context, app collector.App, view figures.View, r collector.Range) (figures.Count, error) {
	if view.Public {
		return nil, nil
	}
	series, err := h.opts.Collector.Series(ctx, app.Num, r, view)
	if err != nil {
		return nil, err
	}
	var sum uint64
	for _, point := range series.Points {
		sum += count(point.New) // a gap has none
	}
	return &sum, nil
}

// count returns a count, or 0 if it is hidden.
func count(f figures.Count) uint64 {
	if f == nil {
		return 0
	}
	return *f
}

// plus adds counts; hidden ones add nothing.
func plus(a, b figures.Count) figures.Count {
	if a == nil {
		return b
	}
	sum := *a + count(b)
	return &sum
}

func lastSeen(f figures.Fault) string {
	if f.LastSeen == 0 {
		return ""
	}
	return f.LastSeen.Time().Format(time.DateTime)
}

// A faultSum adds up faults. As in the worker, a fault counts once for each
// installation that it affects. Reports are not counted one by one here, so their
// number is the same.
type faultSum struct {
	Severity  string `json:"severity,omitempty"`
	Component string `json:"issue_component,omitempty"`
	Faults    uint64 `json:"issue_count"`
	Reports   uint64 `json:"report_count"`
	// Occurrences is null for the public.
	Occurrences figures.Count `json:"occurrence_count"`
}

type topFault struct {
	Component   string        `json:"issue_component"`
	Reason      string        `json:"issue_reason_code"`
	Severity    string        `json:"severity"`
	Version     string        `json:"app_version"` // empty for the public
	Installs    uint64        `json:"install_count"`
	Reports     uint64        `json:"report_count"`
	Occurrences figures.Count `json:"occurrence_count"` // null for the public
	LastSeen    string        `json:"last_seen"`        // empty for the public
}

// The lengths of the lists.
const (
	maxComponents = 20
	maxTop        = 30
)

// faults answers as the worker does, for the last 30 days.
func (h *Handler) faults(w http.ResponseWriter, r *http.Request) {
	h.stats(w, r, func(ctx context.Context, app collector.App, view figures.View, today, since collector.Day) (any, error) {
		all, err := h.opts.Collector.Faults(ctx, app.Num, collector.Range{From: max(since, today-399), To: today}, view)
		if err != nil {
			return nil, err
		}
		recent, err := h.opts.Collector.Faults(ctx, app.Num, collector.Range{From: today - 29, To: today}, view)
		if err != nil {
			return nil, err
		}
		bySeverity := sumBy(recent.Faults, func(f figures.Fault) faultSum { return faultSum{Severity: f.Severity} })
		byComponent := sumBy(recent.Faults, func(f figures.Fault) faultSum { return faultSum{Component: f.Component} })
		return map[string]any{
			"total_issues": affected(all), "active_last_30_days": affected(recent),
			"by_severity": bySeverity, "by_component": byComponent[:min(len(byComponent), maxComponents)],
			"top_issues": top(app.VersionOrder, recent.Faults),
		}, nil
	})
}

func affected(faults figures.Faults) (sum uint64) {
	for _, f := range faults.Faults {
		sum += count(f.Affected)
	}
	return sum
}

// sumBy adds up the faults with the same key, the largest sum first.
func sumBy(faults []figures.Fault, key func(figures.Fault) faultSum) []faultSum {
	sums := []faultSum{}
	for _, f := range faults {
		k := key(f)
		i := slices.IndexFunc(sums, func(s faultSum) bool { return s.Severity == k.Severity && s.Component == k.Component })
		if i < 0 {
			sums = append(sums, k)
			i = len(sums) - 1
		}
		sums[i].Faults += count(f.Affected)
		sums[i].Reports += count(f.Affected)
		sums[i].Occurrences = plus(sums[i].Occurrences, f.Occurrences)
	}
	slices.SortStableFunc(sums, func(a, b faultSum) int { return cmp.Compare(b.Faults, a.Faults) })
	return sums
}

// top returns the most frequent faults by version. The worker does not distinguish
// their sources and stages.
func top(order report.VersionOrder, faults []figures.Fault) []topFault {
	type key struct{ component, reason, severity, version string }
	sums := make(map[key]topFault)
	for _, f := range faults {
		versions := f.Versions
		if f.Occurrences == nil { // for the public, which sees no versions
			versions = []figures.FaultVersion{{Affected: f.Affected}}
		}
		for _, v := range versions {
			k := key{f.Component, f.Reason, f.Severity, v.Version}
			t := sums[k]
			sums[k] = topFault{
				k.component, k.reason, k.severity, k.version,
				t.Installs + count(v.Affected), t.Reports + count(v.Affected), plus(t.Occurrences, v.Occurrences),
				max(t.LastSeen, lastSeen(f)),
			}
		}
	}
	list := slices.AppendSeq([]topFault{}, maps.Values(sums))
	slices.SortFunc(list, func(a, b topFault) int {
		return cmp.Or(cmp.Compare(b.Installs, a.Installs), cmp.Compare(count(b.Occurrences), count(a.Occurrences)),
			cmp.Compare(a.Component, b.Component), cmp.Compare(a.Reason, b.Reason), cmp.Compare(a.Severity, b.Severity),
			order.Compare(b.Version, a.Version), cmp.Compare(a.Version, b.Version))
	})
	return list[:min(len(list), maxTop)]
}
