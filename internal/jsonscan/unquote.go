package jsonscan

import (
	"bytes"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Unquote returns the text of a valid string literal. If that has more than
// limit bytes, so has the result, but it is not the text. The result may be a
// part of raw.
func Unquote(raw []byte, limit int) []byte {
	const longestEscape = len(`\u0000`)
	inner := raw[1 : len(raw)-1]
	if len(inner) > limit*longestEscape || bytes.IndexByte(inner, '\\') < 0 {
		return inner
	}
	return AppendUnquoted(nil, inner)
}

// AppendUnquoted appends the text of a valid string literal to text. inner is
// the literal without its quotes.
func AppendUnquoted(text, inner []byte) []byte {
	for {
		plain, escape, found := bytes.Cut(inner, []byte{'\\'})
		text = append(text, plain...)
		if !found {
			return text
		}
		text, inner = appendUnescaped(text, escape)
	}
}

// appendUnescaped appends the character of a valid escape sequence, without
// its backslash, to text and returns what follows the sequence. A lone
// surrogate becomes U+FFFD, as in encoding/json.
func appendUnescaped(text, escape []byte) (_, rest []byte) {
	c, rest := escape[0], escape[1:]
	if c != 'u' {
		if i := strings.IndexByte("bfnrt", c); i >= 0 {
			c = "\b\f\n\r\t"[i]
		}
		return append(text, c), rest
	}
	r, rest := codeUnit(rest), rest[4:]
	if utf16.IsSurrogate(r) {
		var second rune
		if bytes.HasPrefix(rest, []byte(`\u`)) {
			second = codeUnit(rest[2:])
		}
		if r = utf16.DecodeRune(r, second); r != utf8.RuneError {
			rest = rest[6:]
		}
	}
	return utf8.AppendRune(text, r), rest
}

// codeUnit returns the UTF-16 code unit with which hex begins.
func codeUnit(hex []byte) rune {
	n, _ := strconv.ParseUint(string(hex[:4]), 16, 16)
	return rune(n)
}
