package server

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/counter"
	"github.com/rollcall-dev/rollcall/report"
)

// forgetTimeout bounds a deletion. It takes longer than a question, because the
// files must not retain anything.
const forgetTimeout = 50 * time.Second

// installation returns the installation in the path of a request. Knowing the ID
// grants access to its data.
func (s *Server) installation(ctx context.Context, w http.ResponseWriter, r *http.Request) (l counter.Lookup, ok bool) {
	w.Header().Set("Cache-Control", "no-store")
	if !s.sameSite(w, r) {
		return l, false
	}
	l.Prefix = s.opts.Prefix(parseAddr(r.RemoteAddr))
	l.ID = strings.ToLower(r.PathValue("id"))
	if s.opts.Legacy != nil {
		apps, err := s.counter.Apps(ctx)
		if err != nil {
			s.refuseUnavailable(w, err)
			return l, false
		}
		if slices.ContainsFunc(apps, func(a collector.App) bool { return a.Legacy }) {
			l.ID = s.opts.Legacy.InstallationID(r.PathValue("id"))
		}
	}
	if !report.ValidID(l.ID) {
		refuse(w, http.StatusBadRequest, "out_of_bounds", "the installation ID is not a UUID")
		return l, false
	}
	return l, true
}

type heldAnswer struct {
	Apps []collector.Held `json:"apps"`
}

func (s *Server) describe(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), queryTimeout)
	defer cancel()
	asked, ok := s.installation(ctx, w, r)
	if !ok {
		return
	}
	held, err := s.counter.Describe(ctx, asked)
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
	ctx, cancel := context.WithTimeout(r.Context(), forgetTimeout)
	defer cancel()
	asked, ok := s.installation(ctx, w, r)
	if !ok {
		return
	}
	receipt, err := s.counter.Forget(ctx, asked)
	if err != nil {
		s.refuseUnavailable(w, err)
		return
	}
	s.writeJSON(w, r, receipt)
}
