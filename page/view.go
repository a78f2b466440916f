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
// went through plain or visible.
type view struct {
	Title  string // of the document
	Host   string // the name of the program; may be empty
	Notice *notice
	Now    *moment
	// Running says that there is a service. Without one, the rest is empty.
	Running           bool
	Summary           summary
	Telemetry, Health consentView
	ID                idView
	Sending           sendingView
	Preview           previewView
	Storage           storageView
}

// A summary is the first sentence of the page.
type summary struct {
	Sending, Trouble bool // heartbeats are sent; the last one failed
	Headline, Text   string
}

type idView struct {
	Text                                        string // empty without an ID
	Settled, Persisted, Provisional, Incomplete bool
	Place, Reason                               string
}

type sendingView struct {
	Endpoint            string // empty without a collector
	Success, Attempt    *moment
	Failed, Unfinished  bool // the last attempt
	Error               string
	Due                 *moment
	Gone, Kept, CanSend bool
	Withheld            string
}

type storageView struct {
	Attempts   int
	Error      string
	ErrorTime  *moment
	Stuck      string // the operation that hangs
	StuckSince *moment
	NextTry    *moment

	OK, Unresponsive, TroubleReading bool
}

// newView returns the view of a status, which is nil without a service.
func newView(host string, n *notice, st *rollcall.Status, g glance, now time.Time) view {
	v := view{Title: "Telemetry", Host: plain(host), Notice: n, Now: momentOf(now, now)}
	if st == nil {
		v.Summary = summary{Headline: "Telemetry is not running", Text: "This program runs without telemetry. It sends nothing and has no installation ID."}
		return v
	}
	v.Running = true
	v.Telemetry = newConsentView(st.Consent)
	v.Health = newConsentView(st.Reporting.Health)
	v.ID = idView{
		Text: st.ID.String(), Settled: st.Settled, Persisted: st.Persisted, Provisional: st.Provisional,
		Incomplete: st.Incomplete, Place: plain(st.Place), Reason: plain(st.Reason),
	}
	v.Sending = newSendingView(st.Reporting, now)
	v.Preview = newPreviewView(g)
	for _, f := range v.Preview.Fields {
		if f.Added {
			v.Telemetry.Added = append(v.Telemetry.Added, f.Name)
		}
	}
	v.Storage = newStorageView(*st, now)
	v.Storage.Unresponsive = v.Storage.Stuck != "" || v.Preview.TimedOut
	v.Summary = summarize(v)
	return v
}

func summarize(v view) summary {
	nothing := func(text string) summary { return summary{Headline: "Nothing is sent", Text: text} }
	switch s := v.Sending; {
	case v.Telemetry.Denied:
		return nothing("Telemetry is turned off " + v.Telemetry.Cause + ".")
	case !v.Telemetry.Granted:
		return nothing("Nobody has decided yet, so telemetry is off.")
	case s.Withheld != "":
		return nothing("Telemetry is on, but nothing is sent: " + s.Withheld + ".")
	case s.Gone:
		return nothing("Telemetry is on, but the collector wants no more reports.")
	case !v.ID.Settled || v.ID.Provisional || v.ID.Text == "":
		return nothing("Telemetry is on. Heartbeats start once the installation ID is known for certain.")
	}
	s := summary{Sending: true, Headline: "A heartbeat is sent once a day", Text: "Telemetry is on. Heartbeats go to " + v.Sending.Endpoint + "."}
	if v.Sending.Failed {
		s.Trouble, s.Headline = true, "The last heartbeat failed"
		s.Text += " It will be retried. See below for the error."
	}
	return s
}

func newSendingView(st rollcall.ReportingStatus, now time.Time) sendingView {
	return sendingView{
		Endpoint: plain(st.Endpoint), Error: plain(st.LastError), Withheld: plain(st.Withheld),
		Success: momentOf(st.LastSuccess, now), Attempt: momentOf(st.LastAttempt, now), Due: momentOf(st.NextDue, now),
		Failed:     st.LastError != "",
		Unfinished: st.LastError == "" && st.LastAttempt.After(st.LastSuccess),
		Gone:       st.Gone, Kept: st.Kept, CanSend: st.Withheld == "" && st.Endpoint != "",
	}
}

// hangsAfter is how long a storage operation runs before the page says that it
// hangs.
const hangsAfter = 2 * time.Second

func newStorageView(st rollcall.Status, now time.Time) storageView {
	v := storageView{
		Attempts: st.Attempts, Error: plain(st.LastError), NextTry: momentOf(st.NextTry, now), TroubleReading: st.Unread,
	}
	if st.LastError != "" {
		v.ErrorTime = momentOf(st.LastErrorTime, now)
	}
	if st.Stuck != "" && now.Sub(st.StuckSince) >= hangsAfter {
		v.Stuck, v.StuckSince = plain(st.Stuck), momentOf(st.StuckSince, now)
	}
	v.OK = v.Error == "" && v.Stuck == "" && !v.TroubleReading
	return v
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
	Name, Value, Reason string
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
		v.Fields = append(v.Fields, fieldView{
			Name: visible(f.Name), Value: visible(f.Value), Reason: visible(f.Reason), Added: g.isAdded(f),
		})
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
