package report

import (
	"cmp"
	"fmt"
	"slices"
)

// A Declaration is a set of valid facts. It cannot be changed and is safe for concurrent use; nil and the zero value have
// no facts. Make it with [Declare].
type Declaration struct {
	facts []declared // in the order of their names
}

type declared struct {
	Fact
	values []string
}

// Declare checks the facts and takes them into a declaration. There can be up to [MaxFacts], each with a name of its own.
// An error names the fact that is wrong: it is a mistake of the host's developer.
func Declare(facts ...Fact) (*Declaration, error) {
	if len(facts) > MaxFacts {
		return nil, fmt.Errorf("declare facts: %d facts, more than %d", len(facts), MaxFacts)
	}
	d := &Declaration{facts: make([]declared, 0, len(facts))}
	for _, f := range facts {
		if err := f.check(); err != nil {
			return nil, fmt.Errorf("declare fact %q: %w", f.Name, err)
		}
		f.Since = max(f.Since, 1)
		f.Kind = f.Kind.clone()
		at, twice := slices.BinarySearchFunc(d.facts, f.Name, func(d declared, name string) int { return cmp.Compare(d.Name, name) })
		if twice {
			return nil, fmt.Errorf("declare fact %q: it is declared twice", f.Name)
		}
		d.facts = slices.Insert(d.facts, at, declared{f, f.Kind.Choices()})
	}
	return d, nil
}

// Encode gives the facts as they are sent. A value is a bool for a [Boolean], a string for an [Enumeration], and a number
// of any type for a [Bucketed] fact, types of the host's own that are made of these included. Values of other types,
// values that were not declared, and those of facts that were not declared are left out, and so are facts without a
// value. It allocates the facts and nothing else.
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
		if at := f.Kind.index(value); at >= 0 {
			facts = append(facts, FactValue{f.Name, f.values[at]})
		}
	}
	return facts
}

// Version is the highest [Fact.Since], and 0 without facts: what the operator agrees to when telemetry is granted.
func (d *Declaration) Version() int {
	version := 0
	for _, f := range d.all() {
		version = max(version, f.Since)
	}
	return version
}

// Until gives the declaration without the facts that came after the version: those that the operator was not asked about.
func (d *Declaration) Until(version int) *Declaration {
	until := &Declaration{}
	for _, f := range d.all() {
		if f.Since <= version {
			until.facts = append(until.facts, f)
		}
	}
	return until
}

// Fields lists the facts in the form of [Fields], in the order of their names.
func (d *Declaration) Fields() []Field {
	var fields []Field
	for _, f := range d.all() {
		fields = append(fields, Field{
			Name: "facts." + f.Name, Type: f.Kind.Type(), Since: f.Since, Bound: f.Kind.Bound(), Reason: f.Reason,
			Optional: true,
		})
	}
	return fields
}

// Facts gives the facts in the order of their names. The caller owns them.
func (d *Declaration) Facts() []Fact {
	var facts []Fact
	for _, f := range d.all() {
		f.Kind = f.Kind.clone()
		facts = append(facts, f.Fact)
	}
	return facts
}

func (d *Declaration) all() []declared {
	if d == nil {
		return nil
	}
	return d.facts
}
