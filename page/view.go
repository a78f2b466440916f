package page

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/rollcall-dev/rollcall"
	"github.com/rollcall-dev/rollcall/report"
)

// A view is the data of the templates. Every text in it that comes from outside
// goes through plain or visible, here or in a template.
type view struct {
	Title  string // of the document
	Host   string // the name of the program; may be empty
	Notice *notice
	Now    time.Time // zero on pages without a state
	// Running says that there is a service. Without one, the rest is empty.
	Running bool
	// CanSend, CanReset and CanForget say what the page offers, and NoReset why
	// the ID cannot be replaced.
	CanSend, CanReset, CanForget bool
	NoReset                      string
	// Limit says why the page does not offer every change; empty if it does.
	Limit   string
	Summary summary
	// Newer is the newer release; nil if none is known.
	Newer                      *newerView
	Telemetry, Health, Updates consentView
	Status                     rollcall.Status
	Preview                    previewView
}

// When returns nil for the zero time.
func (v view) When(t time.Time) *moment { return momentOf(t, v.Now) }

// hangsAfter is how long a storage operation runs before the page says that it
// hangs.
const hangsAfter = 2 * time.Second

// Hangs reports whether a storage operation hangs.
func (v view) Hangs() bool {
	return v.Status.Stuck != "" && v.Now.Sub(v.Status.StuckSince) >= hangsAfter
}

// A summary is the first sentence of the page, and what is not as it should be.
type summary struct {
	Sending        bool // heartbeats are sent
	Headline, Text string
	Problems       []problem
}

// A problem is what is not as it should be, and what the operator can do.
type problem struct {
	Text     string
	Remedies []string
}

// newView returns the view of a status, which is nil without a service.
func newView(host string, n *notice, st *rollcall.Status, g glance, now time.Time) view {
	v := view{Title: "Telemetry", Host: plain(host), Notice: n, Now: now}
	if st == nil {
		v.Summary = summary{
			Headline: "Telemetry is not running",
			Text:     "This program runs without telemetry. It sends nothing and has no installation ID.",
		}
		return v
	}
	v.Running, v.Status = true, *st
	v.Telemetry = newConsentView(st.Consent, "rollcall enable")
	v.Health = newConsentView(st.Reporting.Health, "rollcall enable --health")
	v.Updates = newConsentView(st.Updates.Consent, "rollcall enable --update-check")
	if u := st.Updates.Newer; u.Version != "" {
		v.Newer = &newerView{
			Version: visible(u.Version), URL: u.URL,
			IsSecurity: u.Severity == report.ReleaseSecurity, IsRecommended: u.Severity == report.ReleaseRecommended,
		}
		if !u.Released.IsZero() {
			v.Newer.Day = u.Released.UTC().Format(time.DateOnly)
		}
	}
	v.Preview = newPreviewView(g)
	for _, f := range v.Preview.Fields {
		if f.Added {
			v.Telemetry.Added, v.Telemetry.CanAdd = append(v.Telemetry.Added, visible(f.Name)), true
		}
	}
	v.Summary = v.summarize()
	v.Summary.Problems = v.problems(g)
	v.offerPossible(g)
	return v
}

// problems returns what the operator should know of and can change.
func (v view) problems(g glance) (found []problem) {
	s := v.Status
	if v.Hangs() || v.Preview.TimedOut {
		found = append(found, problem{Text: "The storage does not respond. This page may be out of date."})
	}
	if inMemory(s) {
		p := problem{Text: "The installation ID is only in memory and may change at the next start"}
		if s.Reason != "" && len(g.findings) == 0 {
			p.Text += ": " + plain(s.Reason)
		}
		p.Text += "."
		for _, f := range g.findings {
			p.Remedies = append(p.Remedies, sentence(plain(f.Detail))+" "+sentence(plain(f.Hint)))
		}
		found = append(found, p)
	}
	if v.Telemetry.Granted && s.Reporting.LastError != "" && s.Reporting.Withheld == "" {
		found = append(found, problem{"The last heartbeat failed: " + plain(s.Reporting.LastError) + ".", []string{
			"It is sent again later, without your help. If it keeps failing, check that this machine reaches the collector, through its proxy if there is one, and that its clock is right.",
		}})
	}
	return found
}

