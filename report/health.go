package report

import "time"

// A HealthReport is the list of faults of an installation, as codes and
// counts. The zero value is not valid.
//
// Counts are cumulative: a fault says how often it happened since Since, and a
// later report with the same Since replaces an earlier one. So it makes no
// difference how often a report arrives, or whether one is lost.
type HealthReport struct {
	// Schema, App, InstallationID, IDPersistence, SentAt and Version are as in
	// a [Heartbeat].
	Schema         int         `json:"schema"`
	App            string      `json:"app"`
	InstallationID string      `json:"installation_id"`
	IDPersistence  Persistence `json:"id_persistence"`
	SentAt         time.Time   `json:"sent_at"`
	Version        string      `json:"version,omitempty"`
	// Faults are 1 to MaxFaults faults, no two with the same [Fault.Key].
	Faults []Fault `json:"faults"`
}

// A Fault is something that went wrong, and how often. The zero value is not
// valid. Times are sent in whole seconds of UTC, in the years 1970 to 9999.
type Fault struct {
	// Source is a code for who noticed the fault, Component for what is at
	// fault, and Reason for what is wrong. See [ValidCode].
	Source    string `json:"source"`
	Component string `json:"component"`
	Reason    string `json:"reason"`
	// Stage is a code for the step in which it happened. Optional.
	Stage string `json:"stage,omitempty"`
	// Severity says how bad it is.
	Severity Severity `json:"severity"`
	// Count is how often it happened since Since: 1 to MaxFaultCount.
	Count int `json:"count"`
	// Since is when counting began. It is the same in all reports until
	// counting begins anew.
	Since time.Time `json:"since"`
	// First and Last are when it first and last happened. Last is not before
	// First.
	First time.Time `json:"first"`
	Last  time.Time `json:"last"`
	// Context is up to MaxContext codes ([ValidCode]) under keys that the host
	// declared ([ValidName]), of the last time it happened. Optional.
	Context map[string]string `json:"context,omitempty"`
}

// Severity says how bad a fault is.
type Severity string

// The values of [Severity]. Later schemas do not add any.
const (
	// SeverityInfo is worth knowing.
	SeverityInfo Severity = "info"
	// SeverityWarning may become an error.
	SeverityWarning Severity = "warning"
	// SeverityError makes some work of the host fail.
	SeverityError Severity = "error"
	// SeverityCritical keeps the host from doing its work.
	SeverityCritical Severity = "critical"
)

// A FaultKey identifies a fault: two with the same key are the same fault.
type FaultKey struct {
	Source, Component, Reason, Stage string
	Severity                         Severity
}

// Key returns the key of the fault: all of its codes except the context.
func (f *Fault) Key() FaultKey {
	return FaultKey{f.Source, f.Component, f.Reason, f.Stage, f.Severity}
}

// Validate reports whether a collector would accept the report as it is. The
// error is an [*InvalidError].
func (h *HealthReport) Validate() error { return healthSpecs.validate(h) }

// Marshal validates the report and returns the bytes that are sent.
func (h *HealthReport) Marshal() ([]byte, error) {
	if err := h.Validate(); err != nil {
		return nil, err
	}
	return h.AppendJSON(nil), nil
}

// AppendJSON appends the bytes that are sent to dst. It does not validate.
func (h *HealthReport) AppendJSON(dst []byte) []byte { return healthSpecs.append(dst, h, h.Schema) }

// MarshalJSON is [HealthReport.Marshal] for package encoding/json.
func (h HealthReport) MarshalJSON() ([]byte, error) { return h.Marshal() }

// UnmarshalJSON is [ParseHealth] for package encoding/json. It does not say
// what was dropped.
func (h *HealthReport) UnmarshalJSON(data []byte) error {
	parsed, _, err := ParseHealth(data)
	if err == nil {
		*h = parsed
	}
	return err
}

func (h *HealthReport) adopt() (dropped int) {
	h.Version = adoptVersion(h.Version)
	return 0
}
