package groundtruth

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/simulate"
	"github.com/rollcall-dev/rollcall/report"
)

// A segment is a text and the condition that its members meet.
type segment struct {
	text  string
	match func(value func(dimension string) string, first collector.Day) bool
}

// segments returns one segment of each kind that has members in the fleet: one
// version, a series of versions, older versions, a system, two dimensions, a
// value that is not reported, and days of first sight.
func segments(t *simulate.Truth, r collector.Range) []segment {
	most := func(dimension string) string {
		split := t.Split(dimension, 28, r.To)
		values := slices.SortedFunc(maps.Keys(split), func(a, b string) int {
			return cmp.Or(cmp.Compare(split[b], split[a]), cmp.Compare(a, b))
		})
		return append(values, "")[0]
	}
	version, system, machine := most(collector.DimVersion), most(collector.DimSystem), most(collector.DimMachine)
	series := version[:strings.LastIndexByte(version, '.')+1] // "1.2." of "1.2.3"
	middle := collector.Range{From: r.From + (r.To-r.From)/3, To: r.To - (r.To-r.From)/3}
	return []segment{
		{fmt.Sprintf("version=%q", version), func(value func(string) string, _ collector.Day) bool {
			return value(collector.DimVersion) == version
		}},
		{"version=" + series + "x", func(value func(string) string, _ collector.Day) bool {
			return strings.HasPrefix(value(collector.DimVersion), series)
		}},
		{"version<" + version, func(value func(string) string, _ collector.Day) bool {
			v := value(collector.DimVersion)
			return v != "" && report.CompareVersions(v, version) < 0
		}},
		{fmt.Sprintf("system=%q", system), func(value func(string) string, _ collector.Day) bool {
			return value(collector.DimSystem) == system
		}},
		{fmt.Sprintf("machine=%q system=%q", machine, system), func(value func(string) string, _ collector.Day) bool {
			return value(collector.DimMachine) == machine && value(collector.DimSystem) == system
		}},
		{`deployment=""`, func(value func(string) string, _ collector.Day) bool { return value(collector.DimDeployment) == "" }},
		{fmt.Sprintf("first_seen=%s..%s", middle.From, middle.To), func(_ func(string) string, first collector.Day) bool {
			return middle.From <= first && first <= middle.To
		}},
	}
}
