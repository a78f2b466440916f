package jsonedit

import (
	"bytes"
	"errors"
	"unicode/utf8"

	"github.com/rollcall-dev/rollcall/internal/jsonscan"
)

// A Kind is the type of a value.
type Kind int

// The kinds of values. Absent means that there is none, or that null stands in
// place of an object on the way to it. Blocked means that anything else does.
const (
	Absent Kind = iota
	Null
	Bool
	Number
	String
	Array
	Object
	Blocked
)

// kindOf returns the kind of the valid value that begins with c.
func kindOf(c byte) Kind {
	switch c {
	case '{':
		return Object
	case '[':
		return Array
	case '"':
		return String
	case 't', 'f':
		return Bool
	case 'n':
		return Null
	default:
		return Number
	}
}

// maxText is the length in bytes of the longest Text that a Value keeps.
// Nothing that this module stores comes near it.
const maxText = 256

// A Value is what a document has at one key.
type Value struct {
	Kind Kind

	// Text is the decoded text of a string, and a boolean or number as it is
	// written; if Blocked, of the one that stands in place of an object. It is
	// empty for the other kinds, and if Long is set.
	Text string

	// Long means that the text has more than 256 bytes and was not kept, so
	// that a megabyte in the wrong place ends up neither in memory nor in a
	// log.
	Long bool
}

// IsAbsent reports whether there is no value, or null, which means the same.
func (v Value) IsAbsent() bool { return v.Kind == Absent || v.Kind == Null }

// valueOf returns the value that is written as raw, which must be valid.
func valueOf(raw []byte) Value {
	v := Value{Kind: kindOf(raw[0])}
	var text []byte
	switch v.Kind {
	case Bool, Number:
		text = raw
	case String:
		text = jsonscan.Unquote(raw, maxText)
	}
	if v.Long = len(text) > maxText; !v.Long {
		v.Text = string(text)
	}
	return v
}

// A Scalar is a value to write: a string, a number, true, false or null.
type Scalar struct {
	raw  []byte // as it is written
	text string // of a string
}

// NewString returns the scalar of a string. It fails if text is not valid
// UTF-8.
func NewString(text string) (Scalar, error) {
	if !utf8.ValidString(text) {
		return Scalar{}, errors.New("value: invalid UTF-8")
	}
	return Scalar{quoted(text), text}, nil
}

// NewLiteral returns the scalar that JSON writes as literal: true, false, null
// or a number.
func NewLiteral(literal string) (Scalar, error) {
	raw := []byte(literal)
	switch kindOf(jsonscan.ByteAt(raw, 0)) {
	case Bool, Null, Number:
		if jsonscan.SkipValue(raw, 0) == len(raw) {
			return Scalar{raw: raw}, nil
		}
	}
	return Scalar{}, errors.New("value: not true, false, null or a number")
}

// Value returns the value that a reader of s sees.
func (s Scalar) Value() Value { return valueOf(s.raw) }

// is reports whether raw is the scalar, however a string is written.
func (s Scalar) is(raw []byte) bool {
	return bytes.Equal(raw, s.raw) || s.raw[0] == '"' && isString(raw, s.text)
}
