package legacy

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/limit"
	"github.com/rollcall-dev/rollcall/report"
)

// commitTimeout bounds how long a report waits for the collector.
const commitTimeout = 10 * time.Second

func (h *Handler) heartbeat(w http.ResponseWriter, r *http.Request) {
	app, body, id, ok := h.read(w, r)
	if !ok || !h.allow(w, r, app, h.heartbeatLimit, id) {
		return
	}
	received := collector.Received{App: app.Num}
	received.Heartbeat, received.Dropped = heartbeatOf(body, app.Key, id, time.Now())
	if from, err := netip.ParseAddrPort(r.RemoteAddr); err == nil && h.opts.Country != nil {
		received.Country = h.opts.Country(from.Addr())
	}
	ctx, cancel := context.WithTimeout(r.Context(), commitTimeout)
	defer cancel()
	if _, err := h.opts.Collector.Heartbeat(ctx, received); err != nil {
		h.refuseError(w, app, err)
		return
	}
	writeJSON(w, http.StatusOK, map[string]string{"status": "ok"})
}

func (h *Handler) health(w http.ResponseWriter, r *http.Request) {
	app, body, id, ok := h.read(w, r)
	if !ok {
		return
	}
	list, ok := body["issues"].([]any)
	if !ok {
		h.refuseReport(w, app, string(report.CodeMissing), http.StatusBadRequest, "Missing issues")
		return
	}
	if !h.allow(w, r, app, h.healthLimit, id) {
		return
	}
	received, accepted := healthOf(body, list, app, id, time.Now())
	if accepted == 0 {
		writeJSON(w, http.StatusOK, outcome{Status: "ok"})
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), commitTimeout)
	defer cancel()
	receipt, err := h.opts.Collector.Health(ctx, received)
	switch {
	case err != nil:
		h.refuseError(w, app, err)
	case receipt.Counted == 0:
		writeJSON(w, http.StatusOK, outcome{Status: "ok", Duplicate: true})
	default:
		writeJSON(w, http.StatusOK, outcome{Status: "ok", Accepted: accepted})
	}
}

type outcome struct {
	Status    string `json:"status"`
	Accepted  int    `json:"accepted"`
	Duplicate bool   `json:"duplicate"`
}

var byteOrderMark = []byte("\ufeff")

// read reads a report, which must be a JSON object with an installation ID.
// Invalid UTF-8 is replaced, as by the worker.
func (h *Handler) read(w http.ResponseWriter, r *http.Request) (app collector.App, body object, id string, ok bool) {
	if app, ok = h.app(w); !ok {
		return app, nil, "", false
	}
	var data []byte
	var err error
	if r.ContentLength <= MaxBody {
		data, err = io.ReadAll(io.LimitReader(r.Body, MaxBody+1))
	}
	var value any
	var reason report.Code
	status, text := http.StatusBadRequest, ""
	switch {
	case max(r.ContentLength, int64(len(data))) > MaxBody:
		reason, status, text = report.CodeTooLarge, http.StatusRequestEntityTooLarge, "Payload too large"
	case err == nil && len(data) == 0:
		reason, text = report.CodeMissing, "Missing JSON body"
	case err != nil || json.Unmarshal(bytes.TrimPrefix(data, byteOrderMark), &value) != nil:
		reason, text = report.CodeNotJSON, "Invalid JSON body"
	default:
		if body, ok = value.(map[string]any); !ok {
			reason, text = report.CodeWrongType, "JSON body must be an object"
		} else if id = InstallationID(body.text("installation_id")); id == "" {
			reason, text = report.CodeMissing, "Missing installation_id"
		}
	}
	if reason != "" {
		h.refuseReport(w, app, string(reason), status, text)
	}
	return app, body, id, reason == ""
}

// allow enforces a limit for the address prefix and the installation.
func (h *Handler) allow(w http.ResponseWriter, r *http.Request, app collector.App, t *limit.Table, id string) bool {
	if _, ok := t.Take(limit.Client(r.RemoteAddr)); ok {
		if _, ok := t.Take(limit.Of("installation " + id)); ok {
			return true
		}
	}
	w.Header().Set("Retry-After", "60")
	h.refuseReport(w, app, collector.RefusedRate, http.StatusTooManyRequests, "Rate limit exceeded")
	return false
}

// refuseError refuses a report that the collector has not accepted.
func (h *Handler) refuseError(w http.ResponseWriter, app collector.App, err error) {
	status, text, reason := http.StatusServiceUnavailable, "Try again later", collector.RefusedStore
	switch {
	case errors.Is(err, collector.ErrGone):
		status, text, reason = http.StatusGone, "No more reports are accepted", collector.RefusedGone
	case errors.Is(err, collector.ErrNewLimit):
		status, text, reason = http.StatusTooManyRequests, "Rate limit exceeded", collector.RefusedNew
	case errors.Is(err, collector.ErrBusy), errors.Is(err, collector.ErrClosed):
		reason = collector.RefusedBusy
	}
	if status != http.StatusGone {
		w.Header().Set("Retry-After", "300")
	}
	h.refuseReport(w, app, reason, status, text)
}

// refuseReport refuses a report and counts the refusal.
func (h *Handler) refuseReport(w http.ResponseWriter, app collector.App, reason string, status int, text string) {
	h.opts.Collector.Refuse(app.Num, reason)
	refuse(w, status, text)
}

// An object is a JSON object of a client, with arbitrary values.
type object map[string]any

// text returns a value as trimmed text. It is empty if the value is missing,
// null, zero, false, or a list or object.
func (o object) text(key string) string {
	switch v := o[key].(type) {
	case string:
		return strings.TrimSpace(v)
	case float64:
		if v != 0 {
			return strconv.FormatFloat(v, 'f', -1, 64)
		}
	case bool:
		if v {
			return "true"
		}
	}
	return ""
}

func (o object) object(key string) object {
	inner, _ := o[key].(map[string]any)
	return inner
}

// time returns a value as a time, and whether it is one that a report can have.
func (o object) time(key string) (time.Time, bool) {
	t, err := time.Parse(time.RFC3339, o.text(key))
	if err != nil || t.UTC().Year() < 1970 || t.UTC().Year() > 9999 {
		return time.Time{}, false
	}
	return t.UTC().Truncate(time.Second), true
}

func (o object) sentAt(now time.Time) time.Time {
	if t, ok := o.time("timestamp"); ok {
		return t
	}
	return now.UTC().Truncate(time.Second)
}
