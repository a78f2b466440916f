package collector

import "time"

// Held is everything that a collector holds about one installation of one app.
type Held struct {
	App         string `json:"app"`
	FirstSeen   Day    `json:"first_seen"`
	LastSeen    Day    `json:"last_seen"`
	Days        []Day  `json:"days"`
	Established bool   `json:"established"`
	// InMemory says that the ID is not persisted, and Excluded that it runs a development version of an app that excludes
	// those: it is held for today only then.
	InMemory bool              `json:"in_memory,omitzero"`
	Excluded bool              `json:"excluded,omitzero"`
	Values   map[string]string `json:"values"` // by dimension
	Faults   []HeldFault       `json:"faults"`
}

// A HeldFault is one fault of an installation.
type HeldFault struct {
	Source    string `json:"source"`
	Component string `json:"component"`
	Reason    string `json:"reason"`
	Stage     string `json:"stage"`
	Severity  string `json:"severity"`
	// Count is how often it happened in all, Since when the counting that was last reported began, and Last the day of
	// the last report that had something new.
	Count uint64    `json:"count"`
	Since time.Time `json:"since,omitzero"`
	Last  Day       `json:"last"`
}

// A Deletion is the receipt for deleting an installation.
type Deletion struct {
	// Deleted is from how many apps it was deleted: 0 when nothing was held.
	Deleted int       `json:"deleted"`
	At      time.Time `json:"at"`
}
