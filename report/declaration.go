package report

import (
	"cmp"
	"fmt"
	"slices"
)

// A Declaration is a set of valid facts. It never changes and is safe for
// concurrent use. Nil and the zero value have no facts.
type Declaration struct {
	facts []Fact // in the order of their names
}

// Declare checks up to [MaxFacts] facts and returns a declaration of them.
// The error names the fact that is wrong; it is a mistake of the host's
// developer.
func Declare(facts ...Fact) (*Declaration, error) {
	if len(facts) > MaxFacts {
		return nil, fmt.Errorf("declare facts: %d facts, more than %d", len(facts), MaxFacts)
	}
	d := &Declaration{facts: make([]Fact, 0, len(facts))}
	for _, f := range facts {
		if err := f.check(); err != nil {
			return nil, fmt.Errorf("declare fact %q: %w", f.Name, err)
		}
		f.Since = max(f.Since, 1)
		at, twice := slices.BinarySearchFunc(d.facts, f.Name, func(f Fact, name string) int { return cmp.Compare(f.Name, name) })
		if twice {
			return nil, fmt.Errorf("declare fact %q: it is declared twice", f.Name)
		}
		d.facts = slices.Insert(d.facts, at, f)
	}
	return d, nil
}

// Encode returns the facts as they are sent. The value of a [BoolFact] is a
// bool, that of an [EnumFact] a string, and that of a [BucketFact] a number of
// any type, or of a type that is made of one of these. A fact without such a
// value is left out, and so is a value that was not declared.
func (d *Declaration) Encode(values map[string]any) Facts {
	if d == nil || len(d.facts) == 0 || len(values) == 0 {
		return nil
	}
	facts := make(Facts, 0, min(len(d.facts), len(values)))
	for i := range d.facts {
		f := &d.facts[i]
		value, ok := values[f.Name]
		if !ok {
			continue
		}
		if at := f.index(value); at >= 0 {
			facts = append(facts, FactValue{f.Name, f.values[at]})
		}
	}
	return facts
}

// Version returns the highest [Fact.Since], and 0 without facts. An operator
// who grants telemetry agrees to this version.
func (d *Declaration) Version() int {
	version := 0
	for _, f := range d.all() {
		version = max(version, f.Since)
	}
	return version
}

// Until returns the declaration without the facts that were added after the
// version, which the operator was not asked about.
func (d *Declaration) Until(version int) *Declaration {
	until := &Declaration{}
	for _, f := range d.all() {
		if f.Since <= version {
			until.facts = append(until.facts, f)
		}
	}
	return until
}

// Fields lists the facts as [Fields] does, in the order of their names.
func (d *Declaration) Fields() []Field {
	var fields []Field
	for _, f := range d.all() {
		kind, bound := f.describe()
		fields = append(fields, Field{"facts." + f.Name, kind, f.Since, bound, f.Reason, true})
	}
	return fields
}

func (d *Declaration) all() []Fact {
	if d == nil {
		return nil
	}
	return d.facts
}
