package jsonedit

import (
	"bytes"
	"encoding/binary"
	"math/bits"
)

// quickWalk is walk for what it understands at a glance: strict JSON with an object at the top. It takes four fifths of the
// time (BenchmarkScan), which is most of that of a start that finds its ID. Whatever else there is, it leaves to walk,
// which says what is wrong, if anything is: ok is false then. FuzzQuickWalk holds the two together.
//
// text is valid UTF-8.
func quickWalk(text []byte, keys []Key) (doc document, ok bool, notObj error) {
	q := quick{newFinder(text, text, keys)}
	i := passSpace(text, 0)
	if byteAt(text, i) != '{' {
		return document{}, false, nil
	}
	if i = q.object(i, 0, -1, &q.doc.top); i < 0 {
		return document{}, false, nil
	}
	return q.doc, passSpace(text, i) == len(text), q.notObj
}

// quick goes through the objects on the way to the keys.
//
// Its methods, and the functions that pass over what is in the text at i, return the offset behind it, or unsound. A
// position of their own would keep them out of registers.
type quick struct{ finder }

const unsound = -1

// object is walker's.
func (q *quick) object(i, depth, holder int, m *members) int {
	text := q.doc.text
	*m = members{holder: holder, open: i, previousEnd: i + 1}
	i = passSpace(text, i+1)
	for more := byteAt(text, i) != '}'; more; {
		if i = q.member(i, depth, m); i < 0 {
			return unsound
		}
		i = passSpace(text, i)
		if more = byteAt(text, i) == ','; more {
			i = passSpace(text, i+1)
		}
	}
	if byteAt(text, i) != '}' {
		return unsound
	}
	m.close = i
	q.closeObject(depth, m)
	return i + 1
}

// member is walker's.
func (q *quick) member(i, depth int, m *members) int {
	text := q.doc.text
	if m.count > 0 {
		m.previousEnd = m.last.valueEnd
	}
	m.last.name = i
	if i = passString(text, i); i < 0 {
		return unsound
	}
	m.last.nameEnd = i
	if m.count++; m.count == 1 {
		m.first = m.last.name
	}
	matched, further, err := q.match(text[m.last.name:i], depth, m.last.name)
	if err != nil {
		return unsound
	}
	if i = passColon(text, i); i < 0 {
		return unsound
	}
	m.last.value = i
	kind := kindAt(text, i)
	if further && kind == Object {
		var inner members
		i = q.object(i, depth+1, m.last.name, &inner)
	} else {
		i = passValue(text, i)
	}
	if i < 0 {
		return unsound
	}
	m.last.valueEnd = i
	if matched {
		q.unmatch(depth, kind, m.last)
	}
	return i
}

// byteAt gives a byte of the text, and 0, which is not in it, behind its end.
func byteAt(text []byte, i int) byte {
	if uint(i) < uint(len(text)) {
		return text[i]
	}
	return 0
}

