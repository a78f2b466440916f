package report

import "encoding/json"

// appendText adds a JSON text as encoding/json writes it. All texts of valid reports are ASCII.
func appendText(dst []byte, text string) []byte {
	const hex = "0123456789abcdef"
	start := len(dst)
	dst = append(dst, '"')
	for i := range len(text) {
		switch c := text[i]; {
		case c < ' ' || c >= 0x7f:
			quoted, _ := json.Marshal(text) // a string always has a JSON form
			return append(dst[:start], quoted...)
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c == '<' || c == '>' || c == '&':
			dst = append(dst, `\u00`...)
			dst = append(dst, hex[c>>4], hex[c&0xf])
		default:
			dst = append(dst, c)
		}
	}
	return append(dst, '"')
}
