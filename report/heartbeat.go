package report

import "time"

// A Heartbeat is what an installation sends about once a day. The zero value
// is not valid. Optional fields are not sent if they are empty or zero, which
// means that the value is not known.
type Heartbeat struct {
	// Schema is the version of the schema that the report follows: SchemaVersion,
	// or the lower one that the operator agreed to. Fields that were added after
	// it are not sent.
	Schema int `json:"schema"`
	// App is the key that the collector knows the host by. See [ValidApp].
	App string `json:"app"`
	// InstallationID is a UUID in canonical form in lower case, neither nil nor
	// all ones.
	InstallationID string `json:"installation_id"`
	// IDPersistence says whether the ID is on disk.
	IDPersistence Persistence `json:"id_persistence"`
	// SentAt is when the report was made, by the clock of the sender, which the
	// collector does not trust. It is sent in whole seconds of UTC, in the years
	// 1970 to 9999. A report differs from its preview only in this field.
	SentAt time.Time `json:"sent_at"`
	// Version is that of the host, as [NormalizeVersion] returns it. Optional.
	Version string `json:"version,omitempty"`
	// Platform is what the host runs on. Optional.
	Platform Platform `json:"platform,omitzero"`
	// Deployment is how the host was installed. Optional; an empty one is
	// received as DeploymentUnknown.
	Deployment Deployment `json:"deployment,omitempty"`
	// Client is what made the report. Optional.
	Client Client `json:"client,omitzero"`
	// Facts are what the host declared. See [Declaration.Encode]. Optional.
	Facts Facts `json:"facts,omitempty"`
}

// Persistence says whether an installation ID is known to be on disk.
type Persistence string

// The values of [Persistence]. Later schemas do not add any.
const (
	// Persisted says that the ID is durable.
	Persisted Persistence = "persisted"
	// InMemory says that the next start may make another ID.
	InMemory Persistence = "memory"
)

// Deployment says how a host was installed. Later schemas may add values,
// which are received as DeploymentUnknown.
type Deployment string

// The values of [Deployment].
const (
	// DeploymentBare is a physical machine.
	DeploymentBare Deployment = "bare"
	// DeploymentContainer is a container outside Kubernetes.
	DeploymentContainer Deployment = "container"
	// DeploymentKubernetes is a pod.
	DeploymentKubernetes Deployment = "kubernetes"
	// DeploymentVM is a virtual machine.
	DeploymentVM Deployment = "vm"
	// DeploymentUnknown is one that could not be determined.
	DeploymentUnknown Deployment = "unknown"
)

// Platform is what a host runs on. Each field is optional. See
// [ValidPlatform].
type Platform struct {
	// System is the operating system, such as linux.
	System string `json:"system,omitempty"`
	// Release is the version of the operating system or its kernel, such as
	// 6.12.
	Release string `json:"release,omitempty"`
	// Machine is the architecture, such as amd64.
	Machine string `json:"machine,omitempty"`
}

// Client is the library or program that made a report.
type Client struct {
	// Name is a code. See [ValidCode]. Optional.
	Name string `json:"name,omitempty"`
	// Version is as [NormalizeVersion] returns it. Optional.
	Version string `json:"version,omitempty"`
}

// Validate reports whether a collector would accept the heartbeat as it is.
// The error is an [*InvalidError].
func (h *Heartbeat) Validate() error { return heartbeatSpecs.validate(h) }

// Marshal validates the heartbeat and returns the bytes that are sent.
func (h *Heartbeat) Marshal() ([]byte, error) {
	if err := h.Validate(); err != nil {
		return nil, err
	}
	return h.AppendJSON(nil), nil
}

// AppendJSON appends the bytes that are sent to dst. It does not validate: an
// invalid heartbeat becomes JSON that a collector refuses.
func (h *Heartbeat) AppendJSON(dst []byte) []byte { return heartbeatSpecs.append(dst, h, h.Schema) }

// MarshalJSON is [Heartbeat.Marshal] for package encoding/json.
func (h Heartbeat) MarshalJSON() ([]byte, error) { return h.Marshal() }

// UnmarshalJSON is [ParseHeartbeat] for package encoding/json. It does not
// say what was dropped.
func (h *Heartbeat) UnmarshalJSON(data []byte) error {
	parsed, _, err := ParseHeartbeat(data)
	if err == nil {
		*h = parsed
	}
	return err
}

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
