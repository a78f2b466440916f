package agent

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"time"
)

const (
	// PathConsent is where clients read and change the decisions.
	PathConsent = "/v1/consent"

	// maxDecision bounds the body of a request, and consentTimeout the
	// time it takes to save a decision.
	maxDecision    = 1 << 10
	consentTimeout = 10 * time.Second
)

// Missing members of a decision change nothing.
type decision struct {
	Telemetry *bool `json:"telemetry"`
	Health    *bool `json:"health"`
}

func (a *Agent) serveConsent(w http.ResponseWriter, r *http.Request) {
	writeJSON(w, http.StatusOK, a.service.Decisions(r.Context()))
}

func (a *Agent) changeConsent(w http.ResponseWriter, r *http.Request) {
	d, err := readDecision(r)
	if err != nil {
		writeError(w, http.StatusBadRequest, err.Error())
		return
	}
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(consentTimeout + writeTimeout))
	ctx, cancel := context.WithTimeout(r.Context(), consentTimeout)
	defer cancel()
	if d.Telemetry != nil {
		err = a.service.SetConsent(ctx, *d.Telemetry)
	}
	if d.Health != nil && err == nil {
		err = a.service.SetHealthConsent(ctx, *d.Health)
	}
	if err != nil {
		writeError(w, http.StatusInternalServerError, err.Error())
		return
	}
	writeJSON(w, http.StatusOK, a.service.Decisions(ctx))
}

func readDecision(r *http.Request) (decision, error) {
	var d decision
	// Forms of other sites cannot have this type.
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return d, errors.New("the Content-Type is not application/json")
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxDecision+1))
	if err != nil || len(body) > maxDecision {
		return d, errors.New("the body is unreadable or longer than 1024 bytes")
	}
	if err := json.Unmarshal(body, &d); err != nil || d.Telemetry == nil && d.Health == nil {
		return d, errors.New(`the body is not a decision such as {"telemetry": false}`)
	}
	return d, nil
}
