package report

import (
	"slices"
	"time"
)

// A HealthReport says what goes wrong in an installation, in codes and counts. The zero value is not valid.
//
// Counts are cumulative: a group says how often its fault happened since Since, and a later report with the same Since
// replaces an earlier one. So it makes no difference how often a report arrives, or that one is lost.
type HealthReport struct {
	// Schema, App, InstallationID, IDPersistence, SentAt and Version are as in a [Heartbeat].
	Schema         int         `json:"schema"`
	App            string      `json:"app"`
	InstallationID string      `json:"installation_id"`
	IDPersistence  Persistence `json:"id_persistence"`
	SentAt         time.Time   `json:"sent_at"`
	Version        string      `json:"version,omitempty"`
	// Faults are the faults: 1 to MaxFaults, no two of them equal in [Fault.Key].
	Faults []Fault `json:"faults"`
}

// A Fault is a fault and how often it happened. The zero value is not valid.
type Fault struct {
	// Source is a code for who noticed the fault, Component for what is at fault, and Reason for what is wrong. Required;
	// see [ValidCode].
	Source    string `json:"source"`
	Component string `json:"component"`
	Reason    string `json:"reason"`
	// Stage is a code for the step in which it happened. Empty is not sent and means none.
	Stage string `json:"stage,omitempty"`
	// Severity says how bad it is. Required.
	Severity Severity `json:"severity"`
	// Count is how often it happened since Since: 1 to MaxFaultCount.
	Count int `json:"count"`
	// Since is when the counting began. It stays the same from report to report until counting begins anew. Like the
	// other times it is sent in whole seconds of UTC, in the years 1970 to 9999, and is required.
	Since time.Time `json:"since"`
	// First and Last are when it happened first and last; Last is not before First.
	First time.Time `json:"first"`
	Last  time.Time `json:"last"`
	// Context is up to MaxContext codes ([ValidCode]) under keys that the host declared ([ValidName]). Empty is not sent.
	Context map[string]string `json:"context,omitempty"`
}

// Severity says how bad a fault is.
type Severity string

// The values of [Severity]. There will be no others.
const (
	// SeverityInfo is worth knowing.
	SeverityInfo Severity = "info"
	// SeverityWarning may become a fault.
	SeverityWarning Severity = "warning"
	// SeverityError is a fault.
	SeverityError Severity = "error"
	// SeverityCritical keeps the host from doing its work.
	SeverityCritical Severity = "critical"
)

// A FaultKey is what makes two groups the same fault. It is comparable.
type FaultKey struct {
	Source, Component, Reason, Stage string
	Severity                         Severity
}

// Key gives the key of the group: all of its codes but the context, which belongs to the last occurrence.
func (g *Fault) Key() FaultKey {
	return FaultKey{g.Source, g.Component, g.Reason, g.Stage, g.Severity}
}

// Validate tells whether a collector would accept the report as it is. The error is an [InvalidError].
func (h *HealthReport) Validate() error {
	if err := healthSpecs.check(h); err != nil {
		return err
	}
	return nil
}

// Marshal gives the bytes that are sent, after Validate. Equal reports give equal bytes.
func (h *HealthReport) Marshal() ([]byte, error) {
	if err := h.Validate(); err != nil {
		return nil, err
	}
	return h.AppendJSON(nil), nil
}

// AppendJSON adds the bytes that are sent to dst, without looking whether they are valid.
func (h *HealthReport) AppendJSON(dst []byte) []byte { return healthSpecs.append(dst, h, h.Schema) }

// MarshalJSON is [HealthReport.Marshal], for package encoding/json.
func (h HealthReport) MarshalJSON() ([]byte, error) { return h.Marshal() }

// UnmarshalJSON is [ParseHealth] for package encoding/json, without a word on what was dropped.
func (h *HealthReport) UnmarshalJSON(data []byte) error {
	parsed, _, err := ParseHealth(data)
	if err != nil {
		return err
	}
	*h = parsed
	return nil
}

// faultsCodec is the field of the groups.
type faultsCodec struct{}

func (faultsCodec) describe() (string, string) {
	return typeList, "1 to 25 faults, no two with the same codes"
}
func (faultsCodec) empty(h *HealthReport) bool { return len(h.Faults) == 0 }

func (faultsCodec) append(dst []byte, h *HealthReport, schema int) []byte {
	dst = append(dst, '[')
	for i := range h.Faults {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = faultSpecs.append(dst, &h.Faults[i], schema)
	}
	return append(dst, ']')
}

func (c faultsCodec) check(h *HealthReport) *InvalidError {
	if len(h.Faults) > MaxFaults {
		return c.tooMany()
	}
	for i := range h.Faults {
		g := &h.Faults[i]
		if err := g.check(); err != nil {
			return inElement(err)
		}
		same := func(other Fault) bool { return other.Key() == g.Key() }
		if slices.ContainsFunc(h.Faults[:i], same) {
			return invalid(CodeDuplicate)
		}
	}
	return nil
}

func (c faultsCodec) parse(r *reader, h *HealthReport) *InvalidError {
	if !r.enter('[') {
		return invalid(CodeWrongType)
	}
	for r.more() {
		if len(h.Faults) == MaxFaults {
			return c.tooMany()
		}
		h.Faults = append(h.Faults, Fault{})
		if err := faultSpecs.parse(r, &h.Faults[len(h.Faults)-1]); err != nil {
			return inElement(err)
		}
	}
	return nil
}

func (c faultsCodec) tooMany() *InvalidError {
	_, bound := c.describe()
	return outOfBounds(bound)
}

// inElement gives the error of a group as one of the list. That a group is no group is the list's own error.
func inElement(err *InvalidError) *InvalidError {
	if err.Field != "" {
		err.Field = "[]." + err.Field
	}
	return err
}

func (g *Fault) check() *InvalidError {
	if err := faultSpecs.check(g); err != nil {
		return err
	}
	if g.Last.Before(g.First) {
		return outOfBounds("not before first").in("last")
	}
	return nil
}
