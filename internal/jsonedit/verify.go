package jsonedit

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/go-json-experiment/json/jsontext"
)

// verify returns an error unless after is before with the value at key and no other difference. It shares no
// step with what made the splices: it takes the bytes apart again, reads the result as any reader would, and compares
// the two configs member by member.
func verify(before, after []byte, splices []splice, key Key, value Scalar) error {
	if err := verifyBytes(before, after, splices); err != nil {
		return err
	}
	keys := []Key{key}
	old, err := parse(before, keys)
	if err != nil {
		return err
	}
	changed, err := parse(after, keys)
	if err != nil {
		return fmt.Errorf("read the result: %w", err)
	}
	if old.strict() && !changed.strict() {
		return errors.New("the result is not strict JSON any more")
	}
	mark := len(before) - len(old.text)
	for _, s := range splices {
		if s.remove > 0 && !isValue(old.std[s.offset-mark:][:s.remove]) {
			return errors.New("more than a value would be removed")
		}
	}
	return compare(old.std, changed.std, key, value)
}

// verifyBytes returns an error unless after is made of all the bytes of before that the splices leave, and of what
// they insert between them.
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

// isValue reports whether std is one value without anything around it.
func isValue(std []byte) bool {
	trimmed := bytes.Trim(std, " \t\r\n")
	return len(trimmed) == len(std) &&
		jsontext.Value(std).IsValid(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
}

var errOtherMembers = errors.New("other members would change")

// compare returns an error unless two configs in strict JSON have the same members in the same order, but for the one
// at key, which in after is the value. Objects on the way to it may be new.
func compare(before, after []byte, key Key, value Scalar) error {
	options := []jsontext.Options{jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)}
	b := jsontext.NewDecoder(bytes.NewBuffer(before), options...)
	a := jsontext.NewDecoder(bytes.NewBuffer(after), options...)
	if !begins(b) || !begins(a) {
		return errOtherMembers
	}
	return compareObjects(b, a, key, value)
}

// compareObjects compares two objects whose opening brace was read; the way on to the key is rest.
func compareObjects(b, a *jsontext.Decoder, rest Key, value Scalar) error {
	found := false
	for b.PeekKind() == jsontext.KindString {
		was, err := b.ReadValue()
		if err != nil {
			return err
		}
		is, err := a.ReadValue()
		if err != nil {
			return err
		}
		if !bytes.Equal(was, is) {
			return errOtherMembers
		}
		onTheWay := !found && isString(is, rest[0])
		found = found || onTheWay
		if onTheWay && len(rest) > 1 {
			if !begins(b) || !begins(a) {
				return errOtherMembers
			}
			if err := compareObjects(b, a, rest[1:], value); err != nil {
				return err
			}
			continue
		}
		was, err = b.ReadValue()
		if err != nil {
			return err
		}
		is, err = a.ReadValue()
		if err != nil {
			return err
		}
		if onTheWay && !value.is(is) || !onTheWay && !bytes.Equal(was, is) {
			return errOtherMembers
		}
	}
	if !found {
		if err := compareNew(a, rest, value); err != nil {
			return err
		}
	}
	if !ends(b) || !ends(a) {
		return errOtherMembers
	}
	return nil
}

// compareNew returns an error unless the next member of a leads to value and to nothing else.
func compareNew(a *jsontext.Decoder, rest Key, value Scalar) error {
	name, err := a.ReadValue()
	if err != nil {
		return err
	}
	if !isString(name, rest[0]) {
		return errOtherMembers
	}
	if len(rest) > 1 {
		if !begins(a) {
			return errOtherMembers
		}
		if err := compareNew(a, rest[1:], value); err != nil {
			return err
		}
		if !ends(a) {
			return errOtherMembers
		}
		return nil
	}
	is, err := a.ReadValue()
	if err != nil {
		return err
	}
	if !value.is(is) {
		return errOtherMembers
	}
	return nil
}

func begins(d *jsontext.Decoder) bool {
	token, err := d.ReadToken()
	return err == nil && token.Kind() == jsontext.KindBeginObject
}

func ends(d *jsontext.Decoder) bool {
	token, err := d.ReadToken()
	return err == nil && token.Kind() == jsontext.KindEndObject
}
