package page

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/rollcall-dev/rollcall"
)

// servePage answers with the page.
func (p *operatorPage) servePage(w http.ResponseWriter, r *http.Request) {
	p.render(w, http.StatusOK, "page.html", p.look(r))
}

// look reads the state of the service. The preview comes first, because it
// reads the operator's decisions anew.
func (p *operatorPage) look(r *http.Request) view {
	if p.service == nil {
		return newView(p.opts.Title, p.notice(r), nil, glance{}, time.Now())
	}
	ctx, cancel := context.WithTimeout(r.Context(), previewTimeout)
	defer cancel()
	var g glance
	g.preview, g.previewError = p.service.Preview(ctx)
	g.decisions = p.service.Decisions(ctx)
	status := p.service.Status()
	return newView(p.opts.Title, p.notice(r), &status, g, time.Now())
}

// A glance is what the page reads from the disk.
type glance struct {
	preview      rollcall.Preview
	previewError error
	decisions    rollcall.Decisions
}

// isAdded reports whether a field was added after the operator agreed.
func (g glance) isAdded(f rollcall.ExplainedField) bool {
	d := g.decisions
	covered := d.Schema
	if strings.HasPrefix(f.Name, "facts.") {
		covered = d.Facts
	}
	return d.Telemetry.State == rollcall.Granted && f.Since > covered
}
