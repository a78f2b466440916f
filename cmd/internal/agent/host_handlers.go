package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/rollcall-dev/rollcall"
	"github.com/rollcall-dev/rollcall/page"
	"github.com/rollcall-dev/rollcall/report"
)

// The paths for the host.
const (
	PathFacts   = "/v1/facts"
	PathHost    = "/v1/host"
	PathFaults  = "/v1/faults"
	PathPreview = "/v1/preview"
	PathSend    = "/v1/send"
)

const (
	// maxFacts bounds the body of PUT /v1/facts, and maxBody that of others.
	maxFacts = rollcall.MaxHostValues / 2
	maxBody  = 4 << 10

	previewTimeout = 10 * time.Second
	sendTimeout    = 45 * time.Second
)

// A Reported is the answer to PUT /v1/facts: what is sent of the values, if the
// operator granted it.
type Reported struct {
	Facts report.Facts `json:"facts"`
}

// putFacts replaces the values of all facts.
func (a *Agent) putFacts(w http.ResponseWriter, r *http.Request) {
	if !a.permit(w, r, page.MayChange) {
		return
	}
	var values map[string]any
	err := readJSON(r, maxFacts, &values)
	if err == nil && values == nil {
		err = errors.New(`the body is not an object such as {"tls": true}`)
	}
	if err != nil {
		refuse(w, err)
		return
	}
	reported, err := a.opts.Host.checkFacts(values)
	if err != nil {
		refuse(w, err)
		return
	}
	if a.keep(w, r, func(set *hostValues) { set.Facts = values }) {
		writeJSON(w, http.StatusOK, Reported{reported})
	}
}

// A HostVersion is the body of PUT /v1/host, and the answer to it. Empty means
// the version of --host-version.
type HostVersion struct {
	Version string `json:"version"`
}

func (a *Agent) putHost(w http.ResponseWriter, r *http.Request) {
	if !a.permit(w, r, page.MayChange) {
		return
	}
	var host struct {
		Version *string `json:"version"`
	}
	if err := readJSON(r, maxBody, &host); err != nil {
		refuse(w, err)
		return
	}
	if host.Version == nil {
		refuse(w, &fieldError{"version", "missing"})
		return
	}
	version := strings.TrimSpace(*host.Version)
	if len(version) > report.MaxVersionLen || strings.ContainsFunc(version, func(c rune) bool { return c < ' ' || c > '~' }) {
		refuse(w, &fieldError{"version", fmt.Sprintf("not at most %d characters of printable ASCII", report.MaxVersionLen)})
		return
	}
	if a.keep(w, r, func(set *hostValues) { set.Version = version }) {
		writeJSON(w, http.StatusOK, HostVersion{version})
	}
}

// keep changes what the host set. If it cannot, it answers the request.
func (a *Agent) keep(w http.ResponseWriter, r *http.Request, edit func(*hostValues)) bool {
	ctx, cancel := extend(w, r, keepTimeout)
	defer cancel()
	if err := a.opts.Host.change(ctx, edit); err != nil {
		writeError(w, http.StatusInternalServerError, err.Error())
		return false
	}
	return true
}

// extend allows a request more time than others: timeout for the work, and the
// usual time for the answer.
func extend(w http.ResponseWriter, r *http.Request, timeout time.Duration) (context.Context, context.CancelFunc) {
	// A ResponseWriter without deadlines needs no later one.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(timeout + writeTimeout))
	return context.WithTimeout(r.Context(), timeout)
}

// A Fault is the body of POST /v1/faults: one occurrence of a [rollcall.Fault].
type Fault struct {
	Source    string            `json:"source"`
	Component string            `json:"component"`
	Reason    string            `json:"reason"`
	Stage     string            `json:"stage,omitempty"`
	Severity  report.Severity   `json:"severity,omitempty"`
	Context   map[string]string `json:"context,omitempty"`
}

// A Counted is the answer to POST /v1/faults. It is false once as many
// different faults are counted as a report can have.
type Counted struct {
	Counted bool `json:"counted"`
}

func (a *Agent) postFault(w http.ResponseWriter, r *http.Request) {
	if !a.permit(w, r, page.MayChange) {
		return
	}
	var f Fault
	err := readJSON(r, maxBody, &f)
	if err == nil {
		err = a.checkFault(f)
	}
	if err != nil {
		refuse(w, err)
		return
	}
	a.counting.Lock()
	defer a.counting.Unlock()
	before := a.service.Status().Reporting.FaultsLeftOut
	a.service.ReportFault(rollcall.Fault(f))
	writeJSON(w, http.StatusOK, Counted{a.service.Status().Reporting.FaultsLeftOut == before})
}

