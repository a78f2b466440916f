package rollcall

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
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
	// Context are further codes, under keys that are declared in Config.IssueContext; others are left out. It is that of
	// the last occurrence.
	Context map[string]string
}

// issues counts faults, in memory: a group for each fault, at most report.MaxGroups of them.
type issues struct {
	contextKeys []string
	dropped     atomic.Int64

	mu     sync.Mutex
	groups map[report.GroupKey]*report.Group
}

func newIssues(contextKeys []string) *issues {
	return &issues{contextKeys: contextKeys, groups: make(map[report.GroupKey]*report.Group)}
}

// ReportIssue counts a fault. It takes well under a microsecond (BenchmarkReportIssue), waits for nothing, and is safe
// from any goroutine. A fault whose codes are not valid, or that is a new one when as many are counted as a report can
// hold, is left out. Counts are sent only if the operator granted health reports.
func (s *Service) ReportIssue(issue Issue) {
	if s == nil {
		return
	}
	s.issues.add(issue, time.Now())
}

func (c *issues) add(issue Issue, now time.Time) {
	if issue.Severity == "" {
		issue.Severity = report.SeverityError
	}
	key := report.GroupKey{Source: issue.Source, Component: issue.Component, Reason: issue.Reason, Stage: issue.Stage, Severity: issue.Severity}
	c.mu.Lock()
	defer c.mu.Unlock()
	group, ok := c.groups[key]
	if !ok {
		if group = c.newGroup(key, now); group == nil {
			c.dropped.Add(1)
			return
		}
		c.groups[key] = group
	}
	group.Count = min(group.Count+1, report.MaxGroupCount)
	if now.After(group.Last) { // the clock may have been set back
		group.Last = now
	}
	if len(issue.Context) > 0 {
		group.Context = c.context(issue.Context)
	}
}

// newGroup gives the group of a fault that is counted for the first time, or nil if it cannot be reported.
func (c *issues) newGroup(key report.GroupKey, now time.Time) *report.Group {
	if len(c.groups) >= report.MaxGroups {
		return nil
	}
	group := &report.Group{
		Source: key.Source, Component: key.Component, Reason: key.Reason, Stage: key.Stage, Severity: key.Severity,
		Since: now, First: now, Last: now,
	}
	if !report.ValidCode(key.Source) || !report.ValidCode(key.Component) || !report.ValidCode(key.Reason) ||
		key.Stage != "" && !report.ValidCode(key.Stage) || !isSeverity(key.Severity) {
		return nil
	}
	return group
}

func isSeverity(s report.Severity) bool {
	switch s {
	case report.SeverityInfo, report.SeverityWarning, report.SeverityError, report.SeverityCritical:
		return true
	}
	return false
}

func (c *issues) context(given map[string]string) map[string]string {
	kept := make(map[string]string, len(c.contextKeys))
	for _, key := range c.contextKeys {
		if code, ok := given[key]; ok && report.ValidCode(code) {
			kept[key] = code
		}
	}
	return kept
}

// list gives the groups in the order of their codes. They stay counted: counts are cumulative.
func (c *issues) list() []report.Group {
	c.mu.Lock()
	defer c.mu.Unlock()
	list := make([]report.Group, 0, len(c.groups))
	for _, group := range c.groups {
		g := *group
		g.Context = maps.Clone(group.Context)
		list = append(list, g)
	}
	slices.SortFunc(list, func(a, b report.Group) int {
		return cmp.Or(cmp.Compare(a.Source, b.Source), cmp.Compare(a.Component, b.Component), cmp.Compare(a.Reason, b.Reason),
			cmp.Compare(a.Stage, b.Stage), cmp.Compare(a.Severity, b.Severity))
	})
	return list
}

// drop forgets all that was counted, when consent is withdrawn.
func (c *issues) drop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.groups)
}
