package report

import "encoding/json"

// appendText appends a JSON text as encoding/json writes it. All texts of
// valid reports are ASCII.
func appendText(dst []byte, text string) []byte {
	const hex = "0123456789abcdef"
	before := len(dst)
	dst = append(dst, '"')
	done := 0
	for i := range len(text) {
		c := text[i]
		if c < ' ' || c >= 0x7f {
			quoted, _ := json.Marshal(text) // a string always has a JSON form
			return append(dst[:before], quoted...)
		}
		switch c {
		case '"', '\\':
			dst = append(append(dst, text[done:i]...), '\\', c)
			done = i + 1
		case '<', '>', '&':
			dst = append(append(dst, text[done:i]...), '\\', 'u', '0', '0', hex[c>>4], hex[c&0xf])
			done = i + 1
		}
	}
	dst = append(dst, text[done:]...)
	return append(dst, '"')
}
