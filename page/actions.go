package page

import (
	"context"
	"errors"
	"mime"
	"net/http"
	"time"

	"github.com/rollcall-dev/rollcall"
)

// A toggle is one of the switches: the codes of its outcomes, the decision
// so far, and the function that saves a new one.
type toggle struct {
	granted, denied, notSaved, overruled code

	decided func(rollcall.Status) rollcall.Decision
	set     func(ctx context.Context, granted bool) error
}

func (p *operatorPage) decide(t toggle) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !p.readForm(w, r) {
			return
		}
		granted, done := true, t.granted
		switch r.PostForm.Get("decision") {
		case "grant":
		case "deny":
			granted, done = false, t.denied
		default:
			http.Error(w, "The decision must be grant or deny.", http.StatusBadRequest)
			return
		}
		if have := p.rights(r); have < MayDeny || granted && have < MayChange {
			p.refuse(w)
			return
		}
		p.act(w, r, configTimeout, func(ctx context.Context) (code, error) {
			// A grant that has no effect now must not take effect later, when the policy
			// or variable is gone.
			if granted && overrules(t.decided(p.service.Status()).Source) {
				return t.overruled, nil
			}
			return ended(t.set(ctx, granted), done, t.notSaved)
		})
	}
}

func (p *operatorPage) send(w http.ResponseWriter, r *http.Request) {
	if p.readForm(w, r) {
		p.act(w, r, sendTimeout, func(ctx context.Context) (code, error) { return ended(p.service.SendNow(ctx), sent, notSent) })
	}
}

// actOnID does something to the ID for which the operator confirmed it. A form
// that is sent twice, or late, does nothing to another ID.
func (p *operatorPage) actOnID(timeout time.Duration, done, failed code, do func(context.Context) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !p.readForm(w, r) {
			return
		}
		p.act(w, r, timeout, func(ctx context.Context) (code, error) {
			if id := p.service.ID(); id.IsZero() || r.PostForm.Get("id") != id.Short() {
				return idChanged, nil
			}
			return ended(do(ctx), done, failed)
		})
	}
}

func ended(err error, done, failed code) (code, error) {
	if err != nil {
		return failed, err
	}
	return done, nil
}

// act does something within the timeout, even if the browser goes away. It then
// leads back to the page, which shows the outcome.
func (p *operatorPage) act(w http.ResponseWriter, r *http.Request, timeout time.Duration, do func(context.Context) (code, error)) {
	// The server's write deadline may be shorter. Not every ResponseWriter has
	// deadlines.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(timeout + answerTime))
	result := notRunning
	var err error
	if p.service != nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), timeout)
		defer cancel()
		result, err = do(rollcall.OrderedBy(ctx, "page"))
	}
	p.remember(result, err)
	// Relative, because the page can be mounted anywhere.
	w.Header().Set("Location", "./?"+outcomeKey+"="+string(result))
	w.WriteHeader(http.StatusSeeOther)
}

// readForm reads a form within bounds. If that fails, it answers the request
// and returns false.
func (p *operatorPage) readForm(w http.ResponseWriter, r *http.Request) bool {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/x-www-form-urlencoded" {
		http.Error(w, "Send the form as application/x-www-form-urlencoded.", http.StatusUnsupportedMediaType)
		return false
	}
	deadlines := http.NewResponseController(w)
	_ = deadlines.SetReadDeadline(time.Now().Add(bodyTimeout))
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	err := r.ParseForm()
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		http.Error(w, "The form is too large.", http.StatusRequestEntityTooLarge)
	case err != nil:
		http.Error(w, "The form is malformed.", http.StatusBadRequest)
	default:
		_ = deadlines.SetReadDeadline(time.Time{}) // the server sets the next one
	}
	return err == nil
}

// A step is an action that the operator has to confirm.
type step struct {
	Path     string // where the form goes
	Question string
	Button   string // what confirms it
	// Asks says that the step sends a request to the collector.
	Asks bool
}

var (
	resetting  = step{Path: "reset", Question: "Make a new installation ID?", Button: "Make a new ID"}
	forgetting = step{Path: "forget", Question: "Forget this installation?", Button: "Forget this installation", Asks: true}
)

// confirmation is the data of the page that asks.
type confirmation struct {
	view
	step
	// Short is the beginning of the ID, which the form repeats; empty without an ID.
	Short string
	// Can says that the step is possible.
	Can bool
}

// serveConfirm asks before a step that cannot be undone.
func (p *operatorPage) serveConfirm(s step) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		c := confirmation{view: view{Title: s.Question, Host: plain(p.opts.Title)}, step: s}
		if p.service != nil {
			st := p.service.Status()
			c.Running, c.Status = true, st
			c.Short = st.ID.Short()
			c.Can = c.Short != "" && (!s.Asks || st.Reporting.Endpoint != "")
		}
		p.render(w, http.StatusOK, "confirm.html", c)
	}
}
