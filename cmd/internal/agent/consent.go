package agent

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/rollcall-dev/rollcall"
	"github.com/rollcall-dev/rollcall/page"
)

const (
	// PathConsent is where clients read and change the decisions.
	PathConsent = "/v1/consent"

	// maxDecision bounds the body of a request, and consentTimeout the
	// time it takes to save a decision.
	maxDecision    = 1 << 10
	consentTimeout = 10 * time.Second
)

const (
	// freshFor is how long a status shows the decisions as read before, and
	// freshenWait how long it waits for them to be read again. A disk that
	// takes longer is waited for in the background.
	freshFor    = time.Second
	freshenWait = 250 * time.Millisecond
)

// freshen reads the operator's decisions again, which another process may have
// changed. At most one reading is in progress.
func (a *Agent) freshen(ctx context.Context) {
	a.freshening.Lock()
	if !a.reading() && time.Since(a.freshAt) >= freshFor {
		done := make(chan struct{})
		a.fresh, a.freshAt = done, time.Now()
		go func() {
			defer close(done)
			a.service.Decisions(a.stopping) // takes two seconds at most
		}()
	}
	done := a.fresh
	a.freshening.Unlock()
	select {
	case <-done:
	case <-time.After(freshenWait):
	case <-ctx.Done():
	}
}

// reading reports whether the decisions are being read. The caller holds
// freshening.
func (a *Agent) reading() bool {
	select {
	case <-a.fresh:
		return false
	default:
		return a.fresh != nil
	}
}

// A choice is a decision of the operator. Missing members change nothing.
type choice struct {
	Telemetry   *bool `json:"telemetry"`
	Health      *bool `json:"health"`
	UpdateCheck *bool `json:"update_check"`
}

// A change is one decision of a choice, and the function that saves it. A
// denial of telemetry is one of the update check too, so that comes last.
type change struct {
	to   *bool
	save func(context.Context, bool) error
}

// is reports whether the change grants, or with false denies.
func (c change) is(grant bool) bool { return c.to != nil && *c.to == grant }

func (a *Agent) changes(c choice) []change {
	return []change{
		{c.Telemetry, a.service.SetConsent}, {c.Health, a.service.SetHealthConsent}, {c.UpdateCheck, a.service.SetUpdateConsent},
	}
}

func (a *Agent) serveConsent(w http.ResponseWriter, r *http.Request) {
	writeJSON(w, http.StatusOK, a.service.Decisions(r.Context()))
}

func (a *Agent) changeConsent(w http.ResponseWriter, r *http.Request) {
	decided, err := readDecision(r)
	if err != nil {
		writeError(w, http.StatusBadRequest, err.Error())
		return
	}
	// A grant and a denial in one request are refused as a whole.
	changes, needs := a.changes(decided), page.MayDeny
	if slices.ContainsFunc(changes, func(c change) bool { return c.is(true) }) {
		needs = page.MayChange
	}
	if !a.permit(w, r, needs) {
		return
	}
	// A client that does not wait for the answer has decided all the same.
	r = r.WithContext(context.WithoutCancel(r.Context()))
	ctx, cancel := extend(w, r, consentTimeout)
	defer cancel()
	ctx = rollcall.OrderedBy(ctx, "agent endpoint")
	for _, grant := range []bool{false, true} { // a grant that fails must not stop a denial
		for _, c := range changes {
			if !c.is(grant) {
				continue
			}
			if err := c.save(ctx, grant); err != nil {
				writeError(w, http.StatusInternalServerError, err.Error())
				return
			}
		}
	}
	writeJSON(w, http.StatusOK, a.service.Decisions(ctx))
}

func readDecision(r *http.Request) (choice, error) {
	var d choice
	body, err := readBody(r, maxDecision)
	if err != nil {
		return d, err
	}
	if err := json.Unmarshal(body, &d); err != nil || d == (choice{}) {
		return d, errors.New(`the body is not a decision such as {"telemetry": false}`)
	}
	return d, nil
}
