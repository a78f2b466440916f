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

// queryWait bounds the wait for an answer.
const queryWait = 20 * time.Second

// reader finds the app, and what the asker may see of it.
func (h *Handler) reader(w http.ResponseWriter, r *http.Request) (collector.App, figures.View, bool) {
	app, ok := h.app(w)
	switch {
	case !ok:
		return app, figures.View{}, false
	case h.opts.MayRead != nil && h.opts.MayRead(r, app.Key):
		return app, figures.View{}, true
	case app.Public:
		return app, figures.View{Public: true, K: app.K}, true
	}
	w.Header().Set("WWW-Authenticate", `Bearer realm="rollcall"`)
	fail(w, http.StatusUnauthorized, "These figures are not public")
	return app, figures.View{}, false
}

// features are the facts that the summary adds up, by the names it has for them.
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
	Model *string       `json:"model_type"` // null for those that report none
	Count figures.Count `json:"count"`
}

// summary answers as the worker does, over the last 7 days.
func (h *Handler) summary(w http.ResponseWriter, r *http.Request) {
	app, view, ok := h.reader(w, r)
	if !ok {
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), queryWait)
	defer cancel()
	result, err := h.summarize(ctx, app, view)
	if err != nil {
		h.opts.Logger.Warn("Summary cannot be given", "error", err.Error())
		fail(w, http.StatusServiceUnavailable, "Try again later")
		return
	}
	answer(w, http.StatusOK, result)
}

func (h *Handler) summarize(ctx context.Context, app collector.App, view figures.View) (map[string]any, error) {
	today, since, err := h.opts.Collector.Today(app.Num)
	if err != nil {
		return nil, err
	}
	week := func(dimension string) (figures.Breakdown, error) {
		return h.opts.Collector.Breakdown(ctx, app.Num, dimension, 7, today, view)
	}
	split, err := week(collector.DimVersion)
	if err != nil {
		return nil, err
	}
	versions := []versionCount{}
	for _, v := range split.Values {
		versions = append(versions, versionCount{v.Value, v.Count})
	}
	slices.SortStableFunc(versions, func(a, b versionCount) int { return cmp.Compare(count(b.Count), count(a.Count)) })
	split, err = week(collector.FactDimension + "configuration.model_type")
	if err != nil {
		return nil, err
	}
	models := []modelCount{}
	for _, v := range split.Values {
		models = append(models, modelCount{&v.Value, v.Count})
	}
	if rest := count(split.Active) - count(split.Reporting); !view.Public && rest > 0 {
		models = append(models, modelCount{nil, &rest})
	}
	slices.SortStableFunc(models, func(a, b modelCount) int { return cmp.Compare(count(b.Count), count(a.Count)) })
	sums := make(map[string]figures.Count)
	for name, fact := range features {
		b, err := week(collector.FactDimension + fact)
		if err != nil {
			return nil, err
		}
		if !view.Public {
			sums[name] = new(uint64)
		} else {
			sums[name] = nil // hidden, unless the group is large enough to be listed
		}
		for _, v := range b.Values {
			if v.Value == "true" {
				sums[name] = v.Count
			}
		}
	}
	total, err := h.total(ctx, app, view, collector.Range{From: max(since, today-collector.MaxRangeDays+1), To: today})
	if err != nil {
		return nil, err
	}
	return map[string]any{
		"total_installs": total, "active_last_7_days": split.Active, "versions": versions, "models": models, "features": sums,
	}, nil
}

// total adds up the new installations of all days: of MaxRangeDays at most. It is hidden when one of the days is, since the
// sum of the others is no total.
func (h *Handler) total(ctx context.Context, app collector.App, view figures.View, r collector.Range) (figures.Count, error) {
	series, err := h.opts.Collector.Series(ctx, app.Num, r, view)
	if err != nil {
		return nil, err
	}
	var sum uint64
	for _, point := range series.Points {
		switch {
		case point.New != nil:
			sum += *point.New
		case !point.Gap:
			return nil, nil
		}
	}
	return &sum, nil
}

// An issueSum adds up issues. An issue is counted once for each installation that it affects, as the worker does; reports
// are not counted one by one here, so their number is the same.
type issueSum struct {
	Severity    string `json:"severity,omitempty"`
	Component   string `json:"issue_component,omitempty"`
	Issues      uint64 `json:"issue_count"`
	Reports     uint64 `json:"report_count"`
	Occurrences uint64 `json:"occurrence_count"`
}

