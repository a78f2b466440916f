package alert

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/rollcall-dev/rollcall/report"
)

// A Kind is the kind of condition of a rule.
type Kind string

// The kinds of rules.
const (
	// ActiveDrop fires when the established installations active on the last
	// complete day are Percent fewer than the average of the same weekday in
	// the four weeks before, if that average is Least or more.
	ActiveDrop Kind = "active_drop"
	// FaultRate fires for each fault that, in the last 7 days, affects Percent
	// more of the installations of the newest release than of the release
	// before, and more of them than chance explains. It ignores development
	// versions and versions that fewer than Least installations run.
	FaultRate Kind = "fault_rate"
	// Adoption fires when Percent of the installations active in 28 days run
	// Version or a newer one.
	Adoption Kind = "adoption"
	// Silence fires when no report was counted for Hours while the collector
	// was running, although installations were active in the 7 days before.
	Silence Kind = "silence"
	// NewBurst fires when the installations that are new today are Percent more
	// than the average of the 14 days before, and Least or more.
	NewBurst Kind = "new_burst"

	// oldFaultRate is the name of FaultRate in older stores.
	oldFaultRate = "issue_rate"
)

// UnmarshalText implements [encoding.TextUnmarshaler]. It accepts the old name
// of FaultRate.
func (k *Kind) UnmarshalText(text []byte) error {
	if *k = Kind(text); *k == oldFaultRate {
		*k = FaultRate
	}
	return nil
}

// Kinds returns all kinds of rules.
func Kinds() []Kind { return slices.Sorted(maps.Keys(kinds)) }

// kinds are the fields of each kind of rule.
var kinds = map[Kind]struct {
	fields     []string
	maxPercent float64
}{
	ActiveDrop: {[]string{"percent", "least"}, 100},
	FaultRate:  {[]string{"percent", "least"}, MaxPercent},
	Adoption:   {[]string{"percent", "version"}, 100},
	Silence:    {[]string{"hours"}, 0},
	NewBurst:   {[]string{"percent", "least"}, MaxPercent},
}

// The limits of the fields of a [Rule].
const (
	MaxPercent = 100_000
	MaxHours   = 720
	MaxLeast   = 1_000_000_000
)

// A Rule is a condition. Each kind of rule has some of the fields.
type Rule struct {
	Kind    Kind    `json:"kind"`
	Percent float64 `json:"percent,omitzero"` // 1 to MaxPercent; for ActiveDrop and Adoption to 100
	Hours   float64 `json:"hours,omitzero"`   // 1 to MaxHours
	Version string  `json:"version,omitzero"` // normalized by report.NormalizeVersion
	Least   int     `json:"least,omitzero"`   // 1 to MaxLeast; 0 is DefaultLeast
}

// DefaultLeast is the value of Rule.Least if that is 0. Smaller groups change a
// lot by chance.
const DefaultLeast = 30

func (r *Rule) least() uint64 { return uint64(cmp.Or(r.Least, DefaultLeast)) }

// Key identifies the rule among those of its app.
func (r *Rule) Key() string {
	return fmt.Sprintf("%s %g %g %s %d", r.Kind, r.Percent, r.Hours, r.Version, r.Least)
}

func (r *Rule) validate() error {
	k, ok := kinds[r.Kind]
	if !ok {
		return fmt.Errorf("kind is not one of %v", Kinds())
	}
	has := func(field string) bool { return slices.Contains(k.fields, field) }
	for _, field := range []struct {
		name string
		set  bool
	}{{"percent", r.Percent != 0}, {"hours", r.Hours != 0}, {"version", r.Version != ""}, {"least", r.Least != 0}} {
		if field.set && !has(field.name) {
			return fmt.Errorf("%s is not a field of %s", field.name, r.Kind)
		}
	}
	switch {
	case has("percent") && !(r.Percent >= 1 && r.Percent <= k.maxPercent):
		return fmt.Errorf("percent is not 1 to %.0f", k.maxPercent)
	case has("hours") && !(r.Hours >= 1 && r.Hours <= MaxHours):
		return fmt.Errorf("hours is not 1 to %d", MaxHours)
	case has("version") && (r.Version == "" || report.NormalizeVersion(r.Version) != r.Version):
		return errors.New("version is not a version")
	case has("least") && (r.Least < 0 || r.Least > MaxLeast):
		return fmt.Errorf("least is not 0 to %d", MaxLeast)
	}
	return nil
}
