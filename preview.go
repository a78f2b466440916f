package rollcall

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/rollcall-dev/rollcall/installid"
	"github.com/rollcall-dev/rollcall/internal/jsonedit"
	"github.com/rollcall-dev/rollcall/internal/keeper"
	"github.com/rollcall-dev/rollcall/report"
)

// PreviewID stands for the ID in the preview of an installation that has none
// yet.
const PreviewID = "00000000-0000-4000-8000-000000000000"

// A Preview is what would be sent now.
type Preview struct {
	// Heartbeat is the heartbeat, byte for byte; only its time, sent_at, will
	// differ.
	Heartbeat []byte
	// Health is the health report; nil if nothing was counted.
	Health []byte
	// Fields explain the heartbeat, in its order.
	Fields []ExplainedField
	// Withheld says why nothing is sent at present; empty if reports are.
	Withheld string
	// UpdateRequest is the request of the update check, which has no body, and
	// UpdateWithheld says why it is not made at present. Both are empty if the
	// host has no update check.
	UpdateRequest, UpdateWithheld string
	// WithoutID reports that no ID is stored, and that PreviewID stands for
	// it.
	WithoutID bool
}

// An ExplainedField is a field of a heartbeat, its value, and the reason why it
// is sent.
type ExplainedField struct {
	report.Field
	// Value is the field's JSON; empty if the heartbeat leaves the field out.
	Value string
	// LeftOut says why there is no value, if the host has a fact that cannot be
	// sent; else it is empty.
	LeftOut string
}

// Preview creates the reports as they would be sent now, with the code that
// sends them. It sends and changes nothing, and creates no ID. It needs neither
// consent nor Start, and waits no longer than ctx.
func (s *Service) Preview(ctx context.Context) (Preview, error) {
	if s == nil {
		return Preview{}, fmt.Errorf("preview: %w", ErrNoService)
	}
	st, err := s.previewStatus(ctx)
	if err != nil {
		return Preview{}, fmt.Errorf("preview: %w", err)
	}
	var p Preview
	if p.WithoutID = st.ID.IsZero(); p.WithoutID {
		st.ID, _ = installid.Parse(PreviewID)
	}
	d := s.Decisions(ctx)
	if err := s.obstacle(d, st); err != nil {
		p.Withheld = err.Error()
	}
	heartbeat, missing := s.heartbeat(ctx, d, st)
	s.facts.log(s.log, missing)
	if p.Heartbeat, err = heartbeat.Marshal(); err != nil {
		return Preview{}, fmt.Errorf("preview: %w", err)
	}
	if health := s.health(d, st); len(health.Faults) > 0 {
		if p.Health, err = health.Marshal(); err != nil {
			return Preview{}, fmt.Errorf("preview health report: %w", err)
		}
	}
	if s.config.Updates.URLPrefix != "" && s.config.Endpoint != "" {
		p.UpdateRequest, p.UpdateWithheld = "GET "+s.config.updateRequest(), s.updateStatus(d).Withheld
	}
	p.Fields = explain(p.Heartbeat, fieldsWith(s.facts.declaration), missing)
	return p, nil
}

// previewStatus returns the status of the ID in use, or of the stored one.
func (s *Service) previewStatus(ctx context.Context) (installid.Status, error) {
	if st := s.keeper.Status(); !st.ID.IsZero() {
		return st.Status, nil
	}
	rec, err := s.store.Load(ctx)
	if err != nil && !errors.Is(err, keeper.ErrNotFound) && !errors.Is(err, jsonedit.ErrEmpty) {
		return installid.Status{}, err
	}
	return installid.Status{ID: rec.ID, Persisted: !rec.ID.IsZero() && rec.Doubt == ""}, nil
}

const (
	factsField = "facts"
	factPrefix = factsField + "."
)

// fieldsWith returns the fields of a heartbeat, with the declared facts in place
// of the one that holds them.
func fieldsWith(declaration *report.Declaration) []report.Field {
	var fields []report.Field
	for _, field := range report.Fields() {
		if field.Name == factsField {
			fields = append(fields, declaration.Fields()...)
		} else {
			fields = append(fields, field)
		}
	}
	return fields
}

// explain returns the fields with their values in a heartbeat, or why they have
// none.
func explain(body []byte, fields []report.Field, missing leftOut) []ExplainedField {
	explained := make([]ExplainedField, 0, len(fields))
	for _, field := range fields {
		path, reason := strings.Split(field.Name, "."), ""
		if name, ok := strings.CutPrefix(field.Name, factPrefix); ok {
			path = []string{factsField, name} // names of facts may have dots
			if err := missing[name]; err != nil {
				reason = err.Error()
			}
		}
		explained = append(explained, ExplainedField{field, valueAt(body, path), reason})
	}
	return explained
}

// valueAt returns the JSON at a path of names; empty if there is none.
func valueAt(object json.RawMessage, path []string) string {
	for _, name := range path {
		var members map[string]json.RawMessage
		if json.Unmarshal(object, &members) != nil {
			return ""
		}
		object = members[name]
	}
	return string(object)
}
