package report

// SchemaVersion is the latest version of the schema that this package knows.
// The first is 1.
const SchemaVersion = 1

// maxSchema bounds the schema version of a report that is received.
const maxSchema = 1_000_000

// The limits of a body.
const (
	// MaxHeartbeatBytes bounds a heartbeat. The largest valid one takes less
	// than half of it.
	MaxHeartbeatBytes = 16 << 10
	// MaxHealthBytes bounds a health report. The largest valid one takes less
	// than two thirds of it.
	MaxHealthBytes = 64 << 10
	// MaxBodyBytes bounds reports of both kinds. A receiver need not read more
	// than one byte beyond it.
	MaxBodyBytes = max(MaxHeartbeatBytes, MaxHealthBytes)
	// MaxDepth bounds how deep arrays and objects are nested, also within
	// unknown fields. The report itself is the first level; a report of schema
	// 1 has at most four.
	MaxDepth = 16
)

// The limits of texts in bytes, which are also characters: texts are ASCII.
const (
	// MaxAppLen bounds the key of an app. See [ValidApp].
	MaxAppLen = 64
	// MaxCodeLen bounds a code. See [ValidCode].
	MaxCodeLen = 64
	// MaxVersionLen bounds a version. See [NormalizeVersion].
	MaxVersionLen = 64
	// MaxNameLen bounds the name of a fact and the key of an entry of context.
	// See [ValidName].
	MaxNameLen = 64
	// MaxFactValueLen bounds the value of a fact.
	MaxFactValueLen = 32

	maxPlatformLen = 64
)

// The limits of lists and counts.
const (
	// MaxFacts bounds the facts of a declaration and of a heartbeat.
	MaxFacts = 64
	// MaxFaults bounds the faults of a health report.
	MaxFaults = 25
	// MaxFaultCount bounds the count of a fault. Clients stop counting there.
	MaxFaultCount = 1_000_000_000
	// MaxContext bounds the entries of a fault's context.
	MaxContext = 8
)
