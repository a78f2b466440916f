package report

import "time"

// A Field describes a field of a report. Documents, pages and previews for
// operators are made of such lists.
type Field struct {
	// Name is the path of keys to the field, with dots between them, and []
	// after the key of a list. In the fields of a [Declaration] it is "facts."
	// and the name of the fact.
	Name string
	// Type is "text", "number", "time", "boolean", "list", or "map", which is an
	// object whose keys are not fixed.
	Type string
	// Since is the version of the schema that added the field; for a fact, that
	// of the host's declaration.
	Since int
	// Bound says in words which values are valid.
	Bound string
	// Reason tells operators why the field is sent.
	Reason string
	// Optional means that a report can do without the field. An empty text
	// counts as none.
	Optional bool
}

// The types of fields.
const (
	typeText   = "text"
	typeNumber = "number"
	typeTime   = "time"
	typeBool   = "boolean"
	typeList   = "list"
	typeMap    = "map"
)

// Fields lists the fields of a [Heartbeat] in the order that they are sent in.
// The facts are one field here; [Declaration.Fields] lists them one by one.
// The caller owns the slice.
func Fields() []Field { return heartbeatSpecs.list(nil, "") }

// HealthFields lists the fields of a [HealthReport] as [Fields] does.
func HealthFields() []Field {
	return faultSpecs.list(healthSpecs.list(nil, ""), "faults[].")
}

// The reasons of the fields that reports of both kinds begin with.
const (
	whySchema      = "Says how to read the report, and that it contains no fields added since the operator agreed."
	whyApp         = "Says which program is counted: a collector can serve several."
	whyID          = "Counts the installation once. It is random and says nothing about the machine, its user or its network."
	whyPersistence = "Keeps an installation that loses its disk from being counted as a new one each time."
	whySentAt      = "Dates reports that were exported to files, and shows wrong clocks. Other reports count by the clock of the collector."
	whyVersion     = "Shows which versions are in use, so that old ones are not dropped while many still need them."
)

var heartbeatSpecs = specs[Heartbeat]{
	{key: "schema", since: 1, reason: whySchema, codec: number[Heartbeat]{
		at: func(h *Heartbeat) *int { return &h.Schema }, min: 1, max: maxSchema, outside: CodeUnknownSchema}},
	{key: "app", since: 1, reason: whyApp, codec: text[Heartbeat]{
		at: func(h *Heartbeat) *string { return &h.App }, rule: &appRule}},
	{key: "installation_id", since: 1, reason: whyID, codec: text[Heartbeat]{
		at: func(h *Heartbeat) *string { return &h.InstallationID }, rule: &idRule}},
	{key: "id_persistence", since: 1, reason: whyPersistence, codec: text[Heartbeat]{
		at: func(h *Heartbeat) *string { return (*string)(&h.IDPersistence) }, rule: &persistenceRule}},
	{key: "sent_at", since: 1, reason: whySentAt, codec: moment[Heartbeat]{
		at: func(h *Heartbeat) *time.Time { return &h.SentAt }}},
	{key: "version", since: 1, optional: true, reason: whyVersion, codec: text[Heartbeat]{
		at: func(h *Heartbeat) *string { return &h.Version }, rule: &versionRule}},
	{key: "platform", since: 1, optional: true, codec: object[Heartbeat]{
		{key: "system", since: 1, optional: true, codec: text[Heartbeat]{
			at: func(h *Heartbeat) *string { return &h.Platform.System }, rule: &platformRule},
			reason: "Shows which operating systems to support and test."},
		{key: "release", since: 1, optional: true, codec: text[Heartbeat]{
			at: func(h *Heartbeat) *string { return &h.Platform.Release }, rule: &platformRule},
			reason: "Shows how old the operating systems in use are."},
		{key: "machine", since: 1, optional: true, codec: text[Heartbeat]{
			at: func(h *Heartbeat) *string { return &h.Platform.Machine }, rule: &platformRule},
			reason: "Shows which processors need a build."},
	}},
	{key: "deployment", since: 1, optional: true, codec: text[Heartbeat]{
		at: func(h *Heartbeat) *string { return (*string)(&h.Deployment) }, rule: &deploymentRule},
		reason: "Shows which ways of installing the program are in use, and worth maintaining."},
	{key: "client", since: 1, optional: true, codec: object[Heartbeat]{
		{key: "name", since: 1, optional: true, codec: text[Heartbeat]{
			at: func(h *Heartbeat) *string { return &h.Client.Name }, rule: &codeRule},
			reason: "Says which library or agent made the report, so that its bugs are not taken for the program's."},
		{key: "version", since: 1, optional: true, codec: text[Heartbeat]{
			at: func(h *Heartbeat) *string { return &h.Client.Version }, rule: &versionRule},
			reason: "Says which version of the library or agent it was."},
	}},
	{key: "facts", since: 1, optional: true, codec: factsCodec{},
		reason: "Says what the program declared about its setup. Each fact is declared with a reason of its own."},
}