type topIssue struct {
	Component   string `json:"issue_component"`
	Reason      string `json:"issue_reason_code"`
	Severity    string `json:"severity"`
	Version     string `json:"app_version"`
	Installs    uint64 `json:"install_count"`
	Reports     uint64 `json:"report_count"`
	Occurrences uint64 `json:"occurrence_count"` // in all versions
	LastSeen    string `json:"last_seen"`
}

// The lengths of the lists.
const (
	maxComponents = 20
	maxTop        = 30
)

// issues answers as the worker does, over the last 30 days.
func (h *Handler) faultStats(w http.ResponseWriter, r *http.Request) {
	app, view, ok := h.reader(w, r)
	if !ok {
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), queryWait)
	defer cancel()
	today, since, err := h.opts.Collector.Today(app.Num)
	var all, recent figures.Faults
	if err == nil {
		all, err = h.opts.Collector.Faults(ctx, app.Num, collector.Range{From: max(since, today-399), To: today}, view)
	}
	if err == nil {
		recent, err = h.opts.Collector.Faults(ctx, app.Num, collector.Range{From: today - 29, To: today}, view)
	}
	if err != nil {
		h.opts.Logger.Warn("Issues cannot be given", "error", err.Error())
		fail(w, http.StatusServiceUnavailable, "Try again later")
		return
	}
	bySeverity := sumUp(recent.Faults, func(is figures.Fault) issueSum { return issueSum{Severity: is.Severity} })
	byComponent := sumUp(recent.Faults, func(is figures.Fault) issueSum { return issueSum{Component: is.Component} })
	answer(w, http.StatusOK, map[string]any{
		"total_issues": affected(all), "active_last_30_days": affected(recent),
		"by_severity": bySeverity, "by_component": byComponent[:min(len(byComponent), maxComponents)], "top_issues": top(recent.Faults),
	})
}

func affected(answer figures.Faults) (sum uint64) {
	for _, is := range answer.Faults {
		sum += count(is.Affected)
	}
	return sum
}

func count(f figures.Count) uint64 {
	if f == nil {
		return 0
	}
	return *f
}

func sumUp(issues []figures.Fault, key func(figures.Fault) issueSum) []issueSum {
	sums := []issueSum{}
	for _, is := range issues {
		k := key(is)
		i := slices.IndexFunc(sums, func(s issueSum) bool { return s.Severity == k.Severity && s.Component == k.Component })
		if i < 0 {
			sums = append(sums, k)
			i = len(sums) - 1
		}
		sums[i].Issues += count(is.Affected)
		sums[i].Reports += count(is.Affected)
		sums[i].Occurrences += count(is.Occurrences)
	}
	slices.SortStableFunc(sums, func(a, b issueSum) int { return cmp.Compare(b.Issues, a.Issues) })
	return sums
}

// top gives the most frequent issues by version. The worker tells neither the source nor the stage of them apart.
func top(issues []figures.Fault) []topIssue {
	type key struct{ component, reason, severity, version string }
	sums := make(map[key]topIssue)
	for _, is := range issues {
		for _, v := range is.Versions {
			k := key{is.Component, is.Reason, is.Severity, v.Version}
			t := sums[k]
			sums[k] = topIssue{
				k.component, k.reason, k.severity, k.version,
				t.Installs + count(v.Affected), t.Reports + count(v.Affected), t.Occurrences + count(is.Occurrences),
				max(t.LastSeen, is.LastSeen.Time().Format(time.DateTime)),
			}
		}
	}
	list := slices.AppendSeq([]topIssue{}, maps.Values(sums))
	slices.SortFunc(list, func(a, b topIssue) int {
		return cmp.Or(cmp.Compare(b.Installs, a.Installs), cmp.Compare(b.Occurrences, a.Occurrences),
			cmp.Compare(a.Component, b.Component), cmp.Compare(a.Reason, b.Reason), cmp.Compare(a.Severity, b.Severity),
			report.CompareVersions(b.Version, a.Version), cmp.Compare(a.Version, b.Version))
	})
	return list[:min(len(list), maxTop)]
}
