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

// An Issue is one fault that the host noticed, in codes: there is no way to report free text.
type Issue struct {
	// Source is a code for who noticed it, Component for what is at fault, Reason for what is wrong, and Stage for the
	// step in which it happened. Stage may be empty. See report.ValidCode.
	Source, Component, Reason, Stage string
	// Severity says how bad it is; empty is report.SeverityError.
	Severity report.Severity
	// Context are further codes, under keys that are declared in Config.IssueContext; others are left out. A report has
	// that of the last occurrence which had one.
	Context map[string]string
}

// issues counts faults, in memory: a group for each fault, at most report.MaxGroups of them.
type issues struct {
	contextKeys []string

	mu      sync.Mutex
	groups  map[report.GroupKey]*report.Group
	leftOut int64 // how many occurrences were not counted
	granted *bool // whether health reports were granted when that was last read; nil before
}

func newIssues(contextKeys []string) *issues {
	return &issues{contextKeys: slices.Clone(contextKeys), groups: make(map[report.GroupKey]*report.Group)}
}

// ReportIssue counts a fault. It takes well under a microsecond (BenchmarkReportIssue), waits for nothing, and is safe
// from any goroutine. A fault whose codes are not valid, or that is a new one when as many are counted as a report can
// hold, is left out. Counts are sent only if the operator granted health reports, and begin anew with the grant.
func (s *Service) ReportIssue(issue Issue) {
	if s == nil {
		return
	}
	s.issues.add(issue, time.Now())
}

func (c *issues) add(issue Issue, now time.Time) {
	now = now.Round(0) // reports have the time of the clock, which may be set back, and not that since the start
	if issue.Severity == "" {
		issue.Severity = report.SeverityError
	}
	key := report.GroupKey{Source: issue.Source, Component: issue.Component, Reason: issue.Reason, Stage: issue.Stage, Severity: issue.Severity}
	c.mu.Lock()
	defer c.mu.Unlock()
	group, ok := c.groups[key]
	if !ok {
		if group = c.newGroup(key, now); group == nil {
			c.leftOut++
			return
		}
	}
	group.Count = min(group.Count+1, report.MaxGroupCount)
	if now.After(group.Last) {
		group.Last = now
	}
	if len(issue.Context) > 0 {
		c.setContext(group, issue.Context)
	}
}

// newGroup begins to count a fault, or gives nil if it cannot be reported.
func (c *issues) newGroup(key report.GroupKey, now time.Time) *report.Group {
	if len(c.groups) >= report.MaxGroups || !report.ValidCode(key.Source) || !report.ValidCode(key.Component) ||
		!report.ValidCode(key.Reason) || key.Stage != "" && !report.ValidCode(key.Stage) || !isSeverity(key.Severity) {
		return nil
	}
	// The codes may be parts of something large, which would stay in memory with them.
	group := &report.Group{
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
func (c *issues) setContext(group *report.Group, given map[string]string) {
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
func (c *issues) list() []report.Group {
	c.mu.Lock()
	defer c.mu.Unlock()
	// Pointers are sorted: the code that sorts such large values would be many times as large.
	groups := slices.SortedFunc(maps.Values(c.groups), func(a, b *report.Group) int {
		return cmp.Or(cmp.Compare(a.Source, b.Source), cmp.Compare(a.Component, b.Component), cmp.Compare(a.Reason, b.Reason),
			cmp.Compare(a.Stage, b.Stage), cmp.Compare(a.Severity, b.Severity))
	})
	list := make([]report.Group, 0, len(groups))
	for _, group := range groups {
		g := *group
		g.Context = maps.Clone(group.Context)
		list = append(list, g)
	}
	return list
}

// setGranted tells what was decided about health reports. Counting begins anew when that changes: what was counted under
// another decision is never sent.
func (c *issues) setGranted(granted bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.granted != nil && *c.granted != granted {
		clear(c.groups)
	}
	c.granted = &granted
}

// drop forgets all that was counted.
func (c *issues) drop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.groups)
}

func (c *issues) countLeftOut() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.leftOut
}
