package server

import (
	"encoding/json"
	"errors"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
)

// The reasons of refusals that are not the collector's.
const (
	reasonNotFound    = "not_found"
	reasonNotHeld     = "not_held"
	reasonParameter   = "parameter"
	reasonCredentials = "unauthorized"
	reasonOrigin      = "cross_origin"
	reasonInternal    = "internal"
)

type refusal struct {
	Error  string `json:"error"`  // for people
	Reason string `json:"reason"` // for programs
}

var jsonType = []string{"application/json"}

func refuse(w http.ResponseWriter, status int, reason, text string) {
	w.Header()["Content-Type"] = jsonType
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(refusal{text, reason})
}

// refuseUnauthorized refuses a request without the token that it needs.
func refuseUnauthorized(w http.ResponseWriter, token string) {
	w.Header().Set("WWW-Authenticate", `Bearer realm="rollcall"`)
	refuse(w, http.StatusUnauthorized, reasonCredentials, token+" is required")
}

func refuseTooMany(w http.ResponseWriter, wait time.Duration) {
	retryAfter(w, wait)
	refuse(w, http.StatusTooManyRequests, collector.RefusedRate, "too many requests; try again later")
}

// refuseUnavailable refuses a request that the collector cannot answer now.
func (s *Server) refuseUnavailable(w http.ResponseWriter, err error) {
	if limited, ok := errors.AsType[*collector.LimitError](err); ok {
		refuseTooMany(w, limited.Wait)
		return
	}
	s.log.Warn("Question could not be answered", "error", err.Error())
	retryAfter(w, busyRetry)
	refuse(w, http.StatusServiceUnavailable, collector.RefusedStore, "the collector cannot answer now; try again later")
}

// The least values of Retry-After.
const (
	busyRetry  = 30 * time.Second
	storeRetry = 2 * time.Minute
)

// retryAfter sets Retry-After to the wait and up to as much again, at random, so
// that refused clients do not return together.
func retryAfter(w http.ResponseWriter, wait time.Duration) {
	seconds := int64(wait/time.Second) + 1
	w.Header().Set("Retry-After", strconv.FormatInt(seconds+rand.Int64N(seconds+1), 10))
}
