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

// A view is what the templates show. All text in it that comes from outside went through plain.
type view struct {
	// Title is the document's, and Host the name of the program whose telemetry this is; it can be empty.
	Title, Host string
	Notice      *notice
	Now         *moment
	// Running says that there is a service; without one the rest is empty.
	Running bool
	Summary summary
	// Telemetry and Health are the two switches.
	Telemetry, Health consentView
	ID                idView
	Sending           sendingView
	Preview           previewView
	Storage           storageView
}

// A summary is the page's first sentence.
type summary struct {
	// Sending says that heartbeats are sent, and Trouble that the last one failed. Headline and Text say the same in
	// words, and why.
	Sending, Trouble bool
	Headline, Text   string
}

// A consentView is a switch, and what decided where it stands.
type consentView struct {
	Granted, Denied bool   // unset is neither
	State           string // in a word
	By              string // what decided
	Overruled       bool   // by something that goes before the config
	Elsewhere       bool   // in the host's own settings, which only the host changes
	CanGrant        bool
	CanDeny         bool
	// Added are the fields that came after the grant, which does not cover them.
	Added []string
}

type idView struct {
	Text                                        string // empty when there is none
	Settled, Persisted, Provisional, Incomplete bool
	Place, Reason                               string
}

type sendingView struct {
	Endpoint            string // empty when there is none
	Success, Attempt    *moment
	Failed, Unfinished  bool // the last attempt
	Error               string
	Due                 *moment
	Gone, Kept, CanSend bool
	Withheld            string
}

type previewView struct {
	Error     string // why there is none
	TimedOut  bool
	WithoutID bool
	Heartbeat reportView
	Fields    []fieldView
	Health    *reportView // nil when there is none
	// HealthFields say what a health report can hold.
	HealthFields []report.Field
}

// A reportView is a report as it would be sent: easy to read, and byte for byte.
type reportView struct {
	Pretty, Exact string
	Size          int
}

type fieldView struct {
	Name, Value, Reason string
	// Added says that the field came after the grant.
	Added bool
}

type storageView struct {
	Attempts       int
	Error          string
	ErrorTime      *moment
	Stuck          string // what hangs
	StuckSince     *moment
	NextTry        *moment
	NothingToTell  bool
	DoesNotAnswer  bool
	TroubleReading bool
}

// newView makes the view of a status, which is nil without a service.
func newView(host string, n *notice, st *rollcall.Status, g glance, now time.Time) view {
	v := view{Title: "Telemetry", Host: plain(host), Notice: n, Now: momentOf(now, now)}
	if st == nil {
		v.Summary = summary{Headline: "Telemetry is not running", Text: "This program runs without telemetry: nothing is sent, and there is no installation ID."}
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
	v.Storage.DoesNotAnswer = v.Storage.Stuck != "" || v.Preview.TimedOut
	v.Summary = summarize(v)
	return v
}

func summarize(v view) summary {
	nothing := func(text string) summary { return summary{Headline: "Nothing is sent", Text: text} }
	switch s := v.Sending; {
	case v.Telemetry.Denied:
		return nothing("Telemetry is denied: " + v.Telemetry.By + ".")
	case !v.Telemetry.Granted:
		return nothing("Telemetry is unset: nobody has decided yet. As long as that is so, it counts as denied.")
	case s.Withheld != "":
		return nothing("Telemetry is granted, but nothing is sent for another reason: " + s.Withheld + ".")
	case s.Gone:
		return nothing("Telemetry is granted, but the collector has said that it wants no more reports.")
	case !v.ID.Settled || v.ID.Provisional || v.ID.Text == "":
		return nothing("Telemetry is granted. Heartbeats begin when the installation ID is known for certain.")
	}
	s := summary{Sending: true, Headline: "A heartbeat is sent once a day", Text: "Telemetry is granted. Heartbeats go to " + v.Sending.Endpoint + "."}
	if v.Sending.Failed {
		s.Trouble, s.Headline = true, "The last heartbeat failed"
		s.Text += " It is tried again later; see below for what was wrong."
	}
	return s
}

// newConsentView returns the switch for a decision.
func newConsentView(d rollcall.Decision) consentView {
	c := consentView{
		Granted:   d.State == rollcall.Granted,
		Denied:    d.State == rollcall.Denied,
		State:     d.State.String(),
		By:        plain(d.Source.String()),
		Overruled: overrules(d.Source),
		Elsewhere: d.Source.Kind == rollcall.SourceHost,
	}
	switch {
	case c.Elsewhere:
	case c.Overruled:
		c.CanDeny = d.Setting == rollcall.Granted
	default:
		c.CanGrant = !c.Granted
		c.CanDeny = !(c.Denied && isPlainNo(d.Source))
	}
	return c
}

// overrules reports whether a source takes precedence over the config.
func overrules(s rollcall.Source) bool {
	return s.Kind == rollcall.SourcePolicy || s.Kind == rollcall.SourceEnvironment
}

// isPlainNo reports whether a denial is saved as such, so that another one
// would change nothing.
func isPlainNo(s rollcall.Source) bool {
	return (s.Kind == rollcall.SourceConfig || s.Kind == rollcall.SourceConsentFile) && s.Problem == ""
}

func newSendingView(st rollcall.ReportingStatus, now time.Time) sendingView {
	return sendingView{
		Endpoint:   plain(st.Endpoint),
		Success:    momentOf(st.LastSuccess, now),
		Attempt:    momentOf(st.LastAttempt, now),
		Failed:     st.LastError != "",
		Unfinished: st.LastError == "" && st.LastAttempt.After(st.LastSuccess),
		Error:      plain(st.LastError),
		Due:        momentOf(st.NextDue, now),
		Gone:       st.Gone,
		Kept:       st.Kept,
		CanSend:    st.Withheld == "" && st.Endpoint != "",
		Withheld:   plain(st.Withheld),
	}
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
		pretty.Write(body) // not JSON: as it is
	}
	return reportView{Pretty: pretty.String(), Exact: string(body), Size: len(body)}
}

// hangsAfter is how long a storage operation may run before the page says that it hangs.
const hangsAfter = 2 * time.Second

func newStorageView(st rollcall.Status, now time.Time) storageView {
	v := storageView{
		Attempts:       st.Attempts,
		Error:          plain(st.LastError),
		NextTry:        momentOf(st.NextTry, now),
		TroubleReading: st.Unread,
	}
	if st.LastError != "" {
		v.ErrorTime = momentOf(st.LastErrorTime, now)
	}
	if st.Stuck != "" && now.Sub(st.StuckSince) >= hangsAfter {
		v.Stuck, v.StuckSince = plain(st.Stuck), momentOf(st.StuckSince, now)
	}
	v.NothingToTell = v.Error == "" && v.Stuck == "" && !v.TroubleReading
	return v
}
