package agent

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"time"

	"github.com/rollcall-dev/rollcall"
)

const (
	// PathConsent is where clients read and change the operator's
	// decisions.
	PathConsent = "/v1/consent"

	// maxDecision bounds the body of a request, and consentTimeout the
	// time it takes to save a decision.
	maxDecision    = 1 << 10
	consentTimeout = 10 * time.Second
)

type consenter interface {
	Decisions(ctx context.Context) rollcall.Decisions
	SetConsent(ctx context.Context, granted bool) error
	SetHealthConsent(ctx context.Context, granted bool) error
}

var _ consenter = (*rollcall.Service)(nil)

// Missing members of a decision change nothing.
type decision struct {
	Telemetry *bool `json:"telemetry"`
	Health    *bool `json:"health"`
}

func serveConsent(s consenter) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		writeJSON(w, http.StatusOK, s.Decisions(r.Context()))
	}
}

func takeConsent(s consenter) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		d, err := readDecision(r)
		if err != nil {
			writeError(w, http.StatusBadRequest, err.Error())
			return
		}
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(consentTimeout + writeTimeout))
		ctx, cancel := context.WithTimeout(r.Context(), consentTimeout)
		defer cancel()
		for _, change := range []struct {
			granted *bool
			set     func(context.Context, bool) error
		}{{d.Telemetry, s.SetConsent}, {d.Health, s.SetHealthConsent}} {
			if change.granted == nil {
				continue
			}
			if err := change.set(ctx, *change.granted); err != nil {
				writeError(w, http.StatusInternalServerError, err.Error())
				return
			}
		}
		writeJSON(w, http.StatusOK, s.Decisions(ctx))
	}
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
