package report

import (
	"cmp"
	"slices"
	"strings"
)

// Facts are the facts of a heartbeat, in the order of their names, each name once.
type Facts []FactValue

// A FactValue is a fact and its value. It is the text true or false, which is sent as a JSON boolean, the value of an
// [Enumeration], or the name of a bucket such as 1-9 or >=100.
type FactValue struct {
	Name, Value string
}

// Get gives the value of the fact, and whether there is one.
func (f Facts) Get(name string) (string, bool) {
	i, ok := slices.BinarySearchFunc(f, name, func(v FactValue, name string) int { return cmp.Compare(v.Name, name) })
	if !ok {
		return "", false
	}
	return f[i].Value, true
}

// MarshalJSON gives the facts as they stand in a heartbeat, an object.
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

// factsCodec is the field of the facts. Their names are the host's, so that what is wrong with one of them is not an
// error of the report: it is dropped and counted.
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

// factValue reads a value, and tells whether it can be one of a fact.
func (r *reader) factValue() (string, bool) {
	if value, ok := r.boolean(); ok {
		if value {
			return textTrue, true
		}
		return textFalse, true
	}
	text, ok := r.text()
	if !ok {
		r.skip()
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

// isFactText tells whether the value of a fact that is sent as a text has the right form: that of an enumeration's value,
// which the middle buckets have too, or that of the lowest and highest bucket. The collector does not know which values
// were declared.
func isFactText(value string) bool {
	if number, ok := strings.CutPrefix(value, ">="); ok {
		return isBound(number)
	}
	if number, ok := strings.CutPrefix(value, "<"); ok {
		return isBound(number)
	}
	return isCode(value, MaxFactValueLen) && !isBoolean(value)
}

// isBound tells whether text is 0 to MaxBound in its shortest form.
func isBound(text string) bool {
	const digits = 15 // of MaxBound
	return lengthIn(text, digits) && all(text, isDigit) && (text[0] != '0' || text == "0")
}
