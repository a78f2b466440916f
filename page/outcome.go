package page

import (
	"net/http"
	"time"
)

// A code names the outcome of an operator's action. The page's address holds
// the code only, never a text.
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
	updatesGranted     code = "updates-granted"
	updatesDenied      code = "updates-denied"
	updatesNotSaved    code = "updates-not-saved"
	updatesOverruled   code = "updates-overruled"
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
	outcomeKey = "outcome"
	// outcomeAge is how long an outcome is shown. Anyone can make up an address,
	// and browsers keep it in their history, so it only selects an outcome that
	// really happened.
	outcomeAge = 5 * time.Minute
)

// An outcome is how an operator's action went.
type outcome struct {
	code   code
	notice notice
	at     time.Time
}

// remember keeps an outcome for the next page.
func (p *operatorPage) remember(c code, err error) {
	n := notices[c]
	if err != nil {
		n.Detail = plain(err.Error())
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last = outcome{c, n, time.Now()}
}

// notice returns the message about the outcome that the request names, or nil
// if that did not just happen.
func (p *operatorPage) notice(r *http.Request) *notice {
	p.mu.Lock()
	last := p.last
	p.mu.Unlock()
	asked := r.URL.Query().Get(outcomeKey)
	if asked == "" || asked != string(last.code) || time.Since(last.at) > outcomeAge {
		return nil
	}
	return &last.notice
}

type notice struct {
	// Good says that the action succeeded. Sign shows that in the page's title.
	Good bool
	Sign string
	// Short is for the document's title and Text for the page. Detail is the
	// text of an error, or empty.
	Short, Text, Detail string
}

var notices = map[code]notice{
	telemetryGranted: good("Turned on", "Telemetry is on. Your decision is saved."),
	telemetryDenied:  good("Turned off", "Telemetry is off. Your decision is saved."),
	healthGranted:    good("Turned on", "Health reports are on. Your decision is saved."),
	healthDenied:     good("Turned off", "Health reports are off. Your decision is saved."),
	updatesGranted:   good("Turned on", "The update check is on. Your decision is saved."),
	updatesDenied:    good("Turned off", "The update check is off. Your decision is saved, and what was learnt is forgotten."),
	sent:             good("Sent", "The collector accepted the heartbeat."),
	reset:            good("New ID", "This installation has a new ID."),
	forgotten: good("Forgotten", "The collector deleted this installation. Telemetry is off, and a new installation ID, "+
		"which was never sent, replaces the old one."),
	telemetryNotSaved:  bad("Not saved", "Your decision could not be saved. The state below still applies."),
	healthNotSaved:     bad("Not saved", "Your decision could not be saved. The state below still applies."),
	telemetryOverruled: bad("Not changed", "Nothing was changed. A policy or an environment variable takes precedence over the config."),
	healthOverruled:    bad("Not changed", "Nothing was changed. A policy or an environment variable takes precedence over the config."),
	updatesNotSaved:    bad("Not saved", "Your decision could not be saved. The state below still applies."),
	updatesOverruled:   bad("Not changed", "Nothing was changed. A policy or an environment variable takes precedence over the config."),
	notSent:            bad("Not sent", "The heartbeat was not accepted."),
	notReset:           bad("Not changed", "The new installation ID could not be saved. The old one stays in use."),
	notForgotten:       bad("Not forgotten", "This installation was not forgotten, or not completely."),
	idChanged:          bad("Not changed", "Nothing was changed. The installation ID is no longer the one you confirmed this for."),
	notRunning:         bad("Not running", "Nothing was changed. Telemetry is not running."),
}

func good(short, text string) notice {
	return notice{Good: true, Sign: "✓", Short: short, Text: text}
}
func bad(short, text string) notice { return notice{Sign: "!", Short: short, Text: text} }
