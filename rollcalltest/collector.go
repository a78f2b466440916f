package rollcalltest

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/report"
)

const (
	heartbeatPath     = "/v1/heartbeat"
	healthPath        = "/v1/health"
	releasesPath      = "/v1/releases/"
	installationsPath = "/v1/installations/"
)

// A Request is one that a [Collector] received.
type Request struct {
	Method string
	Path   string
	Query  string
	Header http.Header
	// Body is what was sent, byte for byte, up to report.MaxBodyBytes and one.
	Body []byte
	// Status is the status of the answer; 0 before there is one.
	Status int
}

// A Collector is a collector on loopback. It records requests, validates
// reports as a real one does, and counts nothing. It is safe for concurrent
// use.
type Collector struct {
	// URL is the endpoint to configure.
	URL string

	server *httptest.Server

	mu       sync.Mutex
	requests []Request
	releases report.Releases
	answer   func(http.ResponseWriter, *http.Request) bool
	arrived  chan struct{} // closed and replaced at each request
}

// NewCollector starts a collector and closes it at the end of the test.
func NewCollector(t testing.TB) *Collector {
	t.Helper()
	c := &Collector{arrived: make(chan struct{})}
	c.server = httptest.NewServer(http.HandlerFunc(c.serve))
	c.URL = c.server.URL
	t.Cleanup(c.Close)
	return c
}

// Close closes all connections and stops the collector. It may be called more
// than once.
func (c *Collector) Close() {
	c.server.CloseClientConnections()
	c.server.Close()
}

// Answer makes the collector answer requests, once they are recorded, with
// handler. If that returns false, or is nil, the collector answers itself.
func (c *Collector) Answer(handler func(http.ResponseWriter, *http.Request) bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.answer = handler
}

// SetReleases sets what the collector answers to the update check, on every
// channel of every app. At first that is an empty list.
func (c *Collector) SetReleases(releases report.Releases) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.releases = releases
}

// UpdateChecks returns how often the collector answered the update check.
func (c *Collector) UpdateChecks() (n int) {
	for _, r := range c.Requests() {
		if strings.HasPrefix(r.Path, releasesPath) && (isSuccess(r.Status) || r.Status == http.StatusNotModified) {
			n++
		}
	}
	return n
}

// Requests returns all requests in the order of their arrival.
func (c *Collector) Requests() []Request {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.requests)
}

// Arrived returns a channel that is closed when the next request arrives.
func (c *Collector) Arrived() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.arrived
}

// Heartbeats returns the heartbeats that were accepted.
func (c *Collector) Heartbeats() []report.Heartbeat {
	return accepted(c, heartbeatPath, report.ParseHeartbeat)
}

// HealthReports returns the health reports that were accepted.
func (c *Collector) HealthReports() []report.HealthReport {
	return accepted(c, healthPath, report.ParseHealth)
}

func accepted[T any](c *Collector, path string, parse func([]byte) (T, report.Dropped, error)) []T {
	var reports []T
	for _, r := range c.Requests() {
		if r.Path != path || !isSuccess(r.Status) {
			continue
		}
		if parsed, _, err := parse(r.Body); err == nil {
			reports = append(reports, parsed)
		}
	}
	return reports
}

// Forgotten returns the IDs of the installations that were deleted.
func (c *Collector) Forgotten() []string {
	var ids []string
	for _, r := range c.Requests() {
		if id, ok := strings.CutPrefix(r.Path, installationsPath); ok && r.Method == http.MethodDelete && isSuccess(r.Status) {
			ids = append(ids, id)
		}
	}
	return ids
}

func isSuccess(status int) bool { return status >= 200 && status < 300 }

// serve records a request and answers it. The request is recorded first, so
// that a test sees it while the answer hangs, and the status before it is
// sent, so that a client that received it finds it here.
func (c *Collector) serve(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(io.LimitReader(r.Body, report.MaxBodyBytes+1))
	c.mu.Lock()
	at, answer := len(c.requests), c.answer
	c.requests = append(c.requests, Request{Method: r.Method, Path: r.URL.Path, Query: r.URL.RawQuery, Header: r.Header.Clone(), Body: body})
	close(c.arrived)
	c.arrived = make(chan struct{})
	c.mu.Unlock()

	recorder := &statusRecorder{ResponseWriter: w, record: func(status int) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.requests[at].Status = status
	}}
	if answer == nil || !answer(recorder, r) {
		c.validate(recorder, r, body)
	}
}

// validate answers as a collector does that accepts every app.
func (c *Collector) validate(w http.ResponseWriter, r *http.Request, body []byte) {
	var err error
	switch {
	case r.Method == http.MethodPost && r.URL.Path == heartbeatPath:
		_, _, err = report.ParseHeartbeat(body)
	case r.Method == http.MethodPost && r.URL.Path == healthPath:
		_, _, err = report.ParseHealth(body)
	case r.Method == http.MethodGet && strings.HasPrefix(r.URL.Path, releasesPath):
		c.serveReleases(w, r)
		return
	case r.Method == http.MethodDelete && strings.HasPrefix(r.URL.Path, installationsPath):
	default:
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		json.NewEncoder(w).Encode(map[string]string{"error": err.Error()})
		return
	}
	json.NewEncoder(w).Encode(map[string]string{"status": "ok"})
}

// serveReleases answers as in docs/protocol.md.
func (c *Collector) serveReleases(w http.ResponseWriter, r *http.Request) {
	type release struct {
		Channel  string                 `json:"channel"`
		Version  string                 `json:"version"`
		URL      string                 `json:"url,omitempty"`
		Date     string                 `json:"date,omitempty"`
		Severity report.ReleaseSeverity `json:"severity,omitempty"`
	}
	answer := struct {
		Releases []release           `json:"releases"`
		Order    report.VersionOrder `json:"version_order,omitempty"`
	}{Releases: []release{}}
	c.mu.Lock()
	for _, one := range c.releases.List {
		published := release{Channel: r.URL.Query().Get("channel"), Version: one.Version, URL: one.URL, Severity: one.Severity}
		if !one.Date.IsZero() {
			published.Date = one.Date.UTC().Format(time.DateOnly)
		}
		answer.Releases = append(answer.Releases, published)
	}
	answer.Order = c.releases.Order
	c.mu.Unlock()
	body, _ := json.Marshal(answer)
	tag := fmt.Sprintf("%q", fmt.Sprintf("%x", sha256.Sum256(body))[:16])
	w.Header().Set("ETag", tag)
	w.Header().Set("Content-Type", "application/json")
	if r.Header.Get("If-None-Match") == tag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	w.Write(body)
}

// A statusRecorder records the status of an answer before it is sent.
type statusRecorder struct {
	http.ResponseWriter
	record  func(status int)
	written bool
}

func (r *statusRecorder) WriteHeader(status int) {
	if !r.written {
		r.written = true
		r.record(status)
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *statusRecorder) Write(b []byte) (int, error) {
	if !r.written {
		r.WriteHeader(http.StatusOK)
	}
	return r.ResponseWriter.Write(b)
}

// Unwrap is for http.ResponseController.
func (r *statusRecorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }
