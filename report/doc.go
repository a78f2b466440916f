// Package report is the wire contract of rollcall: the [Heartbeat] and the
// [HealthReport], their limits, and their validation. The client that sends
// and the collector that receives share it. It sends, stores and counts
// nothing.
//
// A report is one JSON object (RFC 8259) in UTF-8, of at most
// [MaxHeartbeatBytes] or [MaxHealthBytes], nested at most [MaxDepth] deep,
// without duplicate keys. It has no free text: every value is a number, a time
// in whole seconds of UTC, or a short text of a restricted alphabet. [Fields]
// and [HealthFields] list each field with its type, its bound, and the reason
// why it is sent. [Declare] does the same for the facts of a host. Tables in
// documents and on pages are made from these lists.
//
// [ParseHeartbeat] and [ParseHealth] are strict about what they know and drop
// the rest. A field that breaks its bound refuses the whole report with an
// [InvalidError], which has one of [Codes] and repeats nothing of the sender's.
// Unknown fields are dropped and counted, and so are malformed facts and
// entries of context: their names are the host's, and one bad fact must not
// cost the heartbeat. See [Dropped].
//
// A report names the version of the schema that it follows ([SchemaVersion]).
// Later versions only add fields, and values of deployment. So a report of a
// later version is read like any other, and one of an earlier version has
// fewer fields. A sender uses the version that its operator agreed to, which
// leaves out all later fields.
//
// Encoding is deterministic: equal reports are equal bytes. Fields are in the
// order of the lists, facts and context in the order of their names. There is
// no white space and no final newline; <, > and & are escaped as by
// encoding/json. A parsed report that is encoded again parses to the same
// report.
package report
