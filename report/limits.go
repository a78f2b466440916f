package report

// SchemaVersion is the version of the schema that this package knows; the first is 1.
const SchemaVersion = 1

// The limits of a body, in bytes.
const (
	// MaxHeartbeatBytes bounds a heartbeat. The largest valid one takes less than half of it.
	MaxHeartbeatBytes = 16 << 10
	// MaxHealthBytes bounds a health report. The largest valid one takes about two thirds of it.
	MaxHealthBytes = 64 << 10
	// MaxBodyBytes bounds a report of any kind: a receiver needs to read no more than that and one byte.
	MaxBodyBytes = max(MaxHeartbeatBytes, MaxHealthBytes)
	// MaxDepth bounds how deep arrays and objects are nested, in fields that are not known too; the report itself is
	// the first level. A report of schema 1 has at most four.
	MaxDepth = 16
)

// The limits of texts, in bytes, which are characters, since all of them are ASCII.
const (
	// MaxAppLen bounds the app's key; it has at least 1 character. See [ValidApp].
	MaxAppLen = 64
	// MaxCodeLen bounds a code; it has at least 1 character. See [ValidCode].
	MaxCodeLen = 64
	// MaxVersionLen bounds a version; an empty one is not sent. See [NormalizeVersion].
	MaxVersionLen = 64
	// MaxPlatformLen bounds each text of the platform; an empty one is not sent. See [ValidPlatform].
	MaxPlatformLen = 64
	// MaxNameLen bounds the name of a fact and the key of a context entry; it has at least 1 character.
	MaxNameLen = 64
	// MaxFactValueLen bounds a value of a fact; it has at least 1 character.
	MaxFactValueLen = 32
)

// The limits of facts.
const (
	// MaxFacts bounds the facts of a declaration and of a heartbeat.
	MaxFacts = 64
	// MaxReasonLen bounds the reason of a fact, in characters, which need not be ASCII; it has at least 1.
	MaxReasonLen = 200
	// MaxEnumValues bounds the values of an [Enumeration]; it has at least 1.
	MaxEnumValues = 32
	// MaxBounds bounds the bounds of a [Bucketed] fact; it has at least 1.
	MaxBounds = 32
	// MaxBound is the largest bound of a [Bucketed] fact; the smallest is 0. With 15 digits the name of every bucket
	// fits into MaxFactValueLen.
	MaxBound = 999_999_999_999_999
)

// The limits of health reports.
const (
	// MaxFaults bounds the groups of a health report; it has at least 1.
	MaxFaults = 25
	// MaxFaultCount is the largest count of a group; a client stops counting there. The smallest is 1.
	MaxFaultCount = 1_000_000_000
	// MaxContext bounds the context entries of a group.
	MaxContext = 8
)

// maxSchema bounds the schema version of a report that is received.
const maxSchema = 1_000_000
