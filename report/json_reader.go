package report

import (
	"bytes"
	"unicode/utf8"

	"github.com/rollcall-dev/rollcall/internal/jsonscan"
)

// A reader goes through one JSON value, which is valid: it only has to find
// its way.
type reader struct {
	data    []byte
	pos     int
	plain   []byte // the last text with escapes, without them
	dropped Dropped
}

// newReader checks data: its size, encoding, depth, and syntax. It allocates
// nothing that grows with data.
func newReader(data []byte, most int) (*reader, *InvalidError) {
	switch {
	case len(data) > most:
		return nil, invalid(CodeTooLarge)
	case !utf8.Valid(data):
		return nil, invalid(CodeBadUTF8)
	case tooDeep(data):
		return nil, invalid(CodeTooDeep)
	case !jsonscan.Valid(data):
		return nil, invalid(CodeNotJSON)
	}
	return &reader{data: data}, nil
}

// tooDeep reports whether more than MaxDepth brackets are open anywhere. If
// data is not JSON, it may be wrong.
func tooDeep(data []byte) bool {
	if bytes.Count(data, []byte("{"))+bytes.Count(data, []byte("[")) <= MaxDepth {
		return false // as in nearly every report
	}
	depth := 0
	for i := 0; i < len(data); i++ {
		switch data[i] {
		case '"':
			end := jsonscan.SkipString(data, i)
			if end < 0 {
				return false // not JSON
			}
			i = end - 1
		case '{', '[':
			if depth++; depth > MaxDepth {
				return true
			}
		case '}', ']':
			depth--
		}
	}
	return false
}

// peek returns the next byte that is no white space.
func (r *reader) peek() byte {
	r.pos = jsonscan.SkipSpace(r.data, r.pos)
	return r.data[r.pos]
}

// next skips a value and returns it.
func (r *reader) next() []byte {
	r.peek()
	start := r.pos
	r.pos = jsonscan.SkipValue(r.data, start)
	return r.data[start:r.pos]
}

// enter steps into an object or an array, and reports whether there is one.
// The caller reads it to its end, with more before each key or element.
func (r *reader) enter(bracket byte) bool {
	if r.peek() != bracket {
		return false
	}
	r.pos++
	return true
}

// more reports whether another key or element follows. If not, it steps out
// of the object or array.
func (r *reader) more() bool {
	switch r.peek() {
	case '}', ']':
		r.pos++
		return false
	case ',':
		r.pos++
	}
	return true
}

// key reads a key and the colon behind it.
func (r *reader) key() []byte {
	key, _ := r.text()
	r.peek()
	r.pos++ // the colon
	return key
}

// text reads a text, without its escapes. The result is valid until the next
// text is read. If something else follows, text reads nothing.
func (r *reader) text() ([]byte, bool) {
	if r.peek() != '"' {
		return nil, false
	}
	start := r.pos
	r.pos = jsonscan.SkipString(r.data, start)
	inner := r.data[start+1 : r.pos-1]
	if bytes.IndexByte(inner, '\\') < 0 {
		return inner, true
	}
	r.plain = jsonscan.AppendUnquoted(r.plain[:0], inner)
	return r.plain, true
}

// number reads a whole number without fraction and exponent, or nothing.
func (r *reader) number() ([]byte, bool) {
	if c := r.peek(); c != '-' && !isDigit(c) {
		return nil, false
	}
	start := r.pos
	literal := r.next()
	if bytes.ContainsAny(literal, ".eE") {
		r.pos = start
		return nil, false
	}
	return literal, true
}

// boolean reads true or false, or nothing.
func (r *reader) boolean() (value, ok bool) {
	c := r.peek()
	if c != 't' && c != 'f' {
		return false, false
	}
	r.next()
	return c == 't', true
}
