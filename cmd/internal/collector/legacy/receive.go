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
	"github.com/rollcall-dev/rollcall/report"
)

// commitTimeout bounds how long a report waits for the collector.
const commitTimeout = 10 * time.Second

func (h *Handler) heartbeat(w http.ResponseWriter, r *http.Request) {
	app, body, id, ok := h.read(w, r)
	if !ok {
		return
	}
	received := collector.Received{Legacy: true, Prefix: h.prefix(r)}
	received.Heartbeat, received.Dropped = heartbeatOf(body, app.Key, id)
	if h.opts.Country != nil {
		received.Country = h.opts.Country(r)
	}
	ctx, cancel := context.WithTimeout(r.Context(), commitTimeout)
	defer cancel()
	if _, err := h.opts.Counter.Heartbeat(ctx, received); err != nil {
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
	received, accepted := healthOf(body, list, app, id, time.Now())
	if accepted == 0 {
		writeJSON(w, http.StatusOK, outcome{Status: "ok"})
		return
	}
	received.Prefix = h.prefix(r)
	ctx, cancel := context.WithTimeout(r.Context(), commitTimeout)
	defer cancel()
	receipt, err := h.opts.Counter.Health(ctx, received)
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
	if app, ok = h.app(w, r); !ok {
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
	case err == nil && r.ContentLength == 0 && r.Header.Get("Content-Length") == "":
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

// prefix returns what stands for the network of a client.
func (h *Handler) prefix(r *http.Request) uint64 {
	addr, _ := netip.ParseAddrPort(r.RemoteAddr)
	return h.opts.Prefix(addr.Addr())
}

// storeRetry is the Retry-After while the collector does not write, in seconds.
const storeRetry = "300"

// refuseError refuses a report that the collector has not accepted.
func (h *Handler) refuseError(w http.ResponseWriter, app collector.App, err error) {
	status, text, reason, retry := http.StatusServiceUnavailable, "Try again later", collector.RefusedStore, storeRetry
	limited, isLimited := errors.AsType[*collector.LimitError](err)
	switch {
	case isLimited:
		status, text, reason, retry = http.StatusTooManyRequests, "Rate limit exceeded", limited.Reason, "60"
	case errors.Is(err, collector.ErrGone):
		status, text, reason = http.StatusGone, "No more reports are accepted", collector.RefusedGone
	case errors.Is(err, collector.ErrRefusedID):
		status, text, reason = http.StatusForbidden, "Installation ID is refused", collector.RefusedByID
	case errors.Is(err, collector.ErrNewLimit): // like the worker's own limit, until tomorrow
		text, reason, retry = "Daily ingestion budget exhausted", collector.RefusedNew, "86400"
	case errors.Is(err, collector.ErrBusy), errors.Is(err, collector.ErrClosed):
		reason = collector.RefusedBusy
	}
	if status != http.StatusGone && status != http.StatusForbidden {
		w.Header().Set("Retry-After", retry)
	}
	h.refuseReport(w, app, reason, status, text)
}

// refuseReport refuses a report and counts the refusal.
func (h *Handler) refuseReport(w http.ResponseWriter, app collector.App, reason string, status int, text string) {
	h.opts.Counter.Refuse(app.Key, reason)
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

// sentAt returns when the report was made, or zero if it does not say: then it
// says nothing about the collector's clock either.
func (o object) sentAt() time.Time {
	t, _ := o.time("timestamp")
	return t
}
