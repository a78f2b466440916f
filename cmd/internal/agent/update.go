package agent

import (
	"net/http"

	"github.com/rollcall-dev/rollcall/page"
)

// PathUpdate is where the host learns that a newer release is out.
const PathUpdate = "/v1/update"

func (a *Agent) serveUpdate(w http.ResponseWriter, r *http.Request) {
	a.freshen(r.Context())
	writeJSON(w, http.StatusOK, a.service.Status().Updates)
}

// checkUpdate asks the collector, for a host that does not wait for the agent to
// do so.
func (a *Agent) checkUpdate(w http.ResponseWriter, r *http.Request) {
	if !a.permit(w, r, page.MayChange) {
		return
	}
	ctx, cancel := extend(w, r, sendTimeout)
	defer cancel()
	if _, err := a.service.CheckUpdate(ctx); err != nil {
		refuseSending(w, err)
		return
	}
	writeJSON(w, http.StatusOK, a.service.Status().Updates)
}
