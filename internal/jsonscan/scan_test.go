package jsonscan_test

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/rollcall-dev/rollcall/internal/jsonscan"
)

var seeds = []string{
	"", " ", "{}", " [ ] ", "null", "true", "falsy", "nul", "01", "-", "-0", "1.", "1.5e+3", "1e", "1E-", `"a`, `"a\`, `"\u12g4"`,
	`"\u0041\n\/\"\\\b\f\r\t"`, "\"\x00\"", "\"\x1f\"", "\"\x7f\"", `"\x"`, "\x00", "{}\x00", `{"a":1,}`, `{"a" : [1, {"b":null}]}`,
	`{"a"}`, `{"a":}`, `{1:2}`, `[1,]`, `[1 2]`, `{}{}`, "[\n        1]", "[\n\b\b\b\b\b\b\b 1]", `"raw enough for eight bytes \ud83d\udc26"`, `"éééééééé"`,
}

// FuzzValid compares the package with encoding/json: what is valid, and what
// a string stands for.
func FuzzValid(f *testing.F) {
	for _, seed := range seeds {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if len(text) > 1000 { // which bounds the depth
			return
		}
		got, want := jsonscan.Valid(text), json.Valid(text)
		if got != want {
			t.Fatalf("%q: got %v, want %v", text, got, want)
		}
		if !want {
			return
		}
		i := jsonscan.SkipSpace(text, 0)
		end := jsonscan.SkipValue(text, i)
		var s string
		if text[i] != '"' || !utf8.Valid(text) || json.Unmarshal(text, &s) != nil {
			return
		}
		if jsonscan.SkipString(text, i) != end {
			t.Errorf("%q: a string and a value end at different places", text)
		}
		if got := jsonscan.Unquote(text[i:end], len(text)); string(got) != s {
			t.Errorf("%q: got %q, want %q", text, got, s)
		}
	})
}

// A failure says where a text is wrong, and why.
func TestFailure(t *testing.T) {
	for text, want := range map[string]struct {
		offset int
		why    jsonscan.Reason
	}{
		"":               {0, jsonscan.WantValue},
		"[1,]":           {3, jsonscan.WantValue},
		`{1:2}`:          {1, jsonscan.WantName},
		`{"a"}`:          {4, jsonscan.WantColon},
		`{"a":1 "b":2}`:  {7, jsonscan.WantCommaOrBrace},
		`[1 2]`:          {3, jsonscan.WantCommaOrBracket},
		"-x":             {1, jsonscan.WantDigit},
		"1.x":            {2, jsonscan.WantDigit},
		"1e+":            {3, jsonscan.WantDigit},
		"truth":          {3, jsonscan.WantLiteral},
		"\"a\nb\"":       {2, jsonscan.WantPlain},
		`"a`:             {2, jsonscan.WantPlain},
		`"a\u12`:         {6, jsonscan.WantPlain},
		`"a\x"`:          {2, jsonscan.BadEscape},
		`"12345678\u00g`: {9, jsonscan.BadEscape},
	} {
		end := jsonscan.SkipValue([]byte(text), 0)
		if offset, why := jsonscan.DecodeFailure(end); end >= 0 || offset != want.offset || why != want.why {
			t.Errorf("%q: got %d (reason %d at %d), want reason %d at %d", text, end, why, offset, want.why, want.offset)
		}
	}
}

func TestUnquoteLimit(t *testing.T) {
	raw := `"\u0041\u0041\u0041"`
	if got := jsonscan.Unquote([]byte(raw), 3); string(got) != "AAA" {
		t.Errorf("got %q, want AAA", got)
	}
	if got := jsonscan.Unquote([]byte(raw), 2); len(got) <= 2 {
		t.Errorf("got %q, want more than the limit of 2", got)
	}
}

// TestHexDigits accepts the digits of an escape sequence and not their
// neighbours.
func TestHexDigits(t *testing.T) {
	const digits = "0123456789abcdefABCDEF"
	for c := range byte(128) {
		if c == '"' {
			continue // ends the string
		}
		text := []byte(`"\u00` + string(c) + `0"`)
		if got, want := jsonscan.Valid(text), strings.IndexByte(digits, c) >= 0; got != want {
			t.Errorf("%q: got %v, want %v", text, got, want)
		}
	}
}
