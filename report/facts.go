package report

import (
	"cmp"
	"slices"
	"strings"
)

// Facts are the facts of a heartbeat, in the order of their names, each name
// once.
type Facts []FactValue

// A FactValue is a fact and its value: "true" or "false", which are sent as
// JSON booleans, a value of an [EnumFact], or a range of a [BucketFact] such
// as "1-9" or ">=100".
type FactValue struct {
	Name, Value string
}

// Get returns the value of a fact, and whether there is one.
func (f Facts) Get(name string) (string, bool) {
	i, ok := slices.BinarySearchFunc(f, name, func(v FactValue, name string) int { return cmp.Compare(v.Name, name) })
	if !ok {
		return "", false
	}
	return f[i].Value, true
}

// MarshalJSON returns the facts as a heartbeat has them, an object.
func (f Facts) MarshalJSON() ([]byte, error) { return f.appendJSON(nil), nil }

func (f Facts) appendJSON(dst []byte) []byte {
	dst = append(dst, '{')
	for i, fact := range f {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendText(dst, fact.Name)
		dst = append(dst, ':')
		if isBoolean(fact.Value) {
			dst = append(dst, fact.Value...)
		} else {
			dst = appendText(dst, fact.Value)
		}
	}
	return append(dst, '}')
}

// factsCodec is the codec of the facts. Their names are the host's, so a
// malformed fact is no error of the report: it is dropped and counted.
type factsCodec struct{}

const factsBound = "at most 64 facts, each true, false, or a text of at most 32 characters that the program declared"

func (factsCodec) describe() (string, string) { return typeMap, factsBound }
func (factsCodec) empty(h *Heartbeat) bool    { return len(h.Facts) == 0 }

func (factsCodec) append(dst []byte, h *Heartbeat, _ int) []byte { return h.Facts.appendJSON(dst) }

func (factsCodec) check(h *Heartbeat) *InvalidError {
	if len(h.Facts) > MaxFacts {
		return outOfBounds(factsBound)
	}
	for i, fact := range h.Facts {
		if !ValidName(fact.Name) || !isBoolean(fact.Value) && !isFactText(fact.Value) {
			return outOfBounds(factsBound)
		}
		if i == 0 {
			continue
		}
		switch before := h.Facts[i-1].Name; {
		case before == fact.Name:
			return invalid(CodeDuplicate)
		case before > fact.Name:
			return outOfBounds("in the order of their names")
		}
	}
	return nil
}

func (factsCodec) parse(r *reader, h *Heartbeat) *InvalidError {
	if !r.enter('{') {
		return invalid(CodeWrongType)
	}
	var kept [MaxFacts]FactValue
	n := 0
	for r.more() {
		name := string(r.key())
		value, ok := r.factValue()
		if !ok || !ValidName(name) || n == MaxFacts {
			r.dropped.Facts++
			continue
		}
		kept[n] = FactValue{name, value}
		n++
	}
	facts := kept[:n]
	byName := func(a, b FactValue) int { return cmp.Compare(a.Name, b.Name) }
	if !slices.IsSortedFunc(facts, byName) {
		slices.SortFunc(facts, byName)
	}
	for i := range max(n-1, 0) {
		if facts[i].Name == facts[i+1].Name {
			return invalid(CodeDuplicate)
		}
	}
	h.Facts = append(Facts(nil), facts...)
	return nil
}

// factValue reads a value, and reports whether a fact can have it.
func (r *reader) factValue() (string, bool) {
	if value, ok := r.boolean(); ok {
		if value {
			return textTrue, true
		}
		return textFalse, true
	}
	text, ok := r.text()
	if !ok {
		r.next()
		return "", false
	}
	if len(text) > MaxFactValueLen {
		return "", false
	}
	value := string(text)
	return value, isFactText(value)
}

const textFalse, textTrue = "false", "true"

func isBoolean(value string) bool { return value == textFalse || value == textTrue }

// isFactText reports whether a text has the form of a fact's value: that of
// an [EnumFact], which ranges such as 1-9 have too, or that of the lowest or
// the highest range. The collector does not know the declared values.
func isFactText(value string) bool {
	if number, ok := strings.CutPrefix(value, ">="); ok {
		return isBound(number)
	}
	if number, ok := strings.CutPrefix(value, "<"); ok {
		return isBound(number)
	}
	return isCode(value, MaxFactValueLen) && !isBoolean(value)
}

// isBound reports whether text is a number from 0 to maxBound in its shortest
// form.
func isBound(text string) bool {
	const digits = 15 // of maxBound
	return lengthIn(text, digits) && all(text, isDigit) && (text[0] != '0' || text == "0")
}
