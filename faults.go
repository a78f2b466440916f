package rollcall

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/rollcall-dev/rollcall/report"
)

// A Fault is one fault that the host noticed, in codes: there is no way to report free text.
type Fault struct {
	// Source is a code for who noticed it, Component for what is at fault, Reason for what is wrong, and Stage for the
	// step in which it happened. Stage may be empty. See report.ValidCode.
	Source, Component, Reason, Stage string
	// Severity says how bad it is; empty is report.SeverityError.
	Severity report.Severity
	// Context are further codes, under keys that are declared in Config.Reporting.FaultContext; others are left out. A report has
	// that of the last occurrence which had one.
	Context map[string]string
}

// faults counts faults, in memory: a group for each fault, at most report.MaxFaults of them.
type faults struct {
	contextKeys []string

	mu      sync.Mutex
	groups  map[report.FaultKey]*report.Fault
	leftOut int64 // how many occurrences were not counted
	granted *bool // whether health reports were granted when that was last read; nil before
}

func newFaults(contextKeys []string) *faults {
	return &faults{contextKeys: slices.Clone(contextKeys), groups: make(map[report.FaultKey]*report.Fault)}
}

// ReportFault counts a fault. It takes well under a microsecond (BenchmarkReportFault), waits for nothing, and is safe
// from any goroutine. A fault whose codes are not valid, or that is a new one when as many are counted as a report can
// hold, is left out. Counts are sent only if the operator granted health reports, and begin anew with the grant.
func (s *Service) ReportFault(fault Fault) {
	if s == nil {
		return
	}
	s.faults.add(fault, time.Now())
}

func (c *faults) add(fault Fault, now time.Time) {
	now = now.Round(0) // reports have the time of the clock, which may be set back, and not that since the start
	if fault.Severity == "" {
		fault.Severity = report.SeverityError
	}
	key := report.FaultKey{Source: fault.Source, Component: fault.Component, Reason: fault.Reason, Stage: fault.Stage, Severity: fault.Severity}
	c.mu.Lock()
	defer c.mu.Unlock()
	group, ok := c.groups[key]
	if !ok {
		if group = c.newGroup(key, now); group == nil {
			c.leftOut++
			return
		}
	}
	group.Count = min(group.Count+1, report.MaxFaultCount)
	if now.After(group.Last) {
		group.Last = now
	}
	if len(fault.Context) > 0 {
		c.setContext(group, fault.Context)
	}
}

// newGroup begins to count a fault, or gives nil if it cannot be reported.
func (c *faults) newGroup(key report.FaultKey, now time.Time) *report.Fault {
	if len(c.groups) >= report.MaxFaults || !report.ValidCode(key.Source) || !report.ValidCode(key.Component) ||
		!report.ValidCode(key.Reason) || key.Stage != "" && !report.ValidCode(key.Stage) || !isSeverity(key.Severity) {
		return nil
	}
	// The codes may be parts of something large, which would stay in memory with them.
	group := &report.Fault{
		Source: strings.Clone(key.Source), Component: strings.Clone(key.Component), Reason: strings.Clone(key.Reason),
		Stage: strings.Clone(key.Stage), Severity: report.Severity(strings.Clone(string(key.Severity))),
		Since: now, First: now, Last: now,
	}
	c.groups[group.Key()] = group
	return group
}

func isSeverity(s report.Severity) bool {
	switch s {
	case report.SeverityInfo, report.SeverityWarning, report.SeverityError, report.SeverityCritical:
		return true
	}
	return false
}

// setContext keeps what is declared of a context, and allocates only for what is new.
func (c *faults) setContext(group *report.Fault, given map[string]string) {
	for _, key := range c.contextKeys {
		code, ok := given[key]
		switch ok = ok && report.ValidCode(code); {
		case ok && group.Context == nil:
			group.Context = map[string]string{key: strings.Clone(code)}
		case ok && group.Context[key] != code:
			group.Context[key] = strings.Clone(code)
		case !ok:
			delete(group.Context, key)
		}
	}
}

// list gives the groups in the order of their codes. They stay counted: counts are cumulative.
func (c *faults) list() []report.Fault {
	c.mu.Lock()
	defer c.mu.Unlock()
	// Pointers are sorted: the code that sorts such large values would be many times as large.
	groups := slices.SortedFunc(maps.Values(c.groups), func(a, b *report.Fault) int {
		return cmp.Or(cmp.Compare(a.Source, b.Source), cmp.Compare(a.Component, b.Component), cmp.Compare(a.Reason, b.Reason),
			cmp.Compare(a.Stage, b.Stage), cmp.Compare(a.Severity, b.Severity))
	})
	list := make([]report.Fault, 0, len(groups))
	for _, group := range groups {
		g := *group
		g.Context = maps.Clone(group.Context)
		list = append(list, g)
	}
	return list
}

// setGranted tells what was decided about health reports. Counting begins anew when that changes: what was counted under
// another decision is never sent.
func (c *faults) setGranted(granted bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.granted != nil && *c.granted != granted {
		clear(c.groups)
	}
	c.granted = &granted
}

// drop forgets all that was counted.
func (c *faults) drop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.groups)
}

func (c *faults) countLeftOut() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.leftOut
}