var healthSpecs = specs[HealthReport]{
	{key: "schema", since: 1, reason: whySchema, codec: number[HealthReport]{
		at: func(h *HealthReport) *int { return &h.Schema }, min: 1, max: maxSchema, outside: CodeUnknownSchema}},
	{key: "app", since: 1, reason: whyApp, codec: text[HealthReport]{
		at: func(h *HealthReport) *string { return &h.App }, rule: &appRule}},
	{key: "installation_id", since: 1, reason: whyID, codec: text[HealthReport]{
		at: func(h *HealthReport) *string { return &h.InstallationID }, rule: &idRule}},
	{key: "id_persistence", since: 1, reason: whyPersistence, codec: text[HealthReport]{
		at: func(h *HealthReport) *string { return (*string)(&h.IDPersistence) }, rule: &persistenceRule}},
	{key: "sent_at", since: 1, reason: whySentAt, codec: moment[HealthReport]{
		at: func(h *HealthReport) *time.Time { return &h.SentAt }}},
	{key: "version", since: 1, optional: true, codec: text[HealthReport]{
		at: func(h *HealthReport) *string { return &h.Version }, rule: &versionRule},
		reason: "Shows which versions have the faults, and which no longer do."},
	{key: "faults", since: 1, codec: faultsCodec{},
		reason: "Equal faults are counted together, so that a report stays small however much goes wrong."},
}

var faultSpecs = specs[Fault]{
	{key: "source", since: 1, codec: text[Fault]{
		at: func(f *Fault) *string { return &f.Source }, rule: &codeRule},
		reason: "Says who noticed the fault, such as a log or a check."},
	{key: "component", since: 1, codec: text[Fault]{
		at: func(f *Fault) *string { return &f.Component }, rule: &codeRule},
		reason: "Says which part of the program is at fault."},
	{key: "reason", since: 1, codec: text[Fault]{
		at: func(f *Fault) *string { return &f.Reason }, rule: &codeRule},
		reason: "Says what is wrong, in a code of the program, never in the words of an error."},
	{key: "stage", since: 1, optional: true, codec: text[Fault]{
		at: func(f *Fault) *string { return &f.Stage }, rule: &codeRule},
		reason: "Says which step of its work the program was at."},
	{key: "severity", since: 1, codec: text[Fault]{
		at: func(f *Fault) *string { return (*string)(&f.Severity) }, rule: &severityRule},
		reason: "Ranks what keeps a program from working above what is merely odd."},
	{key: "count", since: 1, codec: number[Fault]{
		at: func(f *Fault) *int { return &f.Count }, min: 1, max: MaxFaultCount, outside: CodeOutOfBounds},
		reason: "Says how often it happened since counting began, so that a report sent twice changes nothing."},
	{key: "since", since: 1, codec: moment[Fault]{
		at: func(f *Fault) *time.Time { return &f.Since }},
		reason: "Says when counting began, usually when the program started."},
	{key: "first", since: 1, codec: moment[Fault]{
		at: func(f *Fault) *time.Time { return &f.First }},
		reason: "Says when it first happened, to see whether an upgrade caused it."},
	{key: "last", since: 1, codec: moment[Fault]{
		at: func(f *Fault) *time.Time { return &f.Last }},
		reason: "Says when it last happened, to see whether it is over."},
	{key: "context", since: 1, optional: true, codec: contextCodec{},
		reason: "Narrows down the fault by codes under keys that the program declared."},
}
