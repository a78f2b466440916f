package server

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"mime"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/report"
)

// bodies are buffers for the bodies of reports.
var bodies = sync.Pool{New: func() any { b := make([]byte, 0, 4<<10); return &b }}

var accepted = []byte(`{"status":"ok"}` + "\n")

// heartbeat takes a heartbeat.
func (s *Server) heartbeat(w http.ResponseWriter, r *http.Request) {
	from := s.sender(r)
	body, done, ok := s.body(w, r, report.MaxHeartbeatBytes)
	if !ok {
		return
	}
	h, dropped, err := report.ParseHeartbeat(body)
	done()
	if err != nil {
		s.invalid(w, err)
		return
	}
	app, ok := s.admit(w, r, from, h.App, h.InstallationID)
	if !ok {
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), commitWait)
	defer cancel()
	receipt, err := s.c.Heartbeat(ctx, collector.Received{App: app.Num, Heartbeat: h, Dropped: dropped, Country: s.country(from)})
	s.finish(w, app.Num, "heartbeat", receipt, err)
}

// health takes a health report.
func (s *Server) health(w http.ResponseWriter, r *http.Request) {
	from := s.sender(r)
	body, done, ok := s.body(w, r, report.MaxHealthBytes)
	if !ok {
		return
	}
	h, dropped, err := report.ParseHealth(body)
	done()
	if err != nil {
		s.invalid(w, err)
		return
	}
	app, ok := s.admit(w, r, from, h.App, h.InstallationID)
	if !ok {
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), commitWait)
	defer cancel()
	receipt, err := s.c.Health(ctx, collector.ReceivedHealth{App: app.Num, Report: h, Dropped: dropped})
	s.finish(w, app.Num, "health", receipt, err)
}

// body reads a report's body, no more than its limit and one byte. Done gives the buffer back: nothing of it is kept.
func (s *Server) body(w http.ResponseWriter, r *http.Request, limit int) (body []byte, done func(), ok bool) {
	if !s.ownSite(w, r) {
		s.refused(0, refusedOrigin)
		return nil, nil, false
	}
	if encoding := r.Header.Get("Content-Encoding"); encoding != "" && encoding != "identity" {
		s.refused(0, "content_encoding")
		refuse(w, http.StatusUnsupportedMediaType, "content_encoding", "bodies are not compressed")
		return nil, nil, false
	}
	if kind := r.Header.Get("Content-Type"); kind != "" && kind != "application/json" {
		if media, _, err := mime.ParseMediaType(kind); err != nil || media != "application/json" {
			s.refused(0, "content_type")
			refuse(w, http.StatusUnsupportedMediaType, "content_type", "the body is to be application/json")
			return nil, nil, false
		}
	}
	if r.ContentLength > int64(limit) {
		s.tooLarge(w, limit)
		return nil, nil, false
	}
	buffer := bodies.Get().(*[]byte)
	done = func() { bodies.Put(buffer) }
	data, err := readAll(r.Body, (*buffer)[:0], limit+1)
	*buffer = data[:0]
	switch {
	case err != nil:
		done()
		s.refused(0, "body")
		refuse(w, http.StatusBadRequest, "body", "the body did not arrive whole")
		return nil, nil, false
	case len(data) > limit:
		done()
		s.tooLarge(w, limit)
		return nil, nil, false
	}
	return data, done, true
}

func (s *Server) tooLarge(w http.ResponseWriter, limit int) {
	s.refused(0, string(report.CodeTooLarge))
	// The rest is not read: the connection ends.
	w.Header().Set("Connection", "close")
	refuse(w, http.StatusRequestEntityTooLarge, string(report.CodeTooLarge), "the body has more than "+strconv.Itoa(limit)+" bytes")
}

// readAll reads up to limit bytes behind what is in the buffer.
func readAll(from io.Reader, buffer []byte, limit int) ([]byte, error) {
	for len(buffer) < limit {
		if len(buffer) == cap(buffer) {
			buffer = append(buffer, 0)[:len(buffer)]
		}
		n, err := from.Read(buffer[len(buffer):min(cap(buffer), limit)])
		buffer = buffer[:len(buffer)+n]
		if errors.Is(err, io.EOF) {
			return buffer, nil
		}
		if err != nil {
			return buffer, err
		}
	}
	return buffer, nil
}

