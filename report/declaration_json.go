package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
)

// A declarationJSON is the form of a declaration in a file.
type declarationJSON struct {
	Facts []factJSON `json:"facts"`
}

type factJSON struct {
	Name   string   `json:"name"`
	Reason string   `json:"reason"`
	Type   string   `json:"type"` // one of factTypes
	Since  int      `json:"since,omitempty"`
	Values []string `json:"values,omitempty"` // of an enum
	Bounds []int64  `json:"bounds,omitempty"` // of buckets
}

// factTypes are the types of facts in a file.
var factTypes = map[factKind]string{boolean: "bool", enumeration: "enum", bucketed: "buckets"}

// MarshalJSON returns the declaration in the form that [ParseDeclaration] reads:
//
//	{"facts": [
//	  {"name": "tls", "reason": "…", "type": "bool"},
//	  {"name": "store.kind", "reason": "…", "type": "enum", "values": ["sqlite", "postgres"]},
//	  {"name": "users", "reason": "…", "type": "buckets", "since": 2, "bounds": [1, 10, 100]}
//	]}
//
// A since of 1 is left out.
func (d *Declaration) MarshalJSON() ([]byte, error) {
	file := declarationJSON{Facts: []factJSON{}}
	for _, f := range d.all() {
		stored := factJSON{Name: f.Name, Reason: f.Reason, Type: factTypes[f.kind], Bounds: f.bounds}
		if f.Since > 1 {
			stored.Since = f.Since
		}
		if f.kind == enumeration {
			stored.Values = f.values
		}
		file.Facts = append(file.Facts, stored)
	}
	return json.Marshal(file)
}

// UnmarshalJSON is [ParseDeclaration].
func (d *Declaration) UnmarshalJSON(data []byte) error {
	parsed, err := ParseDeclaration(data)
	if err != nil {
		return err
	}
	*d = *parsed
	return nil
}

// ParseDeclaration reads a declaration that MarshalJSON returned, or that someone
// has written in that form. Unknown fields are errors, because a misspelt one
// would change what is declared.
func ParseDeclaration(data []byte) (*Declaration, error) {
	var file declarationJSON
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&file); err != nil {
		return nil, fmt.Errorf("read declaration: %w", err)
	}
	if _, err := decoder.Token(); err != io.EOF {
		return nil, fmt.Errorf("read declaration: something follows it")
	}
	facts := make([]Fact, 0, len(file.Facts))
	for _, stored := range file.Facts {
		fact, err := stored.fact()
		if err != nil {
			return nil, fmt.Errorf("read declaration: fact %q: %w", stored.Name, err)
		}
		facts = append(facts, fact)
	}
	return Declare(facts...)
}

func (f *factJSON) fact() (fact Fact, err error) {
	switch f.Type {
	case factTypes[boolean]:
		fact = BoolFact(f.Name, f.Reason)
	case factTypes[enumeration]:
		fact = EnumFact(f.Name, f.Reason, f.Values...)
	case factTypes[bucketed]:
		fact = BucketFact(f.Name, f.Reason, f.Bounds...)
	default:
		return fact, fmt.Errorf("the type %q is not bool, enum or buckets", f.Type)
	}
	if f.Values != nil && f.Type != factTypes[enumeration] {
		return fact, fmt.Errorf("only an enum has values")
	}
	if f.Bounds != nil && f.Type != factTypes[bucketed] {
		return fact, fmt.Errorf("only buckets have bounds")
	}
	return fact.AddedIn(f.Since), nil
}

// Facts returns the facts in the order of their names. The caller owns the slice.
func (d *Declaration) Facts() []Fact { return append([]Fact(nil), d.all()...) }
