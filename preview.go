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

// PreviewID stands in a preview for the ID of an installation that has none yet.
const PreviewID = "00000000-0000-4000-8000-000000000000"

// A Preview is what would be sent now.
type Preview struct {
	// Heartbeat is the report, byte for byte; only the time in it, sent_at, will be another.
	Heartbeat []byte
	// Health is the health report, nil when nothing was counted.
	Health []byte
	// Fields explain the heartbeat, in its order; fields that it leaves out have no value.
	Fields []ExplainedField
	// Withheld says why nothing is sent at present; empty when it is.
	Withheld string
	// WithoutID says that no ID is stored, and that PreviewID stands in its place.
	WithoutID bool
}

// An ExplainedField is one field of a report with its value and the reason why it is sent.
type ExplainedField struct {
	report.Field
	// Value is the field's JSON; empty when the report leaves it out.
	Value string
}

// Preview makes the reports as they would be sent now, by the code that sends them, without sending or changing
// anything: no ID is made for it. It needs neither consent nor Start, and waits no longer than ctx.
func (s *Service) Preview(ctx context.Context) (Preview, error) {
	if s == nil {
		return Preview{}, errors.New("preview: no service")
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
	heartbeat := s.heartbeat(ctx, d, st)
	if p.Heartbeat, err = heartbeat.Marshal(); err != nil {
		return Preview{}, fmt.Errorf("preview: %w", err)
	}
	if health := s.health(d, st); len(health.Faults) > 0 {
		if p.Health, err = health.Marshal(); err != nil {
			return Preview{}, fmt.Errorf("preview health report: %w", err)
		}
	}
	p.Fields = explain(p.Heartbeat, s.fields())
	return p, nil
}

// previewStatus is the state of the ID: of the running service, or what is stored.
func (s *Service) previewStatus(ctx context.Context) (installid.Status, error) {
	if st := s.keeper.Status(); !st.ID.IsZero() {
		return st.Status, nil
	}
	rec, err := s.store.Load(ctx)
	if err != nil && !errors.Is(err, keeper.ErrNotFound) && !errors.Is(err, jsonedit.ErrEmpty) {
		return installid.Status{}, err
	}
	return installid.Status{ID: rec.ID, Persisted: !rec.ID.IsZero()}, nil
}

const (
	factsField = "facts"
	factPrefix = factsField + "."
)

// fields are those of a heartbeat, with each declared fact in the place of all of them.
func (s *Service) fields() []report.Field {
	var fields []report.Field
	for _, field := range report.Fields() {
		if field.Name == factsField {
			fields = append(fields, s.facts.declaration.Fields()...)
		} else {
			fields = append(fields, field)
		}
	}
	return fields
}

// explain puts fields and the values that a report has for them together.
func explain(body []byte, fields []report.Field) []ExplainedField {
	explained := make([]ExplainedField, 0, len(fields))
	for _, field := range fields {
		path := strings.Split(field.Name, ".")
		if name, ok := strings.CutPrefix(field.Name, factPrefix); ok {
			path = []string{factsField, name} // the names of facts may have dots
		}
		explained = append(explained, ExplainedField{field, valueAt(body, path)})
	}
	return explained
}

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
