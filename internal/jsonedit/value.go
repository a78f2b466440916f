package jsonedit

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// Kind is what stands at a key.
type Kind int

// The kinds of values, and Absent for none.
const (
	Absent Kind = iota
	Null
	Bool
	Number
	String
	Array
	Object
)

// String names the kind in lower case, for messages.
func (k Kind) String() string {
	names := [...]string{"absent", "null", "boolean", "number", "string", "array", "object"}
	if k < 0 || int(k) >= len(names) {
		return fmt.Sprintf("kind %d", int(k))
	}
	return names[k]
}

func kindOf(k jsontext.Kind) Kind {
	switch k {
	case jsontext.KindNull:
		return Null
	case jsontext.KindTrue, jsontext.KindFalse:
		return Bool
	case jsontext.KindNumber:
		return Number
	case jsontext.KindString:
		return String
	case jsontext.KindBeginArray:
		return Array
	case jsontext.KindBeginObject:
		return Object
	default:
		return Absent
	}
}

// maxText is the longest Text that a Value keeps. Nothing that this module stores comes near it.
const maxText = 256

// Value is what stands at one key of a config.
type Value struct {
	Kind Kind

	// Text is the decoded text of a string, and the literal of a boolean or number as it is written. It is empty for
	// the other kinds, and if Long.
	Text string

	// Long says that the text has more than 256 bytes and was not kept, so that a megabyte in the wrong place ends up
	// neither in memory nor in a log.
	Long bool
}

func newValue(kind Kind, raw []byte) Value {
	v := Value{Kind: kind}
	switch kind {
	case Bool, Number:
		if v.Long = len(raw) > maxText; !v.Long {
			v.Text = string(raw)
		}
	case String:
		text, ok := unquote(raw, maxText)
		if v.Long = !ok; ok {
			v.Text = string(text)
		}
	}
	return v
}

// unquote decodes a valid string literal, unless that has more than limit bytes. The result may be a part of raw.
func unquote(raw []byte, limit int) (text []byte, ok bool) {
	const longestEscape = len(`\u0000`)
	inner := raw[1 : len(raw)-1]
	if len(inner) > limit*longestEscape {
		return nil, false
	}
	text = inner
	if bytes.IndexByte(inner, '\\') >= 0 {
		// The error is about lone surrogates, which become U+FFFD as they do in encoding/json.
		text, _ = jsontext.AppendUnquote(nil, raw)
	}
	return text, len(text) <= limit
}

// isString reports whether a valid literal is a string, and that string is want.
func isString(raw []byte, want string) bool {
	if raw[0] != '"' {
		return false
	}
	if inner := raw[1 : len(raw)-1]; bytes.IndexByte(inner, '\\') < 0 {
		return string(inner) == want
	}
	text, ok := unquote(raw, len(want))
	return ok && string(text) == want
}

// Scalar is a value to be written.
type Scalar struct {
	raw    []byte // as it is written
	text   string // of a string
	isText bool
}

// NewString gives the Scalar of a string.
func NewString(text string) (Scalar, error) {
	raw, err := jsontext.AppendQuote(nil, text)
	if err != nil {
		return Scalar{}, errors.New("value: invalid UTF-8")
	}
	return Scalar{raw, text, true}, nil
}

// NewLiteral gives the Scalar of a literal: true, false, null or a number.
func NewLiteral(literal string) (Scalar, error) {
	v := jsontext.Value(literal)
	switch v.Kind() {
	case jsontext.KindTrue, jsontext.KindFalse, jsontext.KindNull, jsontext.KindNumber:
		if v.IsValid() && strings.TrimSpace(literal) == literal {
			return Scalar{raw: []byte(literal)}, nil
		}
	}
	return Scalar{}, errors.New("value: not true, false, null or a number")
}

// is reports whether raw is the Scalar, however it is written.
func (s Scalar) is(raw []byte) bool {
	if s.isText {
		return isString(raw, s.text)
	}
	return bytes.Equal(raw, s.raw)
}

// value gives what a reader will see.
func (s Scalar) Value() Value { return newValue(kindOf(jsontext.Value(s.raw).Kind()), s.raw) }
