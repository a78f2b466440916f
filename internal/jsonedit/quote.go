package jsonedit

import (
	"fmt"

	"github.com/rollcall-dev/rollcall/internal/jsonscan"
)

// quoted returns text as a string literal. Only what must be escaped is.
func quoted(text string) []byte {
	b := []byte{'"'}
	for i := range len(text) {
		switch c := text[i]; {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c < ' ':
			b = fmt.Appendf(b, `\u%04x`, c)
		default:
			b = append(b, c)
		}
	}
	return append(b, '"')
}

// isString reports whether raw, a valid value, is the string want.
func isString(raw []byte, want string) bool {
	return len(raw) > 0 && raw[0] == '"' && string(jsonscan.Unquote(raw, len(want))) == want
}
