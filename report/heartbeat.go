package report

import "time"

// A Heartbeat is what an installation sends about once a day. The zero value is not valid: see each field.
type Heartbeat struct {
	// Schema is the version of the schema that the report follows; a sender sets it to SchemaVersion, or to the lower
	// one that the operator agreed to. What came after it is not sent. At least 1.
	Schema int `json:"schema"`
	// App is the key that the collector knows the host by. Required; see [ValidApp].
	App string `json:"app"`
	// InstallationID is a UUID in its canonical form in lower case, neither nil nor all ones. Required.
	InstallationID string `json:"installation_id"`
	// IDPersistence says whether the ID is on disk. Required.
	IDPersistence Persistence `json:"id_persistence"`
	// SentAt is when the report was made by the clock of the sender, which the collector does not trust. It is sent in
	// whole seconds of UTC, in the years 1970 to 9999, and is all in which a report that is sent differs from its
	// preview. Required.
	SentAt time.Time `json:"sent_at"`
	// Version is that of the host, as [NormalizeVersion] gives it. Empty is not sent and means not known.
	Version string `json:"version,omitempty"`
	// Platform is what the host runs on. Zero is not sent and means not known.
	Platform Platform `json:"platform,omitzero"`
	// Deployment is how the host was installed. Empty is not sent and is received as DeploymentUnknown.
	Deployment Deployment `json:"deployment,omitempty"`
	// Client is what made the report. Zero is not sent and means not known.
	Client Client `json:"client,omitzero"`
	// Facts are what the host declared about its set-up; see [Declaration.Encode]. Empty is not sent.
	Facts Facts `json:"facts,omitempty"`
}

// Persistence says whether an installation ID is known to be on disk.
type Persistence string

// The values of [Persistence]. There will be no others.
const (
	// Persisted says that the ID is durable.
	Persisted Persistence = "persisted"
	// InMemory says that the ID may be another one at the next start.
	InMemory Persistence = "memory"
)

// Deployment says how a host was installed. Later versions of the schema may have more values; they are received as
// DeploymentUnknown.
type Deployment string

// The values of [Deployment].
const (
	// DeploymentBare is a machine of its own.
	DeploymentBare Deployment = "bare"
	// DeploymentContainer is a container that is not one of Kubernetes.
	DeploymentContainer Deployment = "container"
	// DeploymentKubernetes is a pod.
	DeploymentKubernetes Deployment = "kubernetes"
	// DeploymentVM is a virtual machine.
	DeploymentVM Deployment = "vm"
	// DeploymentUnknown is none that could be told.
	DeploymentUnknown Deployment = "unknown"
)

// Platform is what a host runs on. Each text satisfies [ValidPlatform], or is empty and then not sent.
type Platform struct {
	// System is the operating system, such as linux.
	System string `json:"system,omitempty"`
	// Release is the version of the operating system or its kernel, such as 6.12.
	Release string `json:"release,omitempty"`
	// Machine is the architecture, such as amd64.
	Machine string `json:"machine,omitempty"`
}

// Client is the library or program that made a report.
type Client struct {
	// Name is a code, see [ValidCode], or empty and then not sent.
	Name string `json:"name,omitempty"`
	// Version is as [NormalizeVersion] gives it, or empty and then not sent.
	Version string `json:"version,omitempty"`
}

// Validate tells whether a collector would accept the heartbeat as it is. The error is an [InvalidError].
func (h *Heartbeat) Validate() error {
	if err := heartbeatSpecs.check(h); err != nil {
		return err
	}
	return nil
}

// Marshal gives the bytes that are sent, after Validate. Equal heartbeats give equal bytes.
func (h *Heartbeat) Marshal() ([]byte, error) {
	if err := h.Validate(); err != nil {
		return nil, err
	}
	return h.AppendJSON(nil), nil
}

// AppendJSON adds the bytes that are sent to dst, without looking whether they are valid: an invalid heartbeat gives JSON
// too, which a collector refuses. See BenchmarkHeartbeat for what it costs.
func (h *Heartbeat) AppendJSON(dst []byte) []byte { return heartbeatSpecs.append(dst, h, h.Schema) }

// MarshalJSON is [Heartbeat.Marshal], for package encoding/json.
func (h Heartbeat) MarshalJSON() ([]byte, error) { return h.Marshal() }

// UnmarshalJSON is [ParseHeartbeat] for package encoding/json, without a word on what was dropped.
func (h *Heartbeat) UnmarshalJSON(data []byte) error {
	parsed, _, err := ParseHeartbeat(data)
	if err != nil {
		return err
	}
	*h = parsed
	return nil
}

// adopt puts what a sender may write in more than one way into the form that Validate wants, and tells how many values
// were dropped for it.
func (h *Heartbeat) adopt() (dropped int) {
	h.Version = adoptVersion(h.Version)
	h.Client.Version = adoptVersion(h.Client.Version)
	if h.Schema > SchemaVersion && ValidCode(string(h.Deployment)) && !deploymentRule.allows(string(h.Deployment)) {
		h.Deployment = ""
		dropped++
	}
	if h.Deployment == "" {
		h.Deployment = DeploymentUnknown
	}
	return dropped
}
