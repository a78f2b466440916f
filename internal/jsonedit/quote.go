package jsonedit

import (
	"bytes"
	"fmt"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// appendQuoted appends text as a string literal to b. Only what must be
// escaped is.
func appendQuoted(b []byte, text string) []byte {
	b = append(b, '"')
	for i := range len(text) {
		switch c := text[i]; c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\b':
			b = append(b, `\b`...)
		case '\f':
			b = append(b, `\f`...)
		case '\n':
			b = append(b, `\n`...)
		case '\r':
			b = append(b, `\r`...)
		case '\t':
			b = append(b, `\t`...)
		default:
			if c < ' ' {
				b = fmt.Appendf(b, `\u%04x`, c)
			} else {
				b = append(b, c)
			}
		}
	}
	return append(b, '"')
}

// unquote returns the text of a valid string literal. If that has more than
// limit bytes, so has the result, but it is not the text. The result may be a
// part of raw.
func unquote(raw []byte, limit int) []byte {
	const longestEscape = len(`\u0000`)
	inner := raw[1 : len(raw)-1]
	if len(inner) > limit*longestEscape || bytes.IndexByte(inner, '\\') < 0 {
		return inner
	}
	var text []byte
	for len(inner) > 0 {
		plain, escape, found := bytes.Cut(inner, []byte{'\\'})
		text = append(text, plain...)
		if !found {
			break
		}
		text, inner = appendUnescaped(text, escape)
	}
	return text
}

// appendUnescaped appends the character of a valid escape sequence, without
// its backslash, to text and returns what follows the sequence. A lone
// surrogate becomes U+FFFD, as in encoding/json.
func appendUnescaped(text, escape []byte) (_, rest []byte) {
	c, rest := escape[0], escape[1:]
	switch c {
	case 'b':
		c = '\b'
	case 'f':
		c = '\f'
	case 'n':
		c = '\n'
	case 'r':
		c = '\r'
	case 't':
		c = '\t'
	case 'u':
		r, rest := codeUnit(rest), rest[4:]
		if utf16.IsSurrogate(r) {
			r2 := rune(-1)
			if bytes.HasPrefix(rest, []byte(`\u`)) {
				r2 = codeUnit(rest[2:])
			}
			if r = utf16.DecodeRune(r, r2); r != utf8.RuneError {
				rest = rest[6:]
			}
		}
		return utf8.AppendRune(text, r), rest
	}
	return append(text, c), rest
}

// codeUnit returns the UTF-16 code unit with which hex begins.
func codeUnit(hex []byte) rune {
	n, _ := strconv.ParseUint(string(hex[:4]), 16, 16)
	return rune(n)
}

// isString reports whether raw, a valid value, is the string want.
func isString(raw []byte, want string) bool {
	return len(raw) > 0 && raw[0] == '"' && string(unquote(raw, len(want))) == want
}
