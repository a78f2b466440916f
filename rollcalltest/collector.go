package rollcalltest

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"

	"github.com/rollcall-dev/rollcall/report"
)

// A Request is one that a [Collector] got.
type Request struct {
	Method string
	Path   string
	Header http.Header
	// Body is what was sent, byte for byte; at most report.MaxBodyBytes are read.
	Body []byte
	// Status is what the collector answered.
	Status int
}

// A Collector is a collector on loopback that records what it gets, judges it as a real one does, and counts nothing. It
// is safe for concurrent use.
type Collector struct {
	// URL is the endpoint to configure.
	URL string

	server *httptest.Server

	mu       sync.Mutex
	requests []Request
	answer   func(http.ResponseWriter, *http.Request) bool
	arrived  chan struct{} // closed and renewed with each request
}

// A cleaner is a *testing.T, B or F.
type cleaner interface {
	Helper()
	Cleanup(func())
}

// NewCollector starts a collector, which ends with the test.
func NewCollector(t cleaner) *Collector {
	t.Helper()
	c := &Collector{arrived: make(chan struct{})}
	c.server = httptest.NewServer(http.HandlerFunc(c.serve))
	c.URL = c.server.URL
	t.Cleanup(c.Close)
	return c
}

// Close ends the collector.
func (c *Collector) Close() {
	c.server.CloseClientConnections()
	c.server.Close()
}

// Answer lets the collector answer as the handler does, if that returns true, after it has recorded the request. Nil
// takes it back.
func (c *Collector) Answer(handler func(http.ResponseWriter, *http.Request) bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.answer = handler
}

// Requests gives all requests in the order in which they came.
func (c *Collector) Requests() []Request {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.requests)
}

// Arrived is closed with the next request that comes.
func (c *Collector) Arrived() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.arrived
}

// Heartbeats gives those that were accepted.
func (c *Collector) Heartbeats() []report.Heartbeat {
	return accepted(c, "/v1/heartbeat", func(body []byte) (report.Heartbeat, error) {
		h, _, err := report.ParseHeartbeat(body)
		return h, err
	})
}

// HealthReports gives those that were accepted.
func (c *Collector) HealthReports() []report.HealthReport {
	return accepted(c, "/v1/health", func(body []byte) (report.HealthReport, error) {
		h, _, err := report.ParseHealth(body)
		return h, err
	})
}

// Forgotten gives the IDs of the installations that asked to be deleted.
func (c *Collector) Forgotten() []string {
	var ids []string
	for _, r := range c.Requests() {
		if id, ok := strings.CutPrefix(r.Path, installationsPath); ok && r.Method == http.MethodDelete && isSuccess(r.Status) {
			ids = append(ids, id)
		}
	}
	return ids
}

const installationsPath = "/v1/installations/"

func accepted[T any](c *Collector, path string, parse func([]byte) (T, error)) []T {
	var reports []T
	for _, r := range c.Requests() {
		if r.Path != path || !isSuccess(r.Status) {
			continue
		}
		if parsed, err := parse(r.Body); err == nil {
			reports = append(reports, parsed)
		}
	}
	return reports
}

func isSuccess(status int) bool { return status >= 200 && status < 300 }

// serve records a request and answers it.
func (c *Collector) serve(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(io.LimitReader(r.Body, report.MaxBodyBytes+1))
	c.mu.Lock()
	answer := c.answer
	c.mu.Unlock()
	// The request is recorded first, so that a test which hangs the answer sees it, and the status before it is sent, so
	// that a client which has seen it finds it here.
	at := c.record(Request{Method: r.Method, Path: r.URL.Path, Header: r.Header.Clone(), Body: body})
	recorder := &statusRecorder{ResponseWriter: w, record: func(status int) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.requests[at].Status = status
	}}
	if answer == nil || !answer(recorder, r) {
		judge(recorder, r, body)
	}
}

func (c *Collector) record(r Request) (at int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.requests = append(c.requests, r)
	close(c.arrived)
	c.arrived = make(chan struct{})
	return len(c.requests) - 1
}

// judge answers as a collector does that accepts every app.
func judge(w http.ResponseWriter, r *http.Request, body []byte) {
	var err error
	switch {
	case r.Method == http.MethodPost && r.URL.Path == "/v1/heartbeat":
		_, _, err = report.ParseHeartbeat(body)
	case r.Method == http.MethodPost && r.URL.Path == "/v1/health":
		_, _, err = report.ParseHealth(body)
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