// inMemory reports whether the ID in use may change at the next start.
func inMemory(st rollcall.Status) bool { return st.Settled && !st.Persisted && !st.ID.IsZero() }

// offerPossible withdraws the offers that are bound to fail.
func (v *view) offerPossible(g glance) {
	s := v.Status
	v.CanSend = s.Reporting.Endpoint != "" && s.Reporting.Withheld == "" && !s.Reporting.Gone && s.Settled && !s.Provisional && !s.ID.IsZero()
	v.CanForget = s.Reporting.Endpoint != "" && !s.ID.IsZero() && !s.Provisional
	v.CanReset = !s.ID.IsZero() && g.resetError == nil
	if g.resetError != nil {
		v.NoReset = plain(g.resetError.Error())
	}
	if g.grantError == nil {
		return
	}
	for _, c := range []*consentView{&v.Telemetry, &v.Health, &v.Updates} {
		if c.CanGrant || c.CanAdd {
			c.CanGrant, c.CanAdd, c.Blocked = false, false, plain(g.grantError.Error())
		}
	}
}

func (v view) summarize() summary {
	nothing := func(text string) summary { return summary{Headline: "Nothing is sent", Text: text} }
	switch s := v.Status; {
	case v.Telemetry.Denied:
		return nothing("Telemetry is turned off " + v.Telemetry.Cause + ".")
	case !v.Telemetry.Granted:
		return nothing("Nobody has decided yet, so telemetry is off.")
	case s.Reporting.Withheld != "":
		return nothing("Telemetry is on, but nothing is sent: " + plain(s.Reporting.Withheld) + ".")
	case s.Reporting.Gone:
		return nothing("Telemetry is on, but the collector wants no more reports.")
	case !s.Settled || s.Provisional || s.ID.IsZero():
		return nothing("Telemetry is on. Heartbeats start once the installation ID is known for certain.")
	case s.Reporting.LastError != "":
		return summary{
			Sending: true, Headline: "The last heartbeat failed",
			Text: "Telemetry is on. Heartbeats go to " + plain(s.Reporting.Endpoint) + ".",
		}
	}
	return summary{
		Sending: true, Headline: "A heartbeat is sent once a day",
		Text: "Telemetry is on. Heartbeats go to " + plain(v.Status.Reporting.Endpoint) + ".",
	}
}

// A newerView is a release that is newer than the running version.
type newerView struct {
	Version, URL, Day         string // all but Version may be empty
	IsSecurity, IsRecommended bool
}

type previewView struct {
	Error     string // why there is no preview
	TimedOut  bool
	WithoutID bool
	Heartbeat reportView
	Fields    []fieldView
	Health    *reportView // nil without faults
	// HealthFields are the fields that a health report can contain.
	HealthFields []report.Field
	// UpdateRequest is the request of the update check; empty if there is none.
	UpdateRequest string
}

// A reportView is a report as it would be sent, indented and exact.
type reportView struct {
	Pretty, Exact string
	Size          int
}

type fieldView struct {
	rollcall.ExplainedField
	// Added says that the field was added after the operator agreed.
	Added bool
}

func newPreviewView(g glance) previewView {
	v := previewView{HealthFields: report.HealthFields(), WithoutID: g.preview.WithoutID}
	if g.previewError != nil {
		v.Error = plain(g.previewError.Error())
		v.TimedOut = errors.Is(g.previewError, context.DeadlineExceeded)
		return v
	}
	v.UpdateRequest = g.preview.UpdateRequest
	v.Heartbeat = newReportView(g.preview.Heartbeat)
	if g.preview.Health != nil {
		health := newReportView(g.preview.Health)
		v.Health = &health
	}
	for _, f := range g.preview.Fields {
		v.Fields = append(v.Fields, fieldView{f, g.isAdded(f)})
	}
	return v
}

func newReportView(body []byte) reportView {
	var pretty bytes.Buffer
	if err := json.Indent(&pretty, body, "", "  "); err != nil {
		pretty.Write(body) // shown as it is
	}
	return reportView{Pretty: pretty.String(), Exact: string(body), Size: len(body)}
}
