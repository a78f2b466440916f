package insight_test

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/engine"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/figures"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/storetest"
	"github.com/rollcall-dev/rollcall/report"
)

// first is day 0 of all models: a Monday.
const first = collector.Day(20458)

// A model is a fleet whose every report is known. Days count from first, 63 at
// most. The last day is today.
type model struct {
	last int
	all  []*inst
}

// An inst is an installation: the days it reports, and each fault, as
// bits, and its values from a day on.
type inst struct {
	days   uint64
	values map[string][]change // by dimension
	faults map[string]uint64   // by component and code, among days
}

type change struct {
	day   int
	value string
}

// at returns a value at the end of a day. A change counts once it is reported.
func (in *inst) at(dimension string, day int) (value string) {
	for _, c := range in.values[dimension] {
		if c.day <= day && in.days&window(c.day, day) != 0 {
			value = c.value
		}
	}
	return value
}

// window has the bits of the days from to to.
func window(from, to int) uint64 {
	if to < 0 || from > to {
		return 0
	}
	return (1<<(to+1) - 1) &^ (1<<max(from, 0) - 1)
}

func firstDay(days uint64) int {
	for day := range 64 {
		if days&(1<<day) != 0 {
			return day
		}
	}
	return 64
}

// ones counts bits.
func ones(days uint64) (n int) {
	for ; days != 0; days &= days - 1 {
		n++
	}
	return n
}

