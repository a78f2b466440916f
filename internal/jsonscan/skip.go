// Package jsonscan finds its way through strict JSON (RFC 8259). It allocates
// nothing, except for strings with escapes.
//
// A skip function takes a text and the offset of what it skips, and returns
// the offset behind that. A negative result is a failure: where the text is
// not JSON, and why. The functions have no position of their own, so that the
// offset stays in a register. They accept any UTF-8, valid or not, and limit
// nothing: callers check the encoding, the size and the depth.
package jsonscan

import (
	"encoding/binary"
	"math/bits"
)

// A Reason says what a text lacks, or has too much, at the offset of a
// failure.
type Reason int

const (
	WantValue Reason = iota
	WantName
	WantColon
	WantCommaOrBrace
	WantCommaOrBracket
	WantDigit
	WantLiteral
	WantPlain // a character of a string that need not be escaped
	WantEnd   // of the text
	BadEscape
	DuplicateName
)

const reasonBits = 4

// Failure encodes that a text is wrong at offset i, for the reason why.
func Failure(i int, why Reason) int { return ^(i<<reasonBits | int(why)) }

// Failed reports whether i is a failure.
func Failed(i int) bool { return i < 0 }

// DecodeFailure is the reverse of Failure.
func DecodeFailure(failure int) (offset int, why Reason) {
	return ^failure >> reasonBits, Reason(^failure & (1<<reasonBits - 1))
}

// ByteAt returns the byte at i, and 0 behind the end of text.
func ByteAt(text []byte, i int) byte {
	if uint(i) < uint(len(text)) {
		return text[i]
	}
	return 0
}

// Valid reports whether text is one JSON value.
func Valid(text []byte) bool {
	i := SkipValue(text, SkipSpace(text, 0))
	return !Failed(i) && SkipSpace(text, i) == len(text)
}

// SkipValue skips any value. It recurses into arrays and objects, so the
// caller must limit the depth of text.
func SkipValue(text []byte, i int) int {
	switch ByteAt(text, i) {
	case '{':
		return skipObject(text, i)
	case '[':
		return skipArray(text, i)
	case '"':
		return SkipString(text, i)
	case 't':
		return skipLiteral(text, i, "true")
	case 'f':
		return skipLiteral(text, i, "false")
	case 'n':
		return skipLiteral(text, i, "null")
	case '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
		return skipNumber(text, i)
	default:
		return Failure(i, WantValue)
	}
}

func skipObject(text []byte, i int) int {
	i = SkipSpace(text, i+1)
	if ByteAt(text, i) == '}' {
		return i + 1
	}
	for {
		if i = SkipName(text, i); Failed(i) {
			return i
		}
		if i = SkipColon(text, i); Failed(i) {
			return i
		}
		if i = SkipValue(text, i); Failed(i) {
			return i
		}
		i = SkipSpace(text, i)
		switch ByteAt(text, i) {
		case ',':
			i = SkipSpace(text, i+1)
		case '}':
			return i + 1
		default:
			return Failure(i, WantCommaOrBrace)
		}
	}
}

func skipArray(text []byte, i int) int {
	i = SkipSpace(text, i+1)
	if ByteAt(text, i) == ']' {
		return i + 1
	}
	for {
		if i = SkipValue(text, i); Failed(i) {
			return i
		}
		i = SkipSpace(text, i)
		switch ByteAt(text, i) {
		case ',':
			i = SkipSpace(text, i+1)
		case ']':
			return i + 1
		default:
			return Failure(i, WantCommaOrBracket)
		}
	}
}

// SkipName skips the name of a member.
func SkipName(text []byte, i int) int {
	if ByteAt(text, i) != '"' {
		return Failure(i, WantName)
	}
	return SkipString(text, i)
}

// SkipColon skips the colon behind a name and the white space around it.
func SkipColon(text []byte, i int) int {
	if i = SkipSpace(text, i); ByteAt(text, i) != ':' {
		return Failure(i, WantColon)
	}
	return SkipSpace(text, i+1)
}

func skipLiteral(text []byte, i int, literal string) int {
	for k := range len(literal) {
		if ByteAt(text, i+k) != literal[k] {
			return Failure(i+k, WantLiteral)
		}
	}
	return i + len(literal) // a letter there ends no value: whoever looks for the next token finds it
}

func skipNumber(text []byte, i int) int {
	if ByteAt(text, i) == '-' {
		i++
	}
	if ByteAt(text, i) == '0' {
		i++
	} else if i = skipDigits(text, i); Failed(i) {
		return i
	}
	if ByteAt(text, i) == '.' {
		if i = skipDigits(text, i+1); Failed(i) {
			return i
		}
	}
	if c := ByteAt(text, i); c == 'e' || c == 'E' {
		i++
		if c := ByteAt(text, i); c == '+' || c == '-' {
			i++
		}
		return skipDigits(text, i)
	}
	return i
}

// skipDigits skips at least one digit.
func skipDigits(text []byte, i int) int {
	begin := i
	for i < len(text) && '0' <= text[i] && text[i] <= '9' {
		i++
	}
	if i == begin {
		return Failure(i, WantDigit)
	}
	return i
}

// SkipString skips a string, with the quote at i.
func SkipString(text []byte, i int) int {
	for i++; ; {
		i = skipPlain(text, i)
		switch ByteAt(text, i) {
		case '"':
			return i + 1
		case '\\':
			if i = skipEscape(text, i); Failed(i) {
				return i
			}
		default:
			return Failure(i, WantPlain)
		}
	}
}

// skipEscape skips an escape sequence.
func skipEscape(text []byte, i int) int {
	digits := 0
	switch ByteAt(text, i+1) {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
	case 'u':
		digits = 4
	default:
		return badEscapeAt(text, i, i+1)
	}
	end := i + 2 + digits
	for k := i + 2; k < end; k++ {
		if c := ByteAt(text, k); (c < '0' || c > '9') && (c < 'a' || c > 'f') && (c < 'A' || c > 'F') {
			return badEscapeAt(text, i, k)
		}
	}
	return end
}

// badEscapeAt is the failure of an escape sequence at i, because of the byte
// at k. The end of the text is no mistake in it.
func badEscapeAt(text []byte, i, k int) int {
	if k >= len(text) {
		return Failure(k, WantPlain)
	}
	return Failure(i, BadEscape)
}

// Most of a config is white space and strings without escapes. These are
// looked at eight bytes at a time, of which the first is the lowest of a word.
// ones has 1 in each byte.
const ones = 0x0101010101010101

func eightAt(text []byte, i int) uint64 { return binary.LittleEndian.Uint64(text[i:]) }

// SkipSpace skips white space, if there is any.
func SkipSpace(text []byte, i int) int {
	if i < len(text) && text[i] > ' ' {
		return i
	}
	return skipSpaces(text, i)
}

// skipSpaces is the rest of SkipSpace, which without it is inlined.
func skipSpaces(text []byte, i int) int {
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

// skipPlain skips the characters of a string that stand for themselves.
func skipPlain(text []byte, i int) int {
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

// specials returns a word whose lowest bit marks the first of eight bytes that
// is a quote, a backslash or a control character; it is the highest bit of
// that byte. Higher bits mean nothing. See "Determine if a word has a byte
// less than n" in Anderson's Bit Twiddling Hacks.
func specials(eight uint64) uint64 {
	const highs = ones << 7
	quote, backslash := eight^ones*'"', eight^ones*'\\'
	return ((quote-ones)&^quote | (backslash-ones)&^backslash | (eight-ones*' ')&^eight) & highs
}
