package report

import "time"

// A Field says of one field of a report what it is and why it is sent. Documents, pages and previews for operators are
// made from it.
type Field struct {
	// Name is the path of keys from the report to the field, with dots between them, and [] after the key of a list. In
	// the fields of a [Declaration] it is facts. and the name of the fact.
	Name string
	// Type is "text", "number", "time", "boolean", "list", or "map", for an object whose keys are not fixed.
	Type string
	// Since is the version of the schema that brought the field, or that of the host's declaration for a fact.
	Since int
	// Bound says in words which values there can be.
	Bound string
	// Reason says in words for operators why it is sent.
	Reason string
	// Optional says that a report can be without it. An empty text stands for none.
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

// Fields lists the fields of a [Heartbeat] in the order in which they are sent. The facts are one field here; a
// declaration lists them one by one ([Declaration.Fields]). The caller owns the slice.
func Fields() []Field { return heartbeatSpecs.list(nil, "") }

// HealthFields lists the fields of a [HealthReport] in the same way.
func HealthFields() []Field {
	return faultSpecs.list(healthSpecs.list(nil, ""), "faults[].")
}

// The fields that both kinds of report begin with say the same of themselves.
const (
	whySchema      = "Says how to read the report, and that nothing is in it which came after the operator agreed."
	whyApp         = "Says which program is counted, since a collector can serve several."
	whyID          = "Counts the installation once. It is random and says nothing about the machine, its user or its network."
	whyPersistence = "Keeps an installation that loses its disk from being counted as a new one each time."
	whySentAt      = "Tells reports apart that were exported to files. It is not trusted: days are those of the collector."
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
			reason: "Shows which operating systems have to be supported and tested."},
		{key: "release", since: 1, optional: true, codec: text[Heartbeat]{
			at: func(h *Heartbeat) *string { return &h.Platform.Release }, rule: &platformRule},
			reason: "Shows how old the operating systems are that have to be supported."},
		{key: "machine", since: 1, optional: true, codec: text[Heartbeat]{
			at: func(h *Heartbeat) *string { return &h.Platform.Machine }, rule: &platformRule},
			reason: "Shows for which processors builds are needed."},
	}},
	{key: "deployment", since: 1, optional: true, codec: text[Heartbeat]{
		at: func(h *Heartbeat) *string { return (*string)(&h.Deployment) }, rule: &deploymentRule},
		reason: "Shows which ways of installing the program are in use and worth the work."},
	{key: "client", since: 1, optional: true, codec: object[Heartbeat]{
		{key: "name", since: 1, optional: true, codec: text[Heartbeat]{
			at: func(h *Heartbeat) *string { return &h.Client.Name }, rule: &codeRule},
			reason: "Says which library or agent made the report, so that its mistakes can be told from the program's."},
		{key: "version", since: 1, optional: true, codec: text[Heartbeat]{
			at: func(h *Heartbeat) *string { return &h.Client.Version }, rule: &versionRule},
			reason: "Says which version of it, for the same purpose."},
	}},
	{key: "facts", since: 1, optional: true, codec: factsCodec{},
		reason: "What the program declared about how it is set up; each fact is declared with a reason of its own."},
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
		reason: "Shows which versions have the faults, and which have them no more."},
	{key: "faults", since: 1, codec: faultsCodec{},
		reason: "Equal faults are counted together, so that a report stays small however much goes wrong."},
}

var faultSpecs = specs[Fault]{
	{key: "source", since: 1, codec: text[Fault]{
		at: func(g *Fault) *string { return &g.Source }, rule: &codeRule},
		reason: "Says who noticed the fault, such as a log or a check."},
	{key: "component", since: 1, codec: text[Fault]{
		at: func(g *Fault) *string { return &g.Component }, rule: &codeRule},
		reason: "Says which part of the program is at fault."},
	{key: "reason", since: 1, codec: text[Fault]{
		at: func(g *Fault) *string { return &g.Reason }, rule: &codeRule},
		reason: "Says what is wrong, in a code of the program, never in the words of an error."},
	{key: "stage", since: 1, optional: true, codec: text[Fault]{
		at: func(g *Fault) *string { return &g.Stage }, rule: &codeRule},
		reason: "Says at which step of its work the program was."},
	{key: "severity", since: 1, codec: text[Fault]{
		at: func(g *Fault) *string { return (*string)(&g.Severity) }, rule: &severityRule},
		reason: "Puts what keeps a program from working before what is merely odd."},
	{key: "count", since: 1, codec: number[Fault]{
		at: func(g *Fault) *int { return &g.Count }, min: 1, max: MaxFaultCount, outside: CodeOutOfBounds},
		reason: "Says how often it happened since the counting began, so that a report sent twice changes nothing."},
	{key: "since", since: 1, codec: moment[Fault]{
		at: func(g *Fault) *time.Time { return &g.Since }},
		reason: "Says when the counting began, usually the start of the program."},
	{key: "first", since: 1, codec: moment[Fault]{
		at: func(g *Fault) *time.Time { return &g.First }},
		reason: "Says when it happened first, to see whether an upgrade brought it."},
	{key: "last", since: 1, codec: moment[Fault]{
		at: func(g *Fault) *time.Time { return &g.Last }},
		reason: "Says when it happened last, to see whether it is over."},
	{key: "context", since: 1, optional: true, codec: contextCodec{},
		reason: "Narrows the fault down by codes under keys that the program declared."},
}
