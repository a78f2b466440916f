package report

// Dropped counts what a parser left out of a report that it accepted. It has no names: those are the sender's, and there
// is no bound on how many there are.
type Dropped struct {
	// Fields counts keys that are not known, at any place but within facts and context, and values that only a later
	// schema has. What is below a dropped key is not counted.
	Fields int
	// Facts counts facts whose name or value has the wrong form, and those beyond MaxFacts.
	Facts int
	// Context counts entries of contexts whose key or value has the wrong form, and those beyond MaxContext.
	Context int
}

// ParseHeartbeat reads a heartbeat and tells what it left out. It reads no more than [MaxHeartbeatBytes], and the memory
// that it takes is bounded by the size of the data. The error is an [InvalidError], and the heartbeat is zero then.
//
// A heartbeat that is accepted is valid ([Heartbeat.Validate]): versions are normalised and facts are in order. The data
// is neither kept nor changed.
func ParseHeartbeat(data []byte) (Heartbeat, Dropped, error) {
	var h Heartbeat
	r, err := newReader(data, MaxHeartbeatBytes)
	if err != nil {
		return Heartbeat{}, Dropped{}, err
	}
	if err := heartbeatSpecs.parse(r, &h); err != nil {
		return Heartbeat{}, Dropped{}, err
	}
	r.dropped.Fields += h.adopt()
	if err := heartbeatSpecs.check(&h); err != nil {
		return Heartbeat{}, Dropped{}, err
	}
	return h, r.dropped, nil
}

// ParseHealth reads a health report as [ParseHeartbeat] reads a heartbeat. It reads no more than [MaxHealthBytes].
func ParseHealth(data []byte) (HealthReport, Dropped, error) {
	var h HealthReport
	r, err := newReader(data, MaxHealthBytes)
	if err != nil {
		return HealthReport{}, Dropped{}, err
	}
	if err := healthSpecs.parse(r, &h); err != nil {
		return HealthReport{}, Dropped{}, err
	}
	h.Version = adoptVersion(h.Version)
	if err := healthSpecs.check(&h); err != nil {
		return HealthReport{}, Dropped{}, err
	}
	return h, r.dropped, nil
}
