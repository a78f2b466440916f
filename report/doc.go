// Package report is the wire contract of rollcall, shared by the client that sends and the collector that receives: the
// [Heartbeat], the [HealthReport], their limits and their validation. It does not send, store or count anything.
//
// A report is one JSON object (RFC 8259) in UTF-8: at most [MaxHeartbeatBytes] or [MaxHealthBytes] long and [MaxDepth]
// deep, without duplicate keys. It holds no free text: every value is a number, a time in whole seconds of UTC, or a
// short text of a restricted alphabet. [Fields] and [HealthFields] list each field with its type, its bound and the
// reason why it is sent, and each fact is declared in the same way ([Declare]); a table in a document or on a page is made
// from these lists.
//
// [ParseHeartbeat] and [ParseHealth] are strict about what they know and drop the rest. A field that breaks its bound
// refuses the whole report with an [InvalidError], whose [Code] is one of [Codes] and whose text has nothing of the
// sender's in it. Fields that are not known, also nested ones, are dropped and counted, and so are facts and context
// entries of the wrong form, since their names are the host's: one bad fact does not cost the heartbeat. See [Dropped].
//
// A report says by which version of the schema it was made ([SchemaVersion]). Later versions add fields, and values of
// deployment; they change nothing that an earlier one has. So a report of a later version than this package knows is read
// like any other, and one of an earlier version has fewer fields. The schema of a heartbeat that is sent is the one that
// the operator agreed to: fields that came later are left out of it.
//
// Encoding is deterministic: the fields are in the order of the lists, facts and context in the order of their names,
// there is no white space, <, > and & are escaped as encoding/json does it, and there is no newline at the end. Equal
// reports are equal bytes. What is parsed and encoded again parses to the same.
package report
