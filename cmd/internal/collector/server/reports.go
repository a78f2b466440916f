package server

import (
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/report"
)

// commitTimeout bounds how long a report waits for the collector.
const commitTimeout = 10 * time.Second

func (s *Server) heartbeat(w http.ResponseWriter, r *http.Request) {
	h, dropped, ok := receive(s, w, r, report.MaxHeartbeatBytes, report.ParseHeartbeat)
	if !ok {
		return
	}
	from := clientAddr(r, s.opts.TrustedProxies)
	ctx, cancel := context.WithTimeout(r.Context(), commitTimeout)
	defer cancel()
	receipt, err := s.counter.Heartbeat(ctx, collector.Received{
		Heartbeat: h, Dropped: dropped, Country: s.country(r, from), Prefix: s.opts.Prefix(from),
		Exported: r.URL.Query().Get("exported") == "true",
	})
	s.finish(w, h.App, "heartbeat", receipt, err)
}

func (s *Server) health(w http.ResponseWriter, r *http.Request) {
	h, dropped, ok := receive(s, w, r, report.MaxHealthBytes, report.ParseHealth)
	if !ok {
		return
	}
	from := clientAddr(r, s.opts.TrustedProxies)
	ctx, cancel := context.WithTimeout(r.Context(), commitTimeout)
	defer cancel()
	receipt, err := s.counter.Health(ctx, collector.ReceivedHealth{Report: h, Dropped: dropped, Prefix: s.opts.Prefix(from)})
	s.finish(w, h.App, "health", receipt, err)
}

var buffers = sync.Pool{New: func() any { b := make([]byte, 0, 4<<10); return &b }}

// receive reads and parses the body of a report: at most one byte more than its
// limit. If that fails, it refuses the report and returns false.
func receive[T any](
	s *Server, w http.ResponseWriter, r *http.Request, limit int, parse func([]byte) (T, report.Dropped, error),
) (parsed T, dropped report.Dropped, ok bool) {
	if !s.accepts(w, r) {
		return parsed, dropped, false
	}
	buffer := buffers.Get().(*[]byte)
	defer buffers.Put(buffer)
	var data []byte
	var err error
	if r.ContentLength <= int64(limit) {
		data, err = readAll(r.Body, (*buffer)[:0], limit+1)
		*buffer = data[:0]
	}
	switch {
	case err != nil:
		s.refuseReport(w, "", http.StatusBadRequest, "body", "the body is incomplete")
		return parsed, dropped, false
	case max(r.ContentLength, int64(len(data))) > int64(limit):
		w.Header().Set("Connection", "close") // the rest of the body is not read
		s.refuseReport(w, "", http.StatusRequestEntityTooLarge, string(report.CodeTooLarge),
			"the body is larger than "+strconv.Itoa(limit)+" bytes")
		return parsed, dropped, false
	}
	if parsed, dropped, err = parse(data); err != nil {
		code := "invalid"
		if invalid, ok := errors.AsType[*report.InvalidError](err); ok {
			code = string(invalid.Reason)
		}
		s.refuseReport(w, "", http.StatusBadRequest, code, err.Error())
	}
	return parsed, dropped, err == nil
}

func (s *Server) accepts(w http.ResponseWriter, r *http.Request) bool {
	if !s.sameSite(w, r) {
		s.countRefusal("", reasonOrigin)
		return false
	}
	if encoding := r.Header.Get("Content-Encoding"); encoding != "" && encoding != "identity" {
		s.refuseReport(w, "", http.StatusUnsupportedMediaType, "content_encoding", "the body must not be compressed")
		return false
	}
	if kind := r.Header.Get("Content-Type"); kind != "" && kind != "application/json" {
		if media, _, err := mime.ParseMediaType(kind); err != nil || media != "application/json" {
			s.refuseReport(w, "", http.StatusUnsupportedMediaType, "content_type", "the body must be application/json")
			return false
		}
	}
	return true
}

// readAll reads into the buffer until it has limit bytes.
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

var (
	acceptedBody   = []byte(`{"status":"ok"}` + "\n")
	acceptedLength = []string{strconv.Itoa(len(acceptedBody))}
)

// finish answers a report that the collector has accepted or refused.
func (s *Server) finish(w http.ResponseWriter, app, kind string, receipt collector.Receipt, err error) {
	if err == nil {
		s.metrics.countAccepted(kind, receipt)
		header := w.Header()
		header["Content-Type"] = jsonType
		header["Content-Length"] = acceptedLength
		w.WriteHeader(http.StatusOK)
		w.Write(acceptedBody)
		return
	}
	status, reason, text := http.StatusServiceUnavailable, collector.RefusedStore, "the collector cannot write now; try again later"
	limited, isLimited := errors.AsType[*collector.LimitError](err)
	switch {
	case isLimited:
		status, reason, text = http.StatusTooManyRequests, limited.Reason, "too many reports; try again later"
		retryAfter(w, limited.Wait)
		s.flood.Note("reports")
	case errors.Is(err, collector.ErrUnknownApp):
		app, status, reason, text = "", http.StatusNotFound, collector.RefusedUnknownApp, "this collector does not know the app"
	case errors.Is(err, collector.ErrGone):
		status, reason, text = http.StatusGone, collector.RefusedGone, "this app no longer accepts reports"
	case errors.Is(err, collector.ErrRefusedID):
		status, reason, text = http.StatusForbidden, collector.RefusedByID, "this installation ID is refused: many installations share it"
	case errors.Is(err, collector.ErrNewLimit):
		status, reason, text = http.StatusTooManyRequests, collector.RefusedNew, "no more new installations are accepted today"
		retryAfter(w, time.Hour)
	case errors.Is(err, collector.ErrBusy):
		reason, text = collector.RefusedBusy, "the collector is busy; try again later"
		retryAfter(w, busyRetry)
	case errors.Is(err, collector.ErrClosed):
		reason, text = collector.RefusedBusy, "the collector is shutting down; try again later"
		retryAfter(w, busyRetry)
	default:
		retryAfter(w, storeRetry)
		if !errors.Is(err, collector.ErrUnavailable) && !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled) {
			s.log.Error("Report could not be counted", "error", err.Error())
		}
	}
	s.refuseReport(w, app, status, reason, text)
}

// refuseReport refuses a report and counts the refusal.
func (s *Server) refuseReport(w http.ResponseWriter, app string, status int, reason, text string) {
	s.countRefusal(app, reason)
	refuse(w, status, reason, text)
}

func (s *Server) countRefusal(app, reason string) {
	s.metrics.refused.WithLabelValues(reason).Inc()
	s.counter.Refuse(app, reason)
}
