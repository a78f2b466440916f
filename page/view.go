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
	Running           bool
	Summary           summary
	Telemetry, Health consentView
	Status            rollcall.Status
	Preview           previewView
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

// A summary is the first sentence of the page.
type summary struct {
	Sending, Trouble bool // heartbeats are sent; the last one failed
	Headline, Text   string
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
	v.Telemetry = newConsentView(st.Consent)
	v.Health = newConsentView(st.Reporting.Health)
	v.Preview = newPreviewView(g)
	for _, f := range v.Preview.Fields {
		if f.Added {
			v.Telemetry.Added = append(v.Telemetry.Added, visible(f.Name))
		}
	}
	v.Summary = v.summarize()
	return v
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
			Sending: true, Trouble: true, Headline: "The last heartbeat failed",
			Text: "Telemetry is on. Heartbeats go to " + plain(s.Reporting.Endpoint) + ". It will be retried. See below for the error.",
		}
	}
	return summary{
		Sending: true, Headline: "A heartbeat is sent once a day",
		Text: "Telemetry is on. Heartbeats go to " + plain(v.Status.Reporting.Endpoint) + ".",
	}
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