// kindAt tells what the value that begins at i is, if it is one.
func kindAt(text []byte, i int) Kind {
	switch byteAt(text, i) {
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

func passValue(text []byte, i int) int {
	switch byteAt(text, i) {
	case '{':
		return passObject(text, i+1)
	case '[':
		return passArray(text, i+1)
	case '"':
		return passString(text, i)
	case 't':
		return passWord(text, i, "true")
	case 'f':
		return passWord(text, i, "false")
	case 'n':
		return passWord(text, i, "null")
	default:
		return passNumber(text, i)
	}
}

// passObject passes over an object whose brace is behind i.
func passObject(text []byte, i int) int {
	i = passSpace(text, i)
	if byteAt(text, i) == '}' {
		return i + 1
	}
	for {
		if i = passString(text, i); i < 0 {
			return unsound
		}
		if i = passColon(text, i); i < 0 {
			return unsound
		}
		if i = passValue(text, i); i < 0 {
			return unsound
		}
		i = passSpace(text, i)
		switch byteAt(text, i) {
		case ',':
			i = passSpace(text, i+1)
		case '}':
			return i + 1
		default:
			return unsound
		}
	}
}

// passArray passes over an array whose bracket is behind i.
func passArray(text []byte, i int) int {
	i = passSpace(text, i)
	if byteAt(text, i) == ']' {
		return i + 1
	}
	for {
		if i = passValue(text, i); i < 0 {
			return unsound
		}
		i = passSpace(text, i)
		switch byteAt(text, i) {
		case ',':
			i = passSpace(text, i+1)
		case ']':
			return i + 1
		default:
			return unsound
		}
	}
}

// passColon passes over the colon behind a name and the white space around it.
func passColon(text []byte, i int) int {
	if i = passSpace(text, i); byteAt(text, i) != ':' {
		return unsound
	}
	return passSpace(text, i+1)
}

func passWord(text []byte, i int, word string) int {
	if !bytes.HasPrefix(text[i:], []byte(word)) {
		return unsound
	}
	return i + len(word) // a letter there ends no value, and is found by whoever looks for what does
}

func passNumber(text []byte, i int) int {
	if byteAt(text, i) == '-' {
		i++
	}
	if byteAt(text, i) == '0' {
		i++
	} else if i = passDigits(text, i); i < 0 {
		return unsound
	}
	if byteAt(text, i) == '.' {
		if i = passDigits(text, i+1); i < 0 {
			return unsound
		}
	}
	if c := byteAt(text, i); c == 'e' || c == 'E' {
		i++
		if c := byteAt(text, i); c == '+' || c == '-' {
			i++
		}
		return passDigits(text, i)
	}
	return i
}

// passDigits passes over digits, at least one.
func passDigits(text []byte, i int) int {
	begin := i
	for i < len(text) && '0' <= text[i] && text[i] <= '9' {
		i++
	}
	if i == begin {
		return unsound
	}
	return i
}

func passString(text []byte, i int) int {
	if byteAt(text, i) != '"' {
		return unsound
	}
	for i++; ; {
		i = passPlain(text, i)
		switch byteAt(text, i) {
		case '"':
			return i + 1
		case '\\':
			if i = passEscape(text, i+1); i < 0 {
				return unsound
			}
		default:
			return unsound // a control character, or the end
		}
	}
}

// passEscape passes over what stands behind a backslash.
func passEscape(text []byte, i int) int {
	switch byteAt(text, i) {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return i + 1
	case 'u':
		for range 4 {
			i++
			if c := byteAt(text, i); (c < '0' || c > '9') && (c < 'a' || c > 'f') && (c < 'A' || c > 'F') {
				return unsound
			}
		}
		return i + 1
	}
	return unsound
}

// Most of a config is white space and strings without escapes. These are looked at in eights. The first byte of eight is
// the lowest one of a word, and ones has 1 in each.
const ones = 0x0101010101010101

func eightAt(text []byte, i int) uint64 { return binary.LittleEndian.Uint64(text[i:]) }

func passSpace(text []byte, i int) int {
	if i < len(text) && text[i] > ' ' {
		return i
	}
	return passSpaces(text, i)
}

func passSpaces(text []byte, i int) int {
	for i < len(text) {
		switch text[i] {
		case ' ', '\t', '\r':
			i++
		case '\n':
			i++
			for len(text)-i >= 8 { // of an indentation
				if others := eightAt(text, i) ^ ones*' '; others != 0 {
					i += bits.TrailingZeros64(others) / 8
					break
				}
				i += 8
			}
		default:
			return i
		}
	}
	return i
}

// passPlain passes over characters that mean themselves.
func passPlain(text []byte, i int) int {
	for ; len(text)-i >= 8; i += 8 {
		if special := specials(eightAt(text, i)); special != 0 {
			return i + bits.TrailingZeros64(special)/8
		}
	}
	for ; i < len(text); i++ {
		if c := text[i]; c < ' ' || c == '"' || c == '\\' {
			break
		}
	}
	return i
}

// specials sets the highest bit of the first of eight bytes that is a quote, a backslash or a control character. What it
// says of those behind it need not be true. See "Determine if a word has a byte less than n" in Anderson's Bit Twiddling
// Hacks.
func specials(eight uint64) uint64 {
	const highs = ones << 7
	quote, backslash := eight^ones*'"', eight^ones*'\\'
	return ((quote-ones)&^quote | (backslash-ones)&^backslash | (eight-ones*' ')&^eight) & highs
}
