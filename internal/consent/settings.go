package consent

import (
	"slices"
	"strconv"

	"github.com/rollcall-dev/rollcall/internal/jsonedit"
)

// Keys are the keys of the decisions in a config or a consent file.
type Keys struct{ Telemetry, Health, UpdateCheck, Schema, Facts jsonedit.Key }

// NewKeys returns the keys for the key of the consent to telemetry: the other
// decisions stand next to it.
func NewKeys(telemetry jsonedit.Key) Keys {
	beside := func(name string) jsonedit.Key {
		return append(slices.Clone(telemetry[:len(telemetry)-1]), name)
	}
	return Keys{telemetry, beside("health_enabled"), beside("update_check"), beside("granted_schema"), beside("granted_facts")}
}

// InSettings returns the keys to read for [Keys.ParseSettings].
func (k Keys) InSettings() []jsonedit.Key {
	return []jsonedit.Key{k.Telemetry, k.Health, k.UpdateCheck, k.Schema, k.Facts}
}

// InPolicy returns the keys to read for [ParsePolicy]: those that every
// program has, and those of a host whose keys differ.
func (k Keys) InPolicy() []jsonedit.Key {
	common := NewKeys(jsonedit.Key{"telemetry", "enabled"})
	return []jsonedit.Key{common.Telemetry, common.Health, common.UpdateCheck, k.Telemetry, k.Health, k.UpdateCheck}
}

// ParseSettings returns what a config or a consent file says in the values at
// [Keys.InSettings]. Name is the path of a consent file. A grant covers no
// version above latest.
func (k Keys) ParseSettings(values []jsonedit.Value, kind Kind, name string, latest Versions) Settings {
	return Settings{
		Telemetry:   parseDecision(values[0], place(kind, name, k.Telemetry)),
		Health:      parseDecision(values[1], place(kind, name, k.Health)),
		UpdateCheck: parseDecision(values[2], place(kind, name, k.UpdateCheck)),
		Covers:      Versions{parseVersion(values[3], latest.Schema), parseVersion(values[4], latest.Facts)},
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
		Telemetry:   UnreadDecision(kind, name),
		Health:      Decision{Source: Source{Kind: Nobody}},
		UpdateCheck: UnreadDecision(kind, name),
		Covers:      Versions{1, 1},
	}
}

// UnreadDecision returns the denial of a place that cannot be read.
func UnreadDecision(kind Kind, name string) Decision {
	return Decision{State: Denied, Source: Source{Kind: kind, Name: name, Problem: Unreadable}}
}

// HostSettings returns the settings that the host keeps where name says. Its
// grants cover everything, and a state that does not exist denies.
func HostSettings(telemetry, health, updateCheck State, name string, latest Versions) Settings {
	return Settings{hostDecision(telemetry, name), hostDecision(health, name), hostDecision(updateCheck, name), latest}
}

func hostDecision(s State, name string) Decision {
	source := Source{Kind: Host, Name: name}
	switch s {
	case Unset:
		return Decision{Source: Source{Kind: Nobody}}
	case Granted:
		return Decision{State: Granted, Source: source}
	default:
		return Decision{State: Denied, Source: source}
	}
}

// ParsePolicy returns what a policy file says in the values at
// [Keys.InPolicy]. Anything but true denies; null is absence.
func ParsePolicy(path string, values []jsonedit.Value) Policy {
	denies := func(v jsonedit.Value) bool { return !v.IsAbsent() && !isTrue(v) }
	return Policy{
		Path:              path,
		DeniesTelemetry:   denies(values[0]) || denies(values[3]),
		DeniesHealth:      denies(values[1]) || denies(values[4]),
		DeniesUpdateCheck: denies(values[2]) || denies(values[5]),
	}
}

func parseDecision(v jsonedit.Value, source Source) Decision {
	switch {
	case v.IsAbsent():
		return Decision{Source: Source{Kind: Nobody}}
	case isTrue(v):
		return Decision{State: Granted, Source: source}
	case !Denies(v) && !isNo(v.Text):
		source.Problem = Invalid
	}
	return Decision{State: Denied, Source: source}
}

// Denies reports whether a plain denial, such as false or "off", stands in
// place of an object on the way to the key of v. As with the variables,
// whatever does not say yes is a denial.
func Denies(v jsonedit.Value) bool {
	return v.Kind == jsonedit.Blocked && v.Text != "" && !isYes(v.Text)
}

func isTrue(v jsonedit.Value) bool { return v.Kind == jsonedit.Bool && v.Text == "true" }

// parseVersion returns the version that a grant covers. A missing value means
// the first one, values above latest mean latest, and anything but a natural
// number means none.
func parseVersion(v jsonedit.Value, latest int) int {
	if v.IsAbsent() || v.Kind == jsonedit.Blocked {
		return 1
	}
	n, err := strconv.ParseUint(v.Text, 10, 63)
	if v.Kind != jsonedit.Number || err != nil {
		return 0
	}
	return int(min(n, uint64(latest)))
}
