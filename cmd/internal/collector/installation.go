package collector

import "time"

// A Held is everything that a collector holds about one installation of an app.
type Held struct {
	App         string `json:"app"`
	FirstSeen   Day    `json:"first_seen"`
	LastSeen    Day    `json:"last_seen"`
	Days        []Day  `json:"days"`
	Established bool   `json:"established"`
	// InMemory means that the ID is not persisted. Excluded means that the
	// installation runs a development version of an app that excludes those.
	// Either is held until the end of the day only.
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
	// Count is how often the fault occurred in all.
	Count uint64 `json:"count"`
	// Since is when the sender last began to count.
	Since time.Time `json:"since,omitzero"`
	// Last is the day of the last report with a new occurrence.
	Last Day `json:"last"`
}

// A Deletion is the receipt for deleting an installation.
type Deletion struct {
	// Deleted is the number of apps that the installation was deleted from: 0
	// if none held it.
	Deleted int       `json:"deleted"`
	At      time.Time `json:"at"`
}
