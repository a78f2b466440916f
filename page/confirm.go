package page

import "net/http"

// A step is one that needs to be confirmed.
type step struct {
	// Path is where the form goes, Question what is asked, and Button what confirms it.
	Path, Question, Button string
	// Asks says that the collector is asked to do something.
	Asks bool
}

var (
	resetting  = step{Path: "reset", Question: "Make a new installation ID?", Button: "Make a new ID"}
	forgetting = step{Path: "forget", Question: "Forget this installation?", Button: "Forget this installation", Asks: true}
)

// confirmation is what the page for a step shows.
type confirmation struct {
	view
	step
	// Short is how the ID begins, which the form repeats; empty when there is none.
	Short string
	// Can says that the step is possible.
	Can bool
}

// serveConfirm asks before a step that cannot be taken back.
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
