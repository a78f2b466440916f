package page

import (
	"net/http"
	"time"
)

// A code names how something that the operator did went. Only the code is in the page's address, never a text.
type code string

const (
	telemetryGranted   code = "granted"
	telemetryDenied    code = "denied"
	telemetryNotSaved  code = "not-saved"
	telemetryOverruled code = "overruled"
	healthGranted      code = "health-granted"
	healthDenied       code = "health-denied"
	healthNotSaved     code = "health-not-saved"
	healthOverruled    code = "health-overruled"
	sent               code = "sent"
	notSent            code = "not-sent"
	reset              code = "reset"
	notReset           code = "not-reset"
	forgotten          code = "forgotten"
	notForgotten       code = "not-forgotten"
	idChanged          code = "id-changed"
	notRunning         code = "not-running"
)

const (
	// outcomeKey is the code's key in the address.
	outcomeKey = "outcome"
	// outcomeAge is how long after it an outcome is shown. The address stays in the browser's history, and anybody can
	// make one up: it says only which outcome is meant, and the page shows those that came about.
	outcomeAge = 5 * time.Minute
)

// An outcome is how something went that the operator did.
type outcome struct {
	code   code
	detail string // the error's words
	at     time.Time
}

// remember keeps an outcome for the page that follows.
func (p *operatorPage) remember(c code, err error) {
	last := outcome{code: c, at: time.Now()}
	if err != nil {
		last.detail = plain(err.Error())
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last = last
}

// notice gives what the page says of the outcome that the request asks for; nil when that did not just happen.
func (p *operatorPage) notice(r *http.Request) *notice {
	p.mu.Lock()
	last := p.last
	p.mu.Unlock()
	asked := r.URL.Query().Get(outcomeKey)
	if asked == "" || asked != string(last.code) || time.Since(last.at) > outcomeAge {
		return nil
	}
	n := last.code.notice()
	n.Detail = last.detail
	return &n
}

// A notice is a message about something that the operator did.
type notice struct {
	// Good says that it went as the operator wanted. Sign stands for that in the page's title.
	Good bool
	Sign string
	// Short is for the title of the document, and Text for the page. Detail is an error's words, empty when there is none.
	Short, Text, Detail string
}

func (c code) notice() notice {
	switch c {
	case telemetryGranted:
		return good("Granted", "Your decision is saved: telemetry is granted.")
	case telemetryDenied:
		return good("Denied", "Your decision is saved: telemetry is denied.")
	case healthGranted:
		return good("Granted", "Your decision is saved: health reports are granted.")
	case healthDenied:
		return good("Denied", "Your decision is saved: health reports are denied.")
	case sent:
		return good("Sent", "The collector has accepted the heartbeat.")
	case reset:
		return good("New ID", "A new installation ID is in use.")
	case forgotten:
		return good("Forgotten", "The collector has deleted this installation. Telemetry is denied, and a new installation ID, "+
			"which was never sent, has taken the old one's place.")
	case telemetryNotSaved, healthNotSaved:
		return bad("Not saved", "Your decision could not be saved. What this page shows below still holds.")
	case telemetryOverruled, healthOverruled:
		return bad("Not changed", "Nothing was changed: what denies this goes before the config, which cannot override it.")
	case notSent:
		return bad("Not sent", "The heartbeat was not accepted.")
	case notReset:
		return bad("Not changed", "No new installation ID could be stored. The old one stays in use.")
	case notForgotten:
		return bad("Not forgotten", "This installation was not forgotten, or not all that follows from it could be done.")
	case idChanged:
		return bad("Not changed", "Nothing was changed: the installation ID is no longer the one that you confirmed this for.")
	default:
		return bad("Not running", "Nothing was changed: telemetry is not running.")
	}
}

func good(short, text string) notice {
	return notice{Good: true, Sign: "✓", Short: short, Text: text}
}
func bad(short, text string) notice { return notice{Sign: "!", Short: short, Text: text} }