func (a *Agent) checkFault(f Fault) error {
	noCode := fmt.Sprintf("not a code: 1 to %d of a-z, 0-9, '.', '_' and '-', a letter or digit first", report.MaxCodeLen)
	for _, code := range []struct{ field, text string }{
		{"source", f.Source}, {"component", f.Component}, {"reason", f.Reason}, {"stage", f.Stage},
	} {
		if !report.ValidCode(code.text) && (code.field != "stage" || code.text != "") {
			return &fieldError{code.field, noCode}
		}
	}
	severities := []report.Severity{report.SeverityInfo, report.SeverityWarning, report.SeverityError, report.SeverityCritical}
	if f.Severity != "" && !slices.Contains(severities, f.Severity) {
		return &fieldError{"severity", "not info, warning, error or critical"}
	}
	for key, text := range f.Context {
		switch {
		case !slices.Contains(a.opts.FaultContext, key):
			return &fieldError{"context." + shortened(key), "not a key of --fault-context"}
		case !report.ValidCode(text):
			return &fieldError{"context." + key, noCode}
		}
	}
	return nil
}

func shortened(name string) string { return name[:min(len(name), report.MaxNameLen)] }

func (a *Agent) servePreview(w http.ResponseWriter, r *http.Request) {
	if !a.permit(w, r, page.MayChange) {
		return
	}
	ctx, cancel := extend(w, r, previewTimeout)
	defer cancel()
	made, err := a.service.Preview(ctx)
	if err != nil {
		writeError(w, http.StatusInternalServerError, err.Error())
		return
	}
	writeJSON(w, http.StatusOK, NewPreview(made, true))
}

// A Sent is the answer to POST /v1/send.
type Sent struct {
	Sent bool `json:"sent"`
	// State is where it was recorded.
	State string `json:"state,omitempty"`
}

func (a *Agent) postSend(w http.ResponseWriter, r *http.Request) {
	if !a.permit(w, r, page.MayChange) {
		return
	}
	ctx, cancel := extend(w, r, sendTimeout)
	defer cancel()
	if err := a.service.SendNow(ctx); err != nil {
		refuseSending(w, err)
		return
	}
	writeJSON(w, http.StatusOK, Sent{Sent: true, State: a.service.Files().State})
}

// refuseSending answers a request to send that failed: nothing may be sent, or the
// collector was not reached, or refused.
func refuseSending(w http.ResponseWriter, err error) {
	var failed *rollcall.SendError
	switch {
	case errors.As(err, &failed):
		writeJSON(w, http.StatusBadGateway, errorBody{Error: failed.Error(), Status: failed.Status})
	case errors.Is(err, rollcall.ErrWithheld), errors.Is(err, rollcall.ErrNoEndpoint), errors.Is(err, rollcall.ErrNoUpdateCheck):
		writeError(w, http.StatusConflict, err.Error())
	default:
		writeError(w, http.StatusServiceUnavailable, err.Error())
	}
}

// refuse answers a request that has a mistake in it.
func refuse(w http.ResponseWriter, err error) {
	body := errorBody{Error: err.Error()}
	if wrong, ok := errors.AsType[*fieldError](err); ok {
		body.Field = wrong.field
	}
	writeJSON(w, http.StatusBadRequest, body)
}

// readBody reads a body of JSON of at most limit bytes.
func readBody(r *http.Request, limit int) ([]byte, error) {
	// Forms of other sites cannot have this type.
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return nil, errors.New("the Content-Type is not application/json")
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, int64(limit)+1))
	if err != nil || len(body) > limit {
		return nil, fmt.Errorf("the body is unreadable or longer than %d bytes", limit)
	}
	return body, nil
}

// readJSON reads a body of at most limit bytes. Fields that target does not
// have are mistakes.
func readJSON(r *http.Request, limit int, target any) error {
	body, err := readBody(r, limit)
	if err != nil {
		return err
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(target); err != nil {
		if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok && wrong.Field != "" {
			return &fieldError{wrong.Field, "a JSON " + wrong.Value + " is not what it takes"}
		}
		return fmt.Errorf("the body is not understood: %w", err)
	}
	if _, err := decoder.Token(); err != io.EOF {
		return errors.New("the body is more than one JSON value")
	}
	return nil
}
