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

// A faultSum adds up faults. As in the worker, a fault counts once for each
// installation that it affects. Reports are not counted one by one here, so their
// number is the same.
type faultSum struct {
	Severity    string `json:"severity,omitempty"`
	Component   string `json:"issue_component,omitempty"`
	Faults      uint64 `json:"issue_count"`
	Reports     uint64 `json:"report_count"`
	Occurrences uint64 `json:"occurrence_count"`
}

type topFault struct {
	Component   string `json:"issue_component"`
	Reason      string `json:"issue_reason_code"`
	Severity    string `json:"severity"`
	Version     string `json:"app_version"`
	Installs    uint64 `json:"install_count"`
	Reports     uint64 `json:"report_count"`
	Occurrences uint64 `json:"occurrence_count"` // of all versions
	LastSeen    string `json:"last_seen"`
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
			"top_issues": top(recent.Faults),
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
		sums[i].Occurrences += count(f.Occurrences)
	}
	slices.SortStableFunc(sums, func(a, b faultSum) int { return cmp.Compare(b.Faults, a.Faults) })
	return sums
}

// top returns the most frequent faults by version. The worker does not distinguish
// their sources and stages.
func top(faults []figures.Fault) []topFault {
	type key struct{ component, reason, severity, version string }
	sums := make(map[key]topFault)
	for _, f := range faults {
		for _, v := range f.Versions {
			k := key{f.Component, f.Reason, f.Severity, v.Version}
			t := sums[k]
			sums[k] = topFault{
				k.component, k.reason, k.severity, k.version,
				t.Installs + count(v.Affected), t.Reports + count(v.Affected), t.Occurrences + count(f.Occurrences),
				max(t.LastSeen, f.LastSeen.Time().Format(time.DateTime)),
			}
		}
	}
	list := slices.AppendSeq([]topFault{}, maps.Values(sums))
	slices.SortFunc(list, func(a, b topFault) int {
		return cmp.Or(cmp.Compare(b.Installs, a.Installs), cmp.Compare(b.Occurrences, a.Occurrences),
			cmp.Compare(a.Component, b.Component), cmp.Compare(a.Reason, b.Reason), cmp.Compare(a.Severity, b.Severity),
			report.CompareVersions(b.Version, a.Version), cmp.Compare(a.Version, b.Version))
	})
	return list[:min(len(list), maxTop)]
}