// invalid refuses a report that breaks the contract.
func (s *Server) invalid(w http.ResponseWriter, err error) {
	code := "invalid"
	if invalid, ok := errors.AsType[*report.InvalidError](err); ok {
		code = string(invalid.Reason)
	}
	s.refused(0, code)
	refuse(w, http.StatusBadRequest, code, err.Error())
}

// admit finds the app of a report and holds the sender to the limits. Installations that are known have a share of their
// own, which no number of unknown ones takes away.
func (s *Server) admit(w http.ResponseWriter, r *http.Request, from sender, key, id string) (collector.App, bool) {
	app, ok := s.c.App(key)
	if !ok {
		s.refused(0, collector.RefusedUnknownApp)
		refuse(w, http.StatusNotFound, collector.RefusedUnknownApp, "this collector does not know the app")
		return app, false
	}
	if app.Gone {
		s.refused(app.Num, collector.RefusedGone)
		refuse(w, http.StatusGone, collector.RefusedGone, "nothing more is wanted from this app")
		return app, false
	}
	ctx, cancel := context.WithTimeout(r.Context(), commitWait)
	defer cancel()
	known, err := s.c.Known(ctx, app.Num, id)
	if err != nil {
		s.finish(w, app.Num, "", collector.Receipt{}, err)
		return app, false
	}
	wait, reason := s.limits.take(from.key, id, known)
	if reason != "" {
		s.refused(app.Num, reason)
		retryAfter(w, wait)
		refuse(w, http.StatusTooManyRequests, reason, "too many reports; try again later")
		return app, false
	}
	return app, true
}

// finish answers a report that was handed to the collector.
func (s *Server) finish(w http.ResponseWriter, app collector.AppNum, kind string, receipt collector.Receipt, err error) {
	if err == nil {
		s.metrics.accepted(kind, receipt)
		header := w.Header()
		header["Content-Type"] = jsonType
		header["Content-Length"] = acceptedLength
		w.WriteHeader(http.StatusOK)
		w.Write(accepted)
		return
	}
	status, reason, text := http.StatusServiceUnavailable, collector.RefusedStore, "the collector cannot write now; try again later"
	switch {
	case errors.Is(err, collector.ErrUnknownApp):
		status, reason, text = http.StatusNotFound, collector.RefusedUnknownApp, "this collector does not know the app"
	case errors.Is(err, collector.ErrGone):
		status, reason, text = http.StatusGone, collector.RefusedGone, "nothing more is wanted from this app"
	case errors.Is(err, collector.ErrNewLimit):
		status, reason, text = http.StatusTooManyRequests, collector.RefusedNew, "no more new installations are taken today"
		retryAfter(w, time.Hour)
	case errors.Is(err, collector.ErrBusy):
		reason, text = collector.RefusedBusy, "too much to do; try again later"
		retryAfter(w, busyRetry)
	case errors.Is(err, collector.ErrClosed):
		reason, text = collector.RefusedBusy, "the collector is about to end; try again later"
		retryAfter(w, busyRetry)
	default:
		retryAfter(w, storeRetry)
		if !errors.Is(err, collector.ErrUnavailable) && !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled) {
			s.log.Error("Report could not be counted", "error", err.Error())
		}
	}
	s.refused(app, reason)
	refuse(w, status, reason, text)
}

// What Retry-After says at least; up to as much again is added at random, so that those who were refused do not come back
// together.
const (
	busyRetry  = 30 * time.Second
	storeRetry = 2 * time.Minute
)

func retryAfter(w http.ResponseWriter, wait time.Duration) {
	seconds := int64(wait/time.Second) + 1
	w.Header().Set("Retry-After", strconv.FormatInt(seconds+rand.Int64N(seconds+1), 10))
}

func (s *Server) refused(app collector.AppNum, reason string) {
	s.metrics.refuse(reason)
	s.c.Refuse(app, reason)
}

var (
	jsonType       = []string{"application/json"}
	acceptedLength = []string{strconv.Itoa(len(accepted))}
)

// A refusal is the body of an answer that is not a success.
type refusal struct {
	Error  string `json:"error"`
	Reason string `json:"reason"`
}

func refuse(w http.ResponseWriter, status int, reason, text string) {
	w.Header()["Content-Type"] = jsonType
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(refusal{text, reason})
}
