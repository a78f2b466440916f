package consent

import (
	"slices"
	"strconv"

	"github.com/rollcall-dev/rollcall/internal/jsonedit"
)

// Keys are the keys of the decisions in a config or a consent file.
type Keys struct{ Telemetry, Health, Schema, Facts jsonedit.Key }

// NewKeys returns the keys for the key of the consent to telemetry: the other
// decisions stand next to it.
func NewKeys(telemetry jsonedit.Key) Keys {
	beside := func(name string) jsonedit.Key {
		return append(slices.Clone(telemetry[:len(telemetry)-1]), name)
	}
	return Keys{telemetry, beside("health_enabled"), beside("granted_schema"), beside("granted_facts")}
}

// InSettings returns the keys to read for [Keys.ParseSettings].
func (k Keys) InSettings() []jsonedit.Key {
	return []jsonedit.Key{k.Telemetry, k.Health, k.Schema, k.Facts}
}

// InPolicy returns the keys to read for [ParsePolicy]: those that every
// program has, and those of a host whose keys differ.
func (k Keys) InPolicy() []jsonedit.Key {
	common := NewKeys(jsonedit.Key{"telemetry", "enabled"})
	return []jsonedit.Key{common.Telemetry, common.Health, k.Telemetry, k.Health}
}

// ParseSettings returns what a config or a consent file says in the values at
// [Keys.InSettings]. Name is the path of a consent file. A grant covers no
// version above latest.
func (k Keys) ParseSettings(values []jsonedit.Value, kind Kind, name string, latest Versions) Settings {
	return Settings{
		Telemetry: parseDecision(values[0], place(kind, name, k.Telemetry)),
		Health:    parseDecision(values[1], place(kind, name, k.Health)),
		Covers:    Versions{parseVersion(values[2], latest.Schema), parseVersion(values[3], latest.Facts)},
	}
}

// ParseTelemetry returns what a config says at the key of the consent to
// telemetry.
func (k Keys) ParseTelemetry(v jsonedit.Value, kind Kind, name string) Decision {
	return parseDecision(v, place(kind, name, k.Telemetry))
}

func place(kind Kind, name string, key jsonedit.Key) Source {
	if kind == Config {
		name = key.String()
	}
	return Source{Kind: kind, Name: name}
}

// UnreadSettings returns the settings of a place that cannot be read.
func UnreadSettings(kind Kind, name string) Settings {
	return Settings{
		Telemetry: UnreadDecision(kind, name),
		Health:    Decision{Source: Source{Kind: Nobody}},
		Covers:    Versions{1, 1},
	}
}

// UnreadDecision returns the denial of a place that cannot be read.
func UnreadDecision(kind Kind, name string) Decision {
	return Decision{State: Denied, Source: Source{kind, name, Unreadable}}
}

// HostSettings returns the settings that the host keeps. Its grants cover
// everything, and a state that does not exist denies.
func HostSettings(telemetry, health State, latest Versions) Settings {
	return Settings{hostDecision(telemetry), hostDecision(health), latest}
}

func hostDecision(s State) Decision {
	switch s {
	case Unset:
		return Decision{Source: Source{Kind: Nobody}}
	case Granted:
		return Decision{State: Granted, Source: Source{Kind: Host}}
	default:
		return Decision{State: Denied, Source: Source{Kind: Host}}
	}
}

// ParsePolicy returns what a policy file says in the values at
// [Keys.InPolicy]. Anything but true denies.
func ParsePolicy(path string, values []jsonedit.Value) Policy {
	denies := func(v jsonedit.Value) bool { return v.Kind != jsonedit.Absent && !isTrue(v) }
	return Policy{
		Path:            path,
		DeniesTelemetry: denies(values[0]) || denies(values[2]),
		DeniesHealth:    denies(values[1]) || denies(values[3]),
	}
}

func parseDecision(v jsonedit.Value, source Source) Decision {
	switch {
	case v.Kind == jsonedit.Absent:
		return Decision{Source: Source{Kind: Nobody}}
	case isTrue(v):
		return Decision{State: Granted, Source: source}
	case v.Kind != jsonedit.Bool:
		source.Problem = Invalid
	}
	return Decision{State: Denied, Source: source}
}

func isTrue(v jsonedit.Value) bool { return v.Kind == jsonedit.Bool && v.Text == "true" }

// parseVersion returns the version that a grant covers. A missing value means
// the first one, values above latest mean latest, and anything but a natural
// number means none.
func parseVersion(v jsonedit.Value, latest int) int {
	if v.Kind == jsonedit.Absent {
		return 1
	}
	n, err := strconv.ParseUint(v.Text, 10, 63)
	if v.Kind != jsonedit.Number || err != nil {
		return 0
	}
	return int(min(n, uint64(latest)))
}
