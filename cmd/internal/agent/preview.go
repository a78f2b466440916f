package agent

import (
	"encoding/json"

	"github.com/rollcall-dev/rollcall"
)

// A Preview is the answer to GET /v1/preview, and the output of rollcall
// preview --json.
type Preview struct {
	Heartbeat json.RawMessage `json:"heartbeat"`
	Health    json.RawMessage `json:"health,omitempty"`
	Withheld  string          `json:"withheld,omitempty"`
	// UpdateRequest is the request of the update check; absent if there is none.
	UpdateRequest  string           `json:"update_request,omitempty"`
	UpdateWithheld string           `json:"update_withheld,omitempty"`
	WithoutID      bool             `json:"without_id"`
	Fields         []ExplainedField `json:"fields,omitempty"`
}

// An ExplainedField is a field of the heartbeat, and why it is sent.
type ExplainedField struct {
	Name   string          `json:"name"`
	Value  json.RawMessage `json:"value,omitempty"`
	Since  int             `json:"since"`
	Bound  string          `json:"bound,omitempty"`
	Reason string          `json:"reason"`
	// LeftOut says why a fact that the host set is not sent.
	LeftOut string `json:"left_out,omitempty"`
}

// NewPreview returns a preview in the form of JSON, with the fields if they are
// to be explained.
func NewPreview(made rollcall.Preview, explain bool) Preview {
	p := Preview{
		Heartbeat: made.Heartbeat, Health: made.Health, Withheld: made.Withheld,
		UpdateRequest: made.UpdateRequest, UpdateWithheld: made.UpdateWithheld, WithoutID: made.WithoutID,
	}
	if explain {
		for _, f := range made.Fields {
			p.Fields = append(p.Fields, ExplainedField{f.Name, json.RawMessage(f.Value), f.Since, f.Bound, f.Reason, f.LeftOut})
		}
	}
	return p
}
