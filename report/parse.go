package report

// Dropped counts what a parser left out of a report that it accepted. It has
// no names: those are the sender's, and their number has no bound.
type Dropped struct {
	// Fields counts unknown keys, except within facts and context, and values
	// that only a later schema has. Keys below a dropped one are not counted.
	Fields int
	// Facts counts malformed facts, and those beyond MaxFacts.
	Facts int
	// Context counts malformed entries of context, and those beyond MaxContext.
	Context int
}

// ParseHeartbeat reads a heartbeat of at most [MaxHeartbeatBytes], and returns
// what it left out. The memory that it takes is bounded by the size of data,
// which it neither keeps nor changes. If the error is not nil, it is an
// [*InvalidError], and the other results are zero.
//
// The result is valid (see [Heartbeat.Validate]): versions are normalized, and
// facts are in order.
func ParseHeartbeat(data []byte) (Heartbeat, Dropped, error) {
	return parse(data, MaxHeartbeatBytes, heartbeatSpecs, (*Heartbeat).adopt)
}

// ParseHealth reads a health report of at most [MaxHealthBytes], as
// [ParseHeartbeat] reads a heartbeat.
func ParseHealth(data []byte) (HealthReport, Dropped, error) {
	return parse(data, MaxHealthBytes, healthSpecs, (*HealthReport).adopt)
}

// parse reads a report. adopt puts what senders may write in several ways into
// the form that is valid, and returns how many values it dropped for that.
func parse[T any](data []byte, most int, fields specs[T], adopt func(*T) int) (report T, dropped Dropped, err error) {
	var zero T
	r, invalid := newReader(data, most)
	if invalid == nil {
		invalid = fields.parse(r, &report)
	}
	if invalid == nil {
		r.dropped.Fields += adopt(&report)
		invalid = fields.check(&report)
	}
	if invalid != nil {
		return zero, Dropped{}, invalid
	}
	return report, r.dropped, nil
}
