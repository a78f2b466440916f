package page

import (
	"context"
	"errors"
	"mime"
	"net/http"
	"time"

	"github.com/rollcall-dev/rollcall"
)

// consent is the switch of telemetry.
func (p *operatorPage) consent(w http.ResponseWriter, r *http.Request) {
	p.decide(w, r, decision{
		granted: telemetryGranted, denied: telemetryDenied, notSaved: telemetryNotSaved, overruled: telemetryOverruled,
		decided: func(st rollcall.Status) rollcall.Decision { return st.Consent },
		set:     p.service.SetConsent,
	})
}

// healthConsent is the switch of health reports.
func (p *operatorPage) healthConsent(w http.ResponseWriter, r *http.Request) {
	p.decide(w, r, decision{
		granted: healthGranted, denied: healthDenied, notSaved: healthNotSaved, overruled: healthOverruled,
		decided: func(st rollcall.Status) rollcall.Decision { return st.Reporting.Health },
		set:     p.service.SetHealthConsent,
	})
}

// A decision is one that the operator takes with a switch: the messages about how it went, what decided before, and the
// function that saves it.
type decision struct {
	granted, denied, notSaved, overruled code

	decided func(rollcall.Status) rollcall.Decision
	set     func(ctx context.Context, granted bool) error
}

func (p *operatorPage) decide(w http.ResponseWriter, r *http.Request, d decision) {
	if !p.readForm(w, r) {
		return
	}
	granted := r.PostForm.Get("decision") == "grant"
	if !granted && r.PostForm.Get("decision") != "deny" {
		http.Error(w, "The decision is neither grant nor deny.", http.StatusBadRequest)
		return
	}
	p.act(w, r, configTimeout, func(ctx context.Context) (code, error) {
		// A grant that would not count now is not written to wait for the day when the denial ends.
		if granted && overrules(d.decided(p.service.Status()).Source) {
			return d.overruled, nil
		}
		if err := d.set(ctx, granted); err != nil {
			return d.notSaved, err
		}
		if granted {
			return d.granted, nil
		}
		return d.denied, nil
	})
}

// send sends a heartbeat now.
func (p *operatorPage) send(w http.ResponseWriter, r *http.Request) {
	if !p.readForm(w, r) {
		return
	}
	p.act(w, r, sendTimeout, func(ctx context.Context) (code, error) {
		if err := p.service.SendNow(ctx); err != nil {
			return notSent, err
		}
		return sent, nil
	})
}

// reset makes a new ID, once the operator has confirmed it.
func (p *operatorPage) reset(w http.ResponseWriter, r *http.Request) {
	p.actOnID(w, r, configTimeout, func(ctx context.Context) (code, error) {
		if _, err := p.service.Reset(ctx); err != nil {
			return notReset, err
		}
		return reset, nil
	})
}

// forget asks the collector to forget the installation, once the operator has confirmed it.
func (p *operatorPage) forget(w http.ResponseWriter, r *http.Request) {
	p.actOnID(w, r, sendTimeout, func(ctx context.Context) (code, error) {
		if err := p.service.Forget(ctx); err != nil {
			return notForgotten, err
		}
		return forgotten, nil
	})
}

// actOnID does what was confirmed for the ID that the operator saw then: a form that is sent twice, or late, does
// nothing to another one.
func (p *operatorPage) actOnID(w http.ResponseWriter, r *http.Request, timeout time.Duration, do func(context.Context) (code, error)) {
	if !p.readForm(w, r) {
		return
	}
	p.act(w, r, timeout, func(ctx context.Context) (code, error) {
		if id := p.service.ID(); id.IsZero() || r.PostForm.Get("id") != id.Short() {
			return idChanged, nil
		}
		return do(ctx)
	})
}

// act does something for the operator, within the timeout, and leads back to the page, which says how it went. It is
// done also if the browser does not wait for the end.
func (p *operatorPage) act(w http.ResponseWriter, r *http.Request, timeout time.Duration, do func(context.Context) (code, error)) {
	// The server's own limits are made for pages; see answerTime. Not every ResponseWriter has deadlines.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(timeout + answerTime))
	result := notRunning
	var err error
	if p.service != nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), timeout)
		defer cancel()
		result, err = do(ctx)
	}
	p.remember(result, err)
	// A relative reference, which leads to the page wherever it is mounted.
	w.Header().Set("Location", "./?"+outcomeKey+"="+string(result))
	w.WriteHeader(http.StatusSeeOther)
}

// readForm reads a form within bounds, and answers itself if that fails.
func (p *operatorPage) readForm(w http.ResponseWriter, r *http.Request) bool {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/x-www-form-urlencoded" {
		http.Error(w, "Only forms of this page are understood.", http.StatusUnsupportedMediaType)
		return false
	}
	deadlines := http.NewResponseController(w)
	_ = deadlines.SetReadDeadline(time.Now().Add(bodyTimeout))
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	err := r.ParseForm()
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		http.Error(w, "The form is too large.", http.StatusRequestEntityTooLarge)
		return false
	}
	if err != nil {
		http.Error(w, "The form cannot be read.", http.StatusBadRequest)
		return false
	}
	_ = deadlines.SetReadDeadline(time.Time{}) // all is read; the server sets the next one
	return true
}
