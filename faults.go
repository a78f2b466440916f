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

// A Fault is something that went wrong in the host, in codes: free text cannot
// be reported. See report.ValidCode.
type Fault struct {
	// Source is who noticed the fault, Component is what failed, and Reason is
	// why. Stage is the step that failed, and may be empty.
	Source, Component, Reason, Stage string
	// Severity is how bad it is; empty means report.SeverityError.
	Severity report.Severity
	// Context holds further codes, under keys of Reporting.FaultContext; other
	// keys and values that are no codes are left out. A report has the context
	// of the last occurrence that had one.
	Context map[string]string
}

// ReportFault counts a fault. It takes well under a microsecond
// (BenchmarkReportFault), waits for nothing, and is safe from any goroutine. A
// fault with an invalid code is left out, and so is a new one once
// report.MaxFaults are counted. Counts are sent only if the operator granted
// health reports, and restart with the grant.
func (s *Service) ReportFault(fault Fault) {
	if s == nil {
		return
	}
	s.faults.add(fault, time.Now())
}

// A faultCounter counts occurrences of faults in memory.
type faultCounter struct {
	contextKeys []string

	mu      sync.Mutex
	counted map[report.FaultKey]*report.Fault // at most report.MaxFaults
	leftOut int64                             // occurrences that were not counted
	granted *bool                             // whether health reports were granted when last read; nil before
}

func newFaultCounter(contextKeys []string) *faultCounter {
	return &faultCounter{contextKeys: slices.Clone(contextKeys), counted: make(map[report.FaultKey]*report.Fault)}
}

func (c *faultCounter) add(fault Fault, now time.Time) {
	now = now.Round(0) // reports have wall clock times, without the monotonic clock
	key := report.FaultKey{
		Source: fault.Source, Component: fault.Component, Reason: fault.Reason, Stage: fault.Stage,
		Severity: cmp.Or(fault.Severity, report.SeverityError),
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	f := c.counted[key]
	if f == nil {
		if f = c.begin(key, now); f == nil {
			c.leftOut++
			return
		}
	}
	f.Count = min(f.Count+1, report.MaxFaultCount)
	if now.After(f.Last) {
		f.Last = now
	}
	if len(fault.Context) > 0 {
		c.setContext(f, fault.Context)
	}
}

// begin starts to count a fault, and returns nil if it cannot be reported.
func (c *faultCounter) begin(key report.FaultKey, now time.Time) *report.Fault {
	if len(c.counted) >= report.MaxFaults || !report.ValidCode(key.Source) || !report.ValidCode(key.Component) ||
		!report.ValidCode(key.Reason) || key.Stage != "" && !report.ValidCode(key.Stage) || !isSeverity(key.Severity) {
		return nil
	}
	// The codes may be parts of something large, which would stay in memory with them.
	f := &report.Fault{
		Source: strings.Clone(key.Source), Component: strings.Clone(key.Component), Reason: strings.Clone(key.Reason),
		Stage: strings.Clone(key.Stage), Severity: report.Severity(strings.Clone(string(key.Severity))),
		Since: now, First: now, Last: now,
	}
	c.counted[f.Key()] = f
	return f
}

func isSeverity(s report.Severity) bool {
	switch s {
	case report.SeverityInfo, report.SeverityWarning, report.SeverityError, report.SeverityCritical:
		return true
	}
	return false
}

// setContext replaces the context of a fault by the declared codes of another.
// It allocates only for codes that are new.
func (c *faultCounter) setContext(f *report.Fault, context map[string]string) {
	for _, key := range c.contextKeys {
		code, ok := context[key]
		switch ok = ok && report.ValidCode(code); {
		case ok && f.Context == nil:
			f.Context = map[string]string{key: strings.Clone(code)}
		case ok && f.Context[key] != code:
			f.Context[key] = strings.Clone(code)
		case !ok:
			delete(f.Context, key)
		}
	}
}

// list returns the faults in the order of their codes. Counts are cumulative,
// so listing them takes nothing away.
func (c *faultCounter) list() []report.Fault {
	c.mu.Lock()
	defer c.mu.Unlock()
	// Sorting pointers: the sorting of such large values would be much more code.
	sorted := slices.SortedFunc(maps.Values(c.counted), func(a, b *report.Fault) int {
		return cmp.Or(cmp.Compare(a.Source, b.Source), cmp.Compare(a.Component, b.Component), cmp.Compare(a.Reason, b.Reason),
			cmp.Compare(a.Stage, b.Stage), cmp.Compare(a.Severity, b.Severity))
	})
	list := make([]report.Fault, len(sorted))
	for i, f := range sorted {
		list[i] = *f
		list[i].Context = maps.Clone(f.Context)
	}
	return list
}

// setGranted notes the decision about health reports. A change restarts the
// count: what was counted under another decision is never sent.
func (c *faultCounter) setGranted(granted bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.granted != nil && *c.granted != granted {
		clear(c.counted)
	}
	c.granted = &granted
}

// drop forgets everything counted.
func (c *faultCounter) drop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.counted)
}

func (c *faultCounter) countLeftOut() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.leftOut
}
