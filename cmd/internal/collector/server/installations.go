package server

import (
	"context"
	"encoding/json"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/limit"
)

// The requests about one's own data that an address prefix may make: lookupBurst at once, and one more each lookupEvery.
const (
	lookupBurst = 20
	lookupEvery = 10 * time.Second
	lookupKeys  = 64 << 10
	// forgetWait bounds a deletion, which takes longer than a question: nothing of it may be left in the files.
	forgetWait = 50 * time.Second
)

var uuid = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)

// own gives the installation ID of a request: it is the key to what is held.
func (s *Server) own(w http.ResponseWriter, r *http.Request) (id string, ok bool) {
	w.Header().Set("Cache-Control", "no-store")
	if !s.ownSite(w, r) {
		return "", false
	}
	id = strings.ToLower(r.PathValue("id"))
	if s.opts.Legacy != nil && slices.ContainsFunc(s.c.Apps(), func(a collector.App) bool { return a.Legacy }) {
		id = s.opts.Legacy.InstallationID(r.PathValue("id"))
	}
	if !uuid.MatchString(id) {
		refuse(w, http.StatusBadRequest, "out_of_bounds", "the installation ID is not a UUID")
		return "", false
	}
	if wait, ok := s.lookups.Take(s.sender(r).key); !ok {
		retryAfter(w, wait)
		refuse(w, http.StatusTooManyRequests, collector.RefusedRate, "too many requests; try again later")
		return "", false
	}
	return id, true
}

func newLookups() *limit.Table { return limit.New(lookupKeys, lookupEvery, lookupBurst) }

// A heldAnswer is everything that is held about an installation ID.
type heldAnswer struct {
	Apps []collector.Held `json:"apps"`
}

// describe gives all that is held about an installation.
func (s *Server) describe(w http.ResponseWriter, r *http.Request) {
	id, ok := s.own(w, r)
	if !ok {
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), queryWait)
	defer cancel()
	held, err := s.c.Describe(ctx, id)
	switch {
	case err != nil:
		s.failed(w, err)
	case len(held) == 0:
		refuse(w, http.StatusNotFound, "not_held", "nothing is held about this installation")
	default:
		answer(w, heldAnswer{held})
	}
}

// forget deletes all that is held about an installation. Asking again is fine.
func (s *Server) forget(w http.ResponseWriter, r *http.Request) {
	id, ok := s.own(w, r)
	if !ok {
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), forgetWait)
	defer cancel()
	receipt, err := s.c.Forget(ctx, id)
	if err != nil {
		s.failed(w, err)
		return
	}
	answer(w, receipt)
}

// failed answers a question that the collector could not answer.
func (s *Server) failed(w http.ResponseWriter, err error) {
	s.log.Warn("Question could not be answered", "error", err.Error())
	retryAfter(w, busyRetry)
	refuse(w, http.StatusServiceUnavailable, collector.RefusedStore, "the collector cannot answer now; try again later")
}

func answer(w http.ResponseWriter, value any) {
	w.Header()["Content-Type"] = jsonType
	encoder := json.NewEncoder(w)
	encoder.Encode(value)
}
