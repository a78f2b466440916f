package server

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/limit"
	"github.com/rollcall-dev/rollcall/report"
)

// The limits of an address prefix for requests about an installation: a burst,
// and then one request per interval.
const (
	lookupBurst    = 20
	lookupInterval = 10 * time.Second
	// forgetTimeout bounds a deletion. It takes longer than a question, because
	// the files must not retain anything.
	forgetTimeout = 50 * time.Second
)

// installation returns the installation ID in the path of a request. Knowing the
// ID grants access to its data.
func (s *Server) installation(w http.ResponseWriter, r *http.Request) (id string, ok bool) {
	w.Header().Set("Cache-Control", "no-store")
	if !s.sameSite(w, r) {
		return "", false
	}
	id = strings.ToLower(r.PathValue("id"))
	if s.opts.Legacy != nil && slices.ContainsFunc(s.engine.Apps(), func(a collector.App) bool { return a.Legacy }) {
		id = s.opts.Legacy.InstallationID(r.PathValue("id"))
	}
	if !report.ValidID(id) {
		refuse(w, http.StatusBadRequest, "out_of_bounds", "the installation ID is not a UUID")
		return "", false
	}
	if wait, ok := s.lookups.Take(limit.Client(r.RemoteAddr)); !ok {
		refuseTooMany(w, wait)
		return "", false
	}
	return id, true
}

type heldAnswer struct {
	Apps []collector.Held `json:"apps"`
}

func (s *Server) describe(w http.ResponseWriter, r *http.Request) {
	id, ok := s.installation(w, r)
	if !ok {
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), queryTimeout)
	defer cancel()
	held, err := s.engine.Describe(ctx, id)
	switch {
	case err != nil:
		s.refuseUnavailable(w, err)
	case len(held) == 0:
		refuse(w, http.StatusNotFound, reasonNotHeld, "the collector holds no data about this installation")
	default:
		s.writeJSON(w, r, heldAnswer{held})
	}
}

// forget deletes all data about an installation. It can be repeated.
func (s *Server) forget(w http.ResponseWriter, r *http.Request) {
	id, ok := s.installation(w, r)
	if !ok {
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), forgetTimeout)
	defer cancel()
	receipt, err := s.engine.Forget(ctx, id)
	if err != nil {
		s.refuseUnavailable(w, err)
		return
	}
	s.writeJSON(w, r, receipt)
}
