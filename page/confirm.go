package page

import "net/http"

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
			c.Running = true
			c.Short = st.ID.Short()
			c.Sending.Endpoint = plain(st.Reporting.Endpoint)
			c.Can = c.Short != "" && (!s.Asks || c.Sending.Endpoint != "")
		}
		p.render(w, http.StatusOK, "confirm.html", c)
	}
}
