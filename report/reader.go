package report

import (
	"bytes"
	"encoding/json"
	"strconv"
	"unicode/utf8"
)

// A reader walks over one JSON value. The data is known to be valid, so that the reader only has to find its way.
type reader struct {
	data    []byte
	pos     int
	plain   []byte // the text with escapes that was read last, without them
	dropped Dropped
}

// newReader checks the data, in the order of what it costs: size, encoding, depth, syntax. All of it takes one pass each
// and memory that does not grow with the data.
func newReader(data []byte, most int) (*reader, *InvalidError) {
	switch {
	case len(data) > most:
		return nil, invalid(CodeTooLarge)
	case !utf8.Valid(data):
		return nil, invalid(CodeBadUTF8)
	case tooDeep(data):
		return nil, invalid(CodeTooDeep)
	case !json.Valid(data):
		return nil, invalid(CodeNotJSON)
	}
	return &reader{data: data}, nil
}

// tooDeep tells whether more than MaxDepth brackets are open anywhere. In data that is not JSON it may be wrong.
func tooDeep(data []byte) bool {
	depth := 0
	for i := 0; i < len(data); i++ {
		switch data[i] {
		case '"':
			i = endOfText(data, i) - 1
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

// endOfText gives the position after the text that begins with the quote at i, or the end of the data.
func endOfText(data []byte, i int) int {
	for i++; i < len(data); i++ {
		switch data[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(data)
}

// peek gives the first byte of what comes next, past white space.
func (r *reader) peek() byte {
	for {
		switch c := r.data[r.pos]; c {
		case ' ', '\t', '\n', '\r':
			r.pos++
		default:
			return c
		}
	}
}

// enter steps into an object or array, as the bracket says, and tells whether there is one. The caller reads it to its
// end, with more before each key or element.
func (r *reader) enter(bracket byte) bool {
	if r.peek() != bracket {
		return false
	}
	r.pos++
	return true
}

// more tells whether another key or element follows, and steps out of the object or array if not.
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

// text reads a text, without its escapes; it is good until the next one is read. If what follows is not a text, nothing
// is read.
func (r *reader) text() ([]byte, bool) {
	if r.peek() != '"' {
		return nil, false
	}
	start := r.pos
	r.pos = endOfText(r.data, start)
	raw := r.data[start+1 : r.pos-1]
	if bytes.IndexByte(raw, '\\') < 0 {
		return raw, true
	}
	r.plain = appendPlain(r.plain[:0], raw)
	return r.plain, true
}

// appendPlain adds the inside of a text without its escapes. All texts that a report can have are ASCII, so that it is
// enough that the two halves of a character beyond the basic plane become something which is not.
func appendPlain(dst, raw []byte) []byte {
	for i := 0; i < len(raw); i++ {
		c := raw[i]
		if c != '\\' {
			dst = append(dst, c)
			continue
		}
		i++
		switch c := raw[i]; c {
		case 'b':
			dst = append(dst, '\b')
		case 'f':
			dst = append(dst, '\f')
		case 'n':
			dst = append(dst, '\n')
		case 'r':
			dst = append(dst, '\r')
		case 't':
			dst = append(dst, '\t')
		case 'u':
			n, _ := strconv.ParseUint(string(raw[i+1:i+5]), 16, 16) // four digits: the data is valid
			dst = utf8.AppendRune(dst, rune(n))
			i += 4
		default:
			dst = append(dst, c)
		}
	}
	return dst
}

// number reads a whole number without fraction and exponent, or nothing.
func (r *reader) number() ([]byte, bool) {
	if c := r.peek(); c != '-' && !isDigit(c) {
		return nil, false
	}
	end := r.endOfLiteral()
	literal := r.data[r.pos:end]
	if bytes.ContainsAny(literal, ".eE") {
		return nil, false
	}
	r.pos = end
	return literal, true
}

// boolean reads true or false, or nothing.
func (r *reader) boolean() (value, ok bool) {
	c := r.peek()
	if c != 't' && c != 'f' {
		return false, false
	}
	r.pos = r.endOfLiteral()
	return c == 't', true
}

// skip reads any value.
func (r *reader) skip() {
	depth := 0
	for {
		switch r.peek() {
		case '"':
			r.pos = endOfText(r.data, r.pos)
		case '{', '[':
			r.pos++
			depth++
		case '}', ']':
			r.pos++
			depth--
		case ',', ':':
			r.pos++
			continue
		default:
			r.pos = r.endOfLiteral()
		}
		if depth == 0 {
			return
		}
	}
}

// endOfLiteral gives the position after the number, true, false or null that is here.
func (r *reader) endOfLiteral() int {
	n := bytes.IndexAny(r.data[r.pos:], ",}] \t\n\r")
	if n < 0 {
		return len(r.data)
	}
	return r.pos + n
}
