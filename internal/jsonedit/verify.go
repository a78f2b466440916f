package jsonedit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// verify returns an error unless after is doc with the value at key and no
// other difference, and not too deep. It does not use the parser, which
// placed the splices: encoding/json checks the result, and the two
// documents are compared member by member.
func verify(doc *document, after []byte, splices []splice, key Key, value Scalar) error {
	if err := verifyBytes(doc.text, after, splices); err != nil {
		return err
	}
	d := firstDefect(after)
	strict := after
	if d == nil && !doc.isStrict() {
		strict, d = blankComments(after)
	}
	if d != nil {
		return fmt.Errorf("read the result: %w", d.error(after))
	}
	if !json.Valid(strict) {
		return errors.New("the result is not valid JSON")
	}
	for _, s := range splices {
		if s.remove > 0 && !isValue(doc.strict[s.offset:][:s.remove]) {
			return errors.New("more than a value would be removed")
		}
	}
	return compare(doc.strict, strict, key, value)
}

// verifyBytes returns an error unless after consists of all the bytes of
// before that the splices leave, and of what they insert between them.
func verifyBytes(before, after []byte, splices []splice) error {
	rest, done := after, 0
	take := func(want []byte) bool {
		var ok bool
		rest, ok = bytes.CutPrefix(rest, want)
		return ok
	}
	for _, s := range splices {
		if s.offset < done || s.remove < 0 || s.remove > len(before)-s.offset {
			return errors.New("changes out of order")
		}
		if !take(before[done:s.offset]) || !take(s.insert) {
			return errors.New("other bytes would change")
		}
		done = s.offset + s.remove
	}
	if !take(before[done:]) || len(rest) > 0 {
		return errors.New("other bytes would change")
	}
	return nil
}

// isValue reports whether text is one value without anything around it.
func isValue(text []byte) bool { return len(trim(text)) == len(text) && json.Valid(text) }

var errOtherMembers = errors.New("other members would change")

// compare returns an error unless two objects in valid JSON have the same
// members in the same order, except for the one at key, which in after is the
// value. Objects on the way to it may be new, or null before.
func compare(before, after []byte, key Key, value Scalar) error {
	found := false
	b, wasObject := members(before)
	a, isObject := members(after)
	if !isObject || !wasObject && string(trim(before)) != "null" {
		return errOtherMembers
	}
	for len(b) > 0 {
		var old, changed []byte
		old, b = cut(b, ',')
		changed, a = cut(a, ',')
		oldName, oldValue := cut(old, ':')
		name, newValue := cut(changed, ':')
		var err error
		switch {
		case !bytes.Equal(oldName, name):
			err = errOtherMembers
		case found || !isString(name, key[0]):
			if !bytes.Equal(oldValue, newValue) {
				err = errOtherMembers
			}
		default:
			found = true
			if len(key) > 1 {
				err = compare(oldValue, newValue, key[1:], value)
			} else if !value.is(newValue) {
				err = errOtherMembers
			}
		}
		if err != nil {
			return err
		}
	}
	switch {
	case found && len(a) == 0:
		return nil
	case found:
		return errOtherMembers
	default:
		return compareNew(a, key, value)
	}
}

// compareNew returns an error unless list is one member, which leads to value
// and to nothing else.
func compareNew(list []byte, key Key, value Scalar) error {
	for i, want := range key {
		first, rest := cut(list, ',')
		name, newValue := cut(first, ':')
		if len(rest) > 0 || !isString(name, want) {
			return errOtherMembers
		}
		if i == len(key)-1 && value.is(newValue) {
			return nil
		}
		list, _ = members(newValue)
	}
	return errOtherMembers
}

// members returns what is between the braces of an object in valid JSON; ok is
// false for another value.
func members(text []byte) (list []byte, ok bool) {
	text = trim(text)
	if !bytes.HasPrefix(text, []byte("{")) {
		return nil, false
	}
	return trim(text[1 : len(text)-1]), true
}

// cut splits valid JSON at the first separator that is neither in a string nor
// in an inner object or array.
func cut(text []byte, separator byte) (before, after []byte) {
	depth := 0
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '"':
			i = stringEnd(text, i) - 1
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		case separator:
			if depth == 0 {
				return trim(text[:i]), trim(text[i+1:])
			}
		}
	}
	return trim(text), nil
}

func trim(text []byte) []byte { return bytes.Trim(text, " \t\r\n") }
