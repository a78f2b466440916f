package jsonedit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"
)

// The limits of a document, as the specification has them.
const (
	maxSize  = 8 << 20
	maxDepth = 1000
)

var enabledKey = Key{"telemetry", "enabled"}

func TestScan(t *testing.T) {
	keys := []Key{enabledKey, idKey, {"telemetry"}, {"a"}}
	for _, tt := range []struct {
		name, data string
		want       []Value
	}{
		{"nothing there", `{}`, []Value{{}, {}, {}, {}}},
		{
			"all there", `{"telemetry":{"enabled":true,"installation_id":"ID"},"a":-1.50e3}`,
			[]Value{{Kind: Bool, Text: "true"}, {Kind: String, Text: "ID"}, {Kind: Object}, {Kind: Number, Text: "-1.50e3"}},
		},
		{
			"other order, comments, byte order mark", "\xef\xbb\xbf// x\n{\"a\": [1,], \"telemetry\": {\"installation_id\": /**/ null, \"enabled\": false,},}//",
			[]Value{{Kind: Bool, Text: "false"}, {Kind: Null}, {Kind: Object}, {Kind: Array}},
		},
		{
			"escapes", `{"\u0061":"\ud83d\ude00\n\ud800","telemetr\u0079":{"\u0065nabled":""}}`,
			[]Value{{Kind: String}, {}, {Kind: Object}, {Kind: String, Text: "😀\n\ufffd"}},
		},
		{
			"as long as is kept", `{"a":"` + strings.Repeat(`\u00e9`, 128) + `"}`,
			[]Value{{}, {}, {}, {Kind: String, Text: strings.Repeat("é", 128)}},
		},
		{
			"too long", `{"a":"` + strings.Repeat(`\u00e9`, 128) + `x","telemetry":{"installation_id":` + strings.Repeat("1", 257) + `}}`,
			[]Value{{}, {Kind: Number, Long: true}, {Kind: Object}, {Kind: String, Long: true}},
		},
		{
			"a megabyte", `{"telemetry":{"installation_id":"` + strings.Repeat("x", 1<<20) + `"}}`,
			[]Value{{}, {Kind: String, Long: true}, {Kind: Object}, {}},
		},
		{
			"names twice elsewhere", `{"a":{"telemetry":1,"telemetry":2},"b":1,"b":2,"telemetry":{"x":0,"x":0}}`,
			[]Value{{}, {}, {Kind: Object}, {Kind: Object}},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Scan([]byte(tt.data), keys)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

func TestScanNotObject(t *testing.T) {
	for data, want := range map[string]Value{
		`{"telemetry":1}`:                                  {Kind: Blocked, Text: "1"},
		`{"telemetry":false}`:                              {Kind: Blocked, Text: "false"},
		`{"telemetry":"o\u0066f"}`:                         {Kind: Blocked, Text: "off"},
		`{"telemetry":["off"]}`:                            {Kind: Blocked},
		`{"telemetry":"` + strings.Repeat("x", 257) + `"}`: {Kind: Blocked, Long: true},
		`{"telemetry": null }`:                             {},
		`{"telemetry":{"enabled":null}}`:                   {},
		`[]`:                                               {Kind: Blocked},
		`"off"`:                                            {Kind: Blocked},
		`null`:                                             {Kind: Blocked},
	} {
		got, err := Scan([]byte(data), []Key{idKey})
		if err != nil || got[0] != want {
			t.Errorf("%s: got %v, %v, want %v", data, got, err, want)
		}
	}
	got, err := Scan([]byte(`{"telemetry":1,"a":2}`), []Key{idKey, {"a"}, {"telemetry"}})
	if want := []Value{{Kind: Blocked, Text: "1"}, {Kind: Number, Text: "2"}, {Kind: Number, Text: "1"}}; err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
	if _, err := Scan([]byte(`{"telemetry":1,"a":2`), []Key{idKey}); !isTruncated(err) {
		t.Errorf("got error %v, want that the end is missing", err)
	}
	if _, err := Scan([]byte(`[]`), nil); err != nil {
		t.Errorf("no keys: got error %v, want none", err)
	}
}

func TestScanEmpty(t *testing.T) {
	for _, data := range []string{"", "\n", " \t\r\n", "\xef\xbb\xbf", "\xef\xbb\xbf\n"} {
		if _, err := Scan([]byte(data), []Key{idKey}); err != ErrEmpty {
			t.Errorf("%q: got %v, want %v", data, err, ErrEmpty)
		}
		if got, err := edited([]byte(data), idKey, text("ID")); err != ErrEmpty || got != nil {
			t.Errorf("%q: edit: got %q, %v, want %v", data, got, err, ErrEmpty)
		}
	}
}

// syntaxCases are documents that are refused, and how.
var syntaxCases = []struct {
	data, want string
	truncated  bool
}{
	{"{\"a\":1,\n  \"b\": tru\n}", `line 2, column 11: invalid character '\n' in literal true (expecting 'e')`, false},
	{"{\"a\":1 \"b\":2}", `line 1, column 8: invalid character '"' after object value (expecting ',' or '}')`, false},
	{"[1 2]", `line 1, column 4: invalid character '2' after array element (expecting ',' or ']')`, false},
	{"garbage", `line 1, column 1: invalid character 'g' at start of value`, false},
	{"installation_id = 'x'\n", `line 1, column 1: invalid character 'i' at start of value`, false},
	{"{'a': 1}", `line 1, column 2: invalid character '\'' at start of name`, false},
	{"{a: 1}", `line 1, column 2: invalid character 'a' at start of name`, false},
	{"{\"a\": \"x\\q\"}", `line 1, column 9: invalid escape sequence in string`, false},
	{"{\"a\": \"x\\u12 secret\"}", `line 1, column 9: invalid escape sequence in string`, false},
	{"{\"a\": \"\n\"}", `line 1, column 8: invalid character '\n' in string (expecting non-control character)`, false},
	{"{\"a\": 01}", `line 1, column 8: invalid character '1' after object value (expecting ',' or '}')`, false},
	{"{\"a\": 1}\n{\"a\": 1}", `line 2, column 1: invalid character '{' after top-level value`, false},
	{"{} é", `line 1, column 4: invalid character 'é' after top-level value`, false},
	{"{1: 2}", `line 1, column 2: invalid character '1' at start of name`, false},
	{"{[", `line 1, column 2: invalid character '[' at start of name`, false},
	{"{,}", `line 1, column 2: invalid character ',' at start of name`, false},
	{"[1,,]", `line 1, column 4: invalid character ',' at start of value`, false},
	{"[,]", `line 1, column 2: invalid character ',' at start of value`, false},
	{"{\"a\":,}", `line 1, column 6: invalid character ',' at start of value`, false},
	{"{\"a\":1,\n# comment\n}", `line 2, column 1: invalid character '#' at start of name`, false},
	{"/*\n*/ {\"a\" 1}", `line 2, column 9: invalid character '1' after object name (expecting ':')`, false},
	{"\xef\xbb\xbf{\"a\":x}", `line 1, column 6: invalid character 'x' at start of value`, false},

	{"\xff\xfe{\x00}\x00", `line 1, column 1: looks like UTF-16, want UTF-8`, false},
	{"\xfe\xff\x00{\x00}", `line 1, column 1: looks like UTF-16, want UTF-8`, false},
	{"\x00{}", `line 1, column 1: NUL byte: binary, or UTF-16 without a byte order mark`, false},
	{"{\x00}\x00", `line 1, column 2: NUL byte: binary, or UTF-16 without a byte order mark`, false},
	{"{\"a\": 1}\n\x00\x00\x00\x00", `line 2, column 1: NUL byte: binary, or UTF-16 without a byte order mark`, false},
	{"{} /* \x00 */", `line 1, column 7: NUL byte: binary, or UTF-16 without a byte order mark`, false},
	{"\x7fELF\x02\x01\x01\x00", `line 1, column 1: invalid character '\x7f' at start of value`, false},
	{"{\"a\": \"caf\xe9\"}", `line 1, column 11: invalid UTF-8`, false},
	{"{\"a\": 1} // caf\xe9\n", `line 1, column 16: invalid UTF-8`, false},
	{"{\"a\": \"\xed\xa0\x80\"}", `line 1, column 8: invalid UTF-8`, false},
	{"{}\xc3", `line 1, column 3: invalid UTF-8`, false},
	{"{\"\xc3\x00", `line 1, column 3: invalid UTF-8`, false},

	{`{"telemetry":1,"telemetry":2}`, `line 1, column 16: duplicate member "telemetry"`, false},
	{"{\"telemetry\":{},\n\"telemetr\\u0079\":{}}", `line 2, column 1: duplicate member "telemetry"`, false},
	{`{"telemetry":{"installation_id":1,"installation_id":1}}`, `line 1, column 35: duplicate member "installation_id"`, false},

	{"{} // a\r\"b\"\n", `line 1, column 4: line comment contains a line break that not every reader recognizes`, false},
	{"{} // a\u2028\n", `line 1, column 4: line comment contains a line break that not every reader recognizes`, false},

	{"{", `line 1, column 2: unexpected end of file`, true},
	{"{\n  \"a\": 1,\n", `line 3, column 1: unexpected end of file`, true},
	{"{\"a", `line 1, column 4: unexpected end of file`, true},
	{"{\"a\\", `line 1, column 5: unexpected end of file`, true},
	{"{\"a\\u00", `line 1, column 8: unexpected end of file`, true},
	{"{\"a\":-", `line 1, column 7: unexpected end of file`, true},
	{"{\"a\":1e", `line 1, column 8: unexpected end of file`, true},
	{"{\"a\":1", `line 1, column 7: unexpected end of file`, true},
	{"[tru", `line 1, column 5: unexpected end of file`, true},
	{"// only a comment\n", `line 2, column 1: unexpected end of file`, true},
	{"{\"a\": 1, // more\n", `line 2, column 1: unexpected end of file`, true},
	{"{\"a\": 1,\n/* more\n", `line 2, column 1: comment is not closed`, true},
	{"{\"a\": 1} /* more *", `line 1, column 10: comment is not closed`, true},
	{"{\"a\": 1} /", `line 1, column 10: unexpected end of file after '/'`, true},
	{"{x /", `line 1, column 2: invalid character 'x' at start of name`, false},
	{"{\"a\": \"caf\xc3", `line 1, column 11: character cut off at end of file`, true},
	{"{} // \xf0\x9f\x98", `line 1, column 7: character cut off at end of file`, true},
	{"{} /* \xf0", `line 1, column 7: character cut off at end of file`, true},
	{"\xef\xbb", `line 1, column 1: byte order mark cut off at end of file`, true},
	{"\xef\xbb{", `line 1, column 1: invalid UTF-8`, false},
	{"\xef\xbb\xbf{", `line 1, column 2: unexpected end of file`, true},
}

func TestSyntaxError(t *testing.T) {
	for _, tt := range syntaxCases {
		_, err := Scan([]byte(tt.data), []Key{enabledKey, idKey})
		e := asSyntaxError(err)
		if e == nil {
			t.Errorf("%q: got error %v, want a syntax error", tt.data, err)
			continue
		}
		if err.Error() != tt.want || e.Truncated != tt.truncated {
			t.Errorf("%q: got %v, truncated %t, want %s, truncated %t", tt.data, err, e.Truncated, tt.want, tt.truncated)
		}
		result, editErr := edited([]byte(tt.data), idKey, text("ID"))
		if result != nil || editErr == nil || editErr.Error() != tt.want {
			t.Errorf("%q: edit: got %q, %v, want %s", tt.data, result, editErr, tt.want)
		}
	}
}

func TestIsTorn(t *testing.T) {
	for data, want := range map[string]struct{ torn, cutShort bool }{
		`{"a":1}`:                       {false, false},
		`[]`:                            {false, false},
		"":                              {true, true},
		"\n":                            {true, true},
		`{"a":`:                         {true, true},
		`{"a":x`:                        {true, false},
		strings.Repeat("[", maxDepth+1): {false, false},
	} {
		_, err := Scan([]byte(data), []Key{{"a"}})
		if got := IsTorn(err); got != want.torn {
			t.Errorf("%.20q: torn: got %v, want %v", data, got, want.torn)
		}
		if got := IsCutShort([]byte(data)); got != want.cutShort {
			t.Errorf("%.20q: cut short: got %v, want %v", data, got, want.cutShort)
		}
	}
}

// TestTruncated cuts valid documents everywhere: the rest is never called
// wrong, only incomplete.
func TestTruncated(t *testing.T) {
	for _, tt := range editCases {
		if len(tt.before) > 1000 {
			continue
		}
		requirePrefixes(t, []byte(tt.before))
	}
}

func requirePrefixes(t *testing.T, data []byte) {
	t.Helper()
	for i := range data {
		if _, err := Scan(data[:i], nil); err != nil && err != ErrEmpty && !isTruncated(err) {
			t.Errorf("%q: first %d bytes: got %v, want that the end is missing", data, i, err)
		}
	}
}

// TestErrorsQuoteNothing breaks a document at each byte. No error may quote it.
func TestErrorsQuoteNothing(t *testing.T) {
	config := `{"ЖЖ": "ЖЖ\n\u00e9Ж", /* ЖЖ */ "Ж": ["ЖЖЖ", {"ЖЖ": {"ЖЖ": -12.5e3}}, tЖ], } // ЖЖ` + "\n"
	config = strings.Replace(config, "tЖ", "true", 1)
	if _, err := Scan([]byte(config), nil); err != nil {
		t.Fatal(err)
	}
	for i := range config {
		for _, bad := range []string{"", "Ж", "\"", "\\", "\\u12Ж\"", "\n", ",", "}", "]", "1", "*/", "//", "/*", "\xff", "\x00"} {
			for _, rest := range []int{i, i + 1} {
				_, err := Scan([]byte(config[:i]+bad+config[rest:]), []Key{idKey})
				if err == nil {
					continue
				}
				if strings.Count(err.Error(), "Ж") > 1 || len(err.Error()) > 120 {
					t.Errorf("%q at %d: got %v, which quotes the config", bad, i, err)
				}
			}
		}
	}
}

func TestDepth(t *testing.T) {
	nested := func(depth int) string { return strings.Repeat("[", depth) + strings.Repeat("]", depth) }
	mixed := func(depth int) string {
		return strings.Repeat(`{"a":[`, depth/2) + strings.Repeat(`]}`, depth/2)
	}
	for name, data := range map[string]string{
		"arrays":                 nested(maxDepth),
		"arrays and objects":     mixed(maxDepth),
		"deepest of two":         "[[]," + nested(maxDepth-1) + "]",
		"side by side":           "[" + strings.Repeat("[],", 2*maxDepth) + "0]",
		"in a string":            `"` + nested(2*maxDepth) + `\"` + nested(2*maxDepth) + `"`,
		"in a line comment":      "0 // \" " + nested(2*maxDepth),
		"in a block comment":     "/* \" " + nested(2*maxDepth) + "*/0",
		"slash before a comment": "[\"" + nested(maxDepth) + "\" // [\n]",
	} {
		if _, err := Scan([]byte(data), nil); err != nil {
			t.Errorf("%s: got %v, want no error", name, err)
		}
	}
	for name, data := range map[string]string{
		"arrays":              nested(maxDepth + 1),
		"arrays and objects":  mixed(maxDepth + 2),
		"between comments":    "/*\"*/" + strings.Repeat("[// \"]\n", maxDepth+1),
		"behind a string":     `["\"",` + nested(maxDepth),
		"truncated":           strings.Repeat("[", 7<<20),
		"wrong further on":    strings.Repeat("[", maxDepth+1) + "\x00",
		"trailing commas":     strings.Repeat("[[],", maxDepth) + "0" + strings.Repeat(",]", maxDepth),
		"100,000 deep arrays": nested(100_000),
	} {
		if _, err := Scan([]byte(data), nil); !errors.Is(err, ErrTooDeep) {
			t.Errorf("%s: got %v, want %v", name, err, ErrTooDeep)
		}
	}
	if _, err := Scan([]byte("[}"+nested(maxDepth+1)), nil); asSyntaxError(err) == nil {
		t.Errorf("wrong before it is too deep: got %v, want a syntax error", err)
	}
}

// TestDepthBehindDefect checks that nesting does not count behind a comment that
// is not closed.
func TestDepthBehindDefect(t *testing.T) {
	data := "[" + strings.Repeat("[],", 2*maxDepth) + "/* " + strings.Repeat("[", 2*maxDepth)
	if _, err := Scan([]byte(data), nil); !isTruncated(err) {
		t.Errorf("got %v, want that the comment is not closed", err)
	}
}

// TestHostileInput bounds what any document can cost.
func TestHostileInput(t *testing.T) {
	fill := func(head, body, tail string, size int) []byte {
		n := (size - len(head) - len(tail)) / len(body)
		return []byte(head + strings.Repeat(body, n) + tail)
	}
	for _, tt := range []struct {
		name string
		data []byte
		want error
		max  uint64
	}{
		{"50 MB of brackets", fill("", "[", "", 50<<20), ErrTooLarge, 1 << 16},
		{"50 MB of config", fill(`{"a":[`, "0,", `0]}`, 50<<20), ErrTooLarge, 1 << 16},
		{"100,000 deep", fill("", `{"a":`, "", 500_000), ErrTooDeep, 1 << 20},
		{"7 MB of brackets", fill("", "[", "", 7<<20), ErrTooDeep, 1 << 20},
		{"8 MB of numbers", fill(`{"a":[`, "0,", `0]}`, maxSize), nil, 1 << 16},
		{"8 MB of numbers and a comment", fill("{//\n\"a\":[", "0,", `0]}`, maxSize), nil, maxSize + 1<<17},
		{"8 MB of comments", fill(`{`, "/**/", `}`, maxSize), nil, maxSize + 1<<17},
		{"8 MB of slashes", fill(`{`, "/", "\n}", maxSize), nil, maxSize + 1<<17},
		{"8 MB of an open comment", fill(`{/*`, "/*", "", maxSize), errors.New("truncated"), maxSize + 1<<17},
		{"8 MB of quotes", fill(`{`, `"`, "", maxSize), errors.New("syntax"), maxSize + 1<<17},
		{"8 MB of members", fill(`{`, `"":0,`, `"":0}`, maxSize), nil, 1 << 16},
		{"8 MB of a name", fill(`{"`, `\u0074`, `":0}`, maxSize), nil, 1 << 16},
		{"8 MB of a value", fill(`{"telemetry":{"installation_id":"`, `\u0074`, `"}}`, maxSize), nil, 1 << 16},
		{"8 MB of white space", fill(`{`, "\n", `}`, maxSize), nil, 1 << 16},
	} {
		t.Run(tt.name, func(t *testing.T) {
			start := time.Now()
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := Scan(tt.data, []Key{enabledKey, idKey})
			runtime.ReadMemStats(&after)
			switch {
			case tt.want == nil && err != nil, tt.want != nil && err == nil,
				(tt.want == ErrTooLarge || tt.want == ErrTooDeep) && err != tt.want:
				t.Errorf("got error %v, want %v", err, tt.want)
			}
			if used := after.TotalAlloc - before.TotalAlloc; used > tt.max {
				t.Errorf("scan allocated %d bytes, want at most %d", used, tt.max)
			}

			before = after
			_, editErr := edited(tt.data, idKey, text(testID))
			runtime.ReadMemStats(&after)
			if (editErr == nil) != (err == nil) && !errors.Is(editErr, ErrTooLarge) {
				t.Errorf("edit: got error %v, want as scan: %v", editErr, err)
			}
			if used := after.TotalAlloc - before.TotalAlloc; used > 8*maxSize {
				t.Errorf("edit allocated %d bytes, want at most %d", used, 8*maxSize)
			}
			// Some 0.2 s are usual, and many more under the race detector on a
			// busy machine. The bound is for costs that grow faster than the
			// input.
			if took := time.Since(start); took > 2*time.Minute {
				t.Errorf("took %v", took)
			}
		})
	}
}

// bigConfig returns a config of some 24 kB, as a large program has one.
func bigConfig() []byte {
	var b bytes.Buffer
	b.WriteString("{\n")
	for i := range 28 {
		fmt.Fprintf(&b, "  \"section_%02d\": {\n", i)
		for j := range 26 {
			switch j % 4 {
			case 0:
				fmt.Fprintf(&b, "    \"name_%d\": \"a value & its <text> %d\",\n", j, j)
			case 1:
				fmt.Fprintf(&b, "    \"limit_%d\": %d,\n", j, j*12345)
			case 2:
				fmt.Fprintf(&b, "    \"enabled_%d\": true,\n", j)
			case 3:
				fmt.Fprintf(&b, "    \"list_%d\": [1, 2.5, \"three\", null],\n", j)
			}
		}
		b.WriteString("    \"last\": \"caf\u00e9\\n\"\n  },\n")
	}
	b.WriteString("  \"telemetry\": {\n    \"enabled\": true,\n    \"installation_id\": \"" + testID + "\"\n  }\n}\n")
	return b.Bytes()
}

func TestScanAllocates(t *testing.T) {
	data, keys := bigConfig(), []Key{enabledKey, idKey}
	got := testing.AllocsPerRun(100, func() {
		if _, err := Scan(data, keys); err != nil {
			t.Fatal(err)
		}
	})
	if got > 12 {
		t.Errorf("got %v allocations, want at most 12", got)
	}
}

// BenchmarkScan compares reading two keys of a config with reading its file and
// with decoding all of it. With the file it should take at most four times as
// long as the one, and a quarter of the other.
func BenchmarkScan(b *testing.B) {
	data, keys := bigConfig(), []Key{enabledKey, idKey}
	file := filepath.Join(b.TempDir(), "config.json")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		b.Fatal(err)
	}
	commented := append([]byte("// the same with a comment\n"), data...)
	for _, bb := range []struct {
		name string
		run  func() error
	}{
		{"ReadFile", func() error { _, err := os.ReadFile(file); return err }},
		{"ReadFileAndScan", func() error {
			data, err := os.ReadFile(file)
			if err != nil {
				return err
			}
			_, err = Scan(data, keys)
			return err
		}},
		{"Scan", func() error { _, err := Scan(data, keys); return err }},
		{"ScanComments", func() error { _, err := Scan(commented, keys); return err }},
		{"Unmarshal", func() error { var m map[string]any; return json.Unmarshal(data, &m) }},
		{"Edit", func() error { _, err := edited(data, idKey, text("ID")); return err }},
	} {
		b.Run(bb.name, func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				if err := bb.run(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