// load loads the model into an engine.
func (m *model) load(t *testing.T) (*engine.Engine, collector.App) {
	t.Helper()
	noon := (first + collector.Day(m.last)).Time().Add(12 * time.Hour)
	e, err := engine.Open(t.Context(), storetest.NewMemory(), engine.Options{Secret: bytes.Repeat([]byte("s"), 32), Clock: func() time.Time { return noon }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close(context.Background()) })
	app, err := e.AddApp(t.Context(), collector.App{Key: "app"})
	if err != nil {
		t.Fatal(err)
	}
	l, err := e.Load(t.Context(), app.Num)
	for day := 0; day <= m.last && err == nil; day++ {
		err = l.Day(t.Context(), first+collector.Day(day))
		for i, in := range m.all {
			if err == nil && in.days&(1<<day) != 0 {
				err = in.send(t.Context(), l, i, day)
			}
		}
	}
	if err == nil {
		err = l.Close(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	app, _ = e.App("app")
	return e, app
}

func (in *inst) send(ctx context.Context, l *engine.Loader, i, day int) error {
	at := (first + collector.Day(day)).Time().Add(time.Hour)
	id := fmt.Sprintf("%08x-0000-4000-8000-%012x", i, i)
	h := report.Heartbeat{
		Schema: 1, App: "app", InstallationID: id, IDPersistence: report.Persisted, SentAt: at, Version: in.at(collector.DimVersion, day),
		Platform:   report.Platform{System: in.at(collector.DimSystem, day), Machine: in.at(collector.DimMachine, day)},
		Deployment: report.Deployment(cmp.Or(in.at(collector.DimDeployment, day), "unknown")),
	}
	for _, dimension := range slices.Sorted(maps.Keys(in.values)) {
		if name, ok := fact(dimension); ok {
			h.Facts = append(h.Facts, report.FactValue{Name: name, Value: in.at(dimension, day)})
		}
	}
	if err := l.Heartbeat(ctx, collector.Received{Heartbeat: h, Country: in.at(collector.DimCountry, day)}); err != nil {
		return err
	}
	r := report.HealthReport{Schema: 1, App: "app", InstallationID: id, IDPersistence: report.Persisted, SentAt: at, Version: h.Version}
	for _, reason := range slices.Sorted(maps.Keys(in.faults)) {
		if in.faults[reason]&(1<<day) != 0 {
			r.Faults = append(r.Faults, report.Fault{
				Source: "log", Component: component(reason), Reason: code(reason), Severity: report.SeverityError, Count: 1, Since: at, First: at, Last: at,
			})
		}
	}
	if len(r.Faults) == 0 {
		return nil
	}
	return l.Health(ctx, collector.ReceivedHealth{Report: r})
}

func component(fault string) string { name, _, _ := strings.Cut(fault, ": "); return name }
func code(fault string) string      { _, name, _ := strings.Cut(fault, ": "); return name }

func fact(dimension string) (name string, ok bool) {
	if len(dimension) > 5 && dimension[:5] == collector.FactDimension {
		return dimension[5:], true
	}
	return "", false
}

// A source answers from the model, without an engine.
type source struct{ *model }

func count(n uint64) figures.Count { return &n }

func (s source) Today(collector.AppNum) (today, since collector.Day, err error) {
	return first + collector.Day(s.last), first, nil
}

func (s source) Series(_ context.Context, _ collector.AppNum, r collector.Range, _ figures.View) (answer figures.Series, err error) {
	for d := max(r.From, first); d <= r.To; d++ {
		day := int(d - first)
		var active, established, fresh uint64
		for _, in := range s.all {
			if in.days&window(day, day) != 0 {
				active++
				if firstDay(in.days) == day {
					fresh++
				}
			}
			if in.days&window(day-6, day) != 0 && ones(in.days&window(0, day)) > 1 {
				established++
			}
		}
		answer.Points = append(answer.Points, figures.SeriesPoint{
			Day: d, Active: figures.Active{Day: count(active)}, Established: figures.Active{Week: count(established)}, New: count(fresh),
		})
	}
	return answer, nil
}

func (s source) Dimensions(context.Context, collector.AppNum, figures.View) (names []string, err error) {
	found := make(map[string]bool)
	for _, in := range s.all {
		for name := range in.values {
			found[name] = found[name] || in.at(name, s.last) != ""
		}
	}
	return slices.Sorted(maps.Keys(found)), nil
}

func (s source) Breakdown(
	_ context.Context, _ collector.AppNum, dimension string, days int, to collector.Day, _ figures.View,
) (answer figures.Breakdown, err error) {
	day, counts := int(to-first), make(map[string]uint64)
	for _, in := range s.all {
		if value := in.at(dimension, day); value != "" && in.days&window(day-days+1, day) != 0 {
			counts[value]++
		}
	}
	for value, n := range counts {
		answer.Values = append(answer.Values, figures.Value{Value: value, Count: count(n)})
	}
	return answer, nil
}

func (s source) Faults(_ context.Context, _ collector.AppNum, r collector.Range, _ figures.View) (answer figures.Faults, err error) {
	in7 := window(int(r.From-first), int(r.To-first))
	active := make(map[string]uint64)
	faults := make(map[string]*figures.Fault)
	for _, in := range s.all {
		if in.days&in7 != 0 {
			answer.Denominator++
			active[in.at(collector.DimVersion, s.last)]++
		}
	}
	affected := make(map[string]map[string]uint64)
	for _, in := range s.all {
		for reason, days := range in.faults {
			if days == 0 {
				continue
			}
			f := faults[reason]
			if f == nil {
				f = &figures.Fault{ID: reason, Component: component(reason), Reason: code(reason), Affected: new(uint64), FirstSeen: 1 << 30}
				faults[reason], affected[reason] = f, make(map[string]uint64)
			}
			f.FirstSeen = min(f.FirstSeen, first+collector.Day(firstDay(days)))
			if days&in7 != 0 {
				*f.Affected++
				affected[reason][in.at(collector.DimVersion, s.last)]++
			}
		}
	}
	for reason, f := range faults {
		f.NewIn = s.newIn(reason, int(f.FirstSeen-first))
		for version, n := range affected[reason] {
			f.Versions = append(f.Versions, figures.FaultVersion{Version: version, Affected: count(n), Active: count(active[version])})
		}
		if *f.Affected > 0 {
			answer.Faults = append(answer.Faults, *f)
		}
	}
	return answer, nil
}

// newIn returns the version that introduced a fault: the oldest one that reported
// it, if that is not newer than the fault, and if it is not the first version.
func (m *model) newIn(fault string, since int) string {
	order := collector.App{}.VersionOrder
	oldest := ""
	for _, in := range m.all {
		for day := range m.last + 1 {
			if version := in.at(collector.DimVersion, day); in.faults[fault]&(1<<day) != 0 && (oldest == "" || order.Compare(version, oldest) < 0) {
				oldest = version
			}
		}
	}
	seen := m.seen()
	for version, day := range seen {
		if since >= seen[oldest] && day < seen[oldest] && order.Compare(version, oldest) < 0 {
			return oldest
		}
	}
	return ""
}

// seen returns the first day of each version.
func (m *model) seen() map[string]int {
	seen := make(map[string]int)
	for _, in := range m.all {
		for day := range m.last + 1 {
			if in.days&(1<<day) == 0 {
				continue
			}
			version := in.at(collector.DimVersion, day)
			if at, ok := seen[version]; !ok || day < at {
				seen[version] = day
			}
		}
	}
	return seen
}

// ReleaseDays has all versions that were not there on the first day, but
// pre-releases.
func (s source) ReleaseDays(collector.AppNum, figures.View) (days []figures.ReleaseDay, err error) {
	for version, day := range s.seen() {
		if day > 0 && !figures.IsPreRelease(report.VersionOrder(""), version) {
			days = append(days, figures.ReleaseDay{Version: version, Day: first + collector.Day(day)})
		}
	}
	return days, nil
}
