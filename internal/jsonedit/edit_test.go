package jsonedit

import (
	"errors"
	"strings"
	"testing"
)

const testID = "5f1cf1f6-3b0c-4a3c-9c1f-2a7d0e6b4f10"

var idKey = Key{"telemetry", "installation_id"}

// editCases are documents and what they become when telemetry.installation_id
// is set to "ID".
var editCases = []struct {
	name, before, want string
}{
	{"compact", `{"a":1}`, `{"a":1,"telemetry":{"installation_id":"ID"}}`},
	{"compact, two members", `{"a":1,"b":2}`, `{"a":1,"b":2,"telemetry":{"installation_id":"ID"}}`},
	{"spaced", `{"a": 1}`, `{"a": 1, "telemetry": {"installation_id": "ID"}}`},
	{"spaced, two members", `{"a": 1, "b": 2}`, `{"a": 1, "b": 2, "telemetry": {"installation_id": "ID"}}`},
	{"spaced colons only", `{"a": 1,"b": 2}`, `{"a": 1,"b": 2,"telemetry": {"installation_id": "ID"}}`},
	{"spaced commas only", `{"a":1, "b":2}`, `{"a":1, "b":2, "telemetry":{"installation_id":"ID"}}`},
	{"two blanks behind the brace", `{  "a": 1 }`, `{  "a": 1, "telemetry": {"installation_id": "ID"} }`},
	{"tab behind the brace", "{\t\"a\": 1}", "{\t\"a\": 1, \"telemetry\": {\"installation_id\": \"ID\"}}"},
	{"padded", `{ "a": 1 }`, `{ "a": 1, "telemetry": { "installation_id": "ID" } }`},
	{"compact, final newline", "{\"a\":1}\n", "{\"a\":1,\"telemetry\":{\"installation_id\":\"ID\"}}\n"},
	{"white space around", " \n{\"a\":1}\t\n ", " \n{\"a\":1,\"telemetry\":{\"installation_id\":\"ID\"}}\t\n "},
	{"colon with blanks on both sides", `{"a" : 1}`, `{"a" : 1, "telemetry" : {"installation_id" : "ID"}}`},
	{"aligned colons", `{"a":       1}`, `{"a":       1, "telemetry": {"installation_id": "ID"}}`},

	{"empty", `{}`, `{"telemetry": {"installation_id": "ID"}}`},
	{"empty, final newline", "{}\n", "{\"telemetry\": {\"installation_id\": \"ID\"}}\n"},
	{"empty, blank", `{ }`, `{ "telemetry": { "installation_id": "ID" } }`},
	{"empty, newline", "{\n}", "{\n  \"telemetry\": {\n    \"installation_id\": \"ID\"\n  }\n}"},
	{"empty, CRLF", "{\r\n}\r\n", "{\r\n  \"telemetry\": {\r\n    \"installation_id\": \"ID\"\r\n  }\r\n}\r\n"},
	{"empty, block comment", `{/*c*/}`, `{/*c*/ "telemetry": {"installation_id": "ID"}}`},
	{"empty, padded block comment", `{ /* c */ }`, `{ /* c */ "telemetry": {"installation_id": "ID"} }`},
	{
		"empty, line comment on a line of its own",
		"{\n    // nothing yet\n}\n",
		"{\n    // nothing yet\n    \"telemetry\": {\n      \"installation_id\": \"ID\"\n    }\n}\n",
	},
	{
		"empty, line comment behind the brace",
		"{ // nothing yet\r\n}\r\n",
		"{ // nothing yet\r\n  \"telemetry\": {\r\n    \"installation_id\": \"ID\"\r\n  }\r\n}\r\n",
	},
	{
		"empty, block comment on a line of its own",
		"{\n\t/* nothing\n\t   yet */}",
		"{\n\t/* nothing\n\t   yet */\n\t\"telemetry\": {\n\t  \"installation_id\": \"ID\"\n\t}\n}",
	},

	{
		"tabs",
		"{\n\t\"a\": 1\n}\n",
		"{\n\t\"a\": 1,\n\t\"telemetry\": {\n\t\t\"installation_id\": \"ID\"\n\t}\n}\n",
	},
	{
		"two blanks, no final newline",
		"{\n  \"a\": [\n    1\n  ]\n}",
		"{\n  \"a\": [\n    1\n  ],\n  \"telemetry\": {\n    \"installation_id\": \"ID\"\n  }\n}",
	},
	{
		"four blanks, CRLF",
		"{\r\n    \"a\": 1\r\n}\r\n",
		"{\r\n    \"a\": 1,\r\n    \"telemetry\": {\r\n        \"installation_id\": \"ID\"\r\n    }\r\n}\r\n",
	},
	{
		"CRLF and LF",
		"{\r\n  \"a\": 1\n}\r\n",
		"{\r\n  \"a\": 1,\n  \"telemetry\": {\n    \"installation_id\": \"ID\"\n  }\n}\r\n",
	},
	{
		"all of it indented",
		"  {\n    \"a\":1\n  }",
		"  {\n    \"a\":1,\n    \"telemetry\":{\n      \"installation_id\":\"ID\"\n    }\n  }",
	},
	{
		"lines without indentation",
		"{\n\"a\": 1\n}",
		"{\n\"a\": 1,\n\"telemetry\": {\n  \"installation_id\": \"ID\"\n}\n}",
	},
	{
		"last brace behind a member",
		"{\n  \"a\": 1}",
		"{\n  \"a\": 1,\n  \"telemetry\": {\n    \"installation_id\": \"ID\"\n  }}",
	},
	{
		"two members on one line",
		"{\n  \"a\": 1, \"b\": 2\n}",
		"{\n  \"a\": 1, \"b\": 2, \"telemetry\": {\"installation_id\": \"ID\"}\n}",
	},
	{
		"first member behind the brace",
		"{\"a\": 1,\n \"b\": 2}",
		"{\"a\": 1,\n \"b\": 2,\n \"telemetry\": {\n   \"installation_id\": \"ID\"\n }}",
	},
	{
		"byte order mark",
		"\xef\xbb\xbf{\r\n\t\"a\": 1\r\n}",
		"\xef\xbb\xbf{\r\n\t\"a\": 1,\r\n\t\"telemetry\": {\r\n\t\t\"installation_id\": \"ID\"\r\n\t}\r\n}",
	},

	{
		"parent exists",
		"{\n  \"telemetry\": {\n    \"enabled\": true\n  },\n  \"z\": 1\n}\n",
		"{\n  \"telemetry\": {\n    \"enabled\": true,\n    \"installation_id\": \"ID\"\n  },\n  \"z\": 1\n}\n",
	},
	{
		"parent exists on one line",
		"{\n  \"telemetry\": {\"enabled\":true},\n  \"z\": 1\n}\n",
		"{\n  \"telemetry\": {\"enabled\":true,\"installation_id\":\"ID\"},\n  \"z\": 1\n}\n",
	},
	{
		"parent is empty",
		"{\n\t\"telemetry\": {},\n\t\"z\": 1\n}\n",
		"{\n\t\"telemetry\": {\n\t\t\"installation_id\": \"ID\"\n\t},\n\t\"z\": 1\n}\n",
	},
	{
		"parent is blank",
		"{\n  \"telemetry\": { }\n}\n",
		"{\n  \"telemetry\": { \"installation_id\": \"ID\" }\n}\n",
	},
	{
		"parent holds a newline",
		"{\n    \"telemetry\": {\n    }\n}\n",
		"{\n    \"telemetry\": {\n        \"installation_id\": \"ID\"\n    }\n}\n",
	},
	{"parent is empty, compact", `{"telemetry":{},"z":1}`, `{"telemetry":{"installation_id":"ID"},"z":1}`},
	{"name with an escape", `{"telemetr\u0079":{"x":1}}`, `{"telemetr\u0079":{"x":1,"installation_id":"ID"}}`},
	{"both names with escapes", `{"\u0074elemetry":{"installation\u005fid":0}}`, `{"\u0074elemetry":{"installation\u005fid":"ID"}}`},
	{"name in another case", `{"Telemetry":1}`, `{"Telemetry":1,"telemetry":{"installation_id":"ID"}}`},

	{"replace string", `{"telemetry":{"installation_id":"old","z":1}}`, `{"telemetry":{"installation_id":"ID","z":1}}`},
	{"replace empty string", `{"telemetry":{"installation_id":""}}`, `{"telemetry":{"installation_id":"ID"}}`},
	{"replace null", `{"telemetry":{"installation_id" : null }}`, `{"telemetry":{"installation_id" : "ID" }}`},
	{"replace number", `{"telemetry":{"installation_id":-1.5e+400}}`, `{"telemetry":{"installation_id":"ID"}}`},
	{"replace boolean", `{"telemetry":{"installation_id":false}}`, `{"telemetry":{"installation_id":"ID"}}`},
	{"replace array", `{"telemetry":{"installation_id":[1,[2]]}}`, `{"telemetry":{"installation_id":"ID"}}`},
	{"replace object", `{"telemetry":{"installation_id":{"a":1,"a":2}}}`, `{"telemetry":{"installation_id":"ID"}}`},
	{
		"replace a megabyte",
		`{"telemetry":{"installation_id":"` + strings.Repeat("x", 1<<20) + `"},"z":1}`,
		`{"telemetry":{"installation_id":"ID"},"z":1}`,
	},
	{
		"replace between comments",
		"{\"telemetry\": {\"installation_id\": /* was */ \"old\" /* bad */, // and so on\n}}",
		"{\"telemetry\": {\"installation_id\": /* was */ \"ID\" /* bad */, // and so on\n}}",
	},
	{"already there", `{"telemetry":{"installation_id":"ID"}}`, `{"telemetry":{"installation_id":"ID"}}`},
	{"already there, with escapes", `{"telemetry":{"installation_id":"\u0049D"}}`, `{"telemetry":{"installation_id":"\u0049D"}}`},

	{
		"comment behind the last member",
		"{\n  \"a\": 1 // one\n}\n",
		"{\n  \"a\": 1, // one\n  \"telemetry\": {\n    \"installation_id\": \"ID\"\n  }\n}\n",
	},
	{
		"comment behind the last member, CRLF",
		"{\r\n  \"a\": 1 // one\r\n}\r\n",
		"{\r\n  \"a\": 1, // one\r\n  \"telemetry\": {\r\n    \"installation_id\": \"ID\"\r\n  }\r\n}\r\n",
	},
	{
		"comments below the last member",
		"{\n  \"a\": 1 // one\n  // \"b\": 2\n}\n",
		"{\n  \"a\": 1, // one\n  \"telemetry\": {\n    \"installation_id\": \"ID\"\n  }\n  // \"b\": 2\n}\n",
	},
	{
		"comment of two lines behind the last member",
		"{\n  \"a\": 1 /* one\n    more */ // and more\n}\n",
		"{\n  \"a\": 1, /* one\n    more */ // and more\n  \"telemetry\": {\n    \"installation_id\": \"ID\"\n  }\n}\n",
	},
	{
		"comment forces a new line",
		"{\"a\":1 // one\n}",
		"{\"a\":1, // one\n  \"telemetry\":{\n    \"installation_id\":\"ID\"\n  }\n}",
	},
	{"block comment on one line", `{"a":1 /* one */}`, `{"a":1, /* one */ "telemetry":{"installation_id":"ID"}}`},
	{"comment looks like a string", "{\n  // it's \"\n  \"a\": \"/* // \"\n}", "{\n  // it's \"\n  \"a\": \"/* // \",\n  \"telemetry\": {\n    \"installation_id\": \"ID\"\n  }\n}"},
	{"comment at the end without newline", "{\"a\":1} // end", "{\"a\":1,\"telemetry\":{\"installation_id\":\"ID\"}} // end"},
	{"comments around", "// top\n/**/{/**/\"a\"/**/:/**/1/**/}/**/\n//", "// top\n/**/{/**/\"a\"/**/:/**/1,/**/ \"telemetry\": {\"installation_id\": \"ID\"}}/**/\n//"},

	{
		"trailing comma",
		"{\n  \"a\": 1,\n}\n",
		"{\n  \"a\": 1,\n  \"telemetry\": {\n    \"installation_id\": \"ID\",\n  },\n}\n",
	},
	{
		"trailing comma and comment",
		"{\n\t\"a\": 1, // one\n\t// two\n}\n",
		"{\n\t\"a\": 1, // one\n\t\"telemetry\": {\n\t\t\"installation_id\": \"ID\",\n\t},\n\t// two\n}\n",
	},
	{
		"trailing comma in the parent",
		"{\n  \"telemetry\": {\n    \"enabled\": true, /* x */ // y\n  }\n}\n",
		"{\n  \"telemetry\": {\n    \"enabled\": true, /* x */ // y\n    \"installation_id\": \"ID\",\n  }\n}\n",
	},
	{
		"trailing comma on the next line",
		"{\n  \"a\": 1 // c\n  ,\n}",
		"{\n  \"a\": 1 // c\n  ,\n  \"telemetry\": {\n    \"installation_id\": \"ID\",\n  },\n}",
	},
	{"trailing comma on one line", `{"a":1,}`, `{"a":1,"telemetry":{"installation_id":"ID"},}`},
	{"trailing comma on one line, spaced", `{"a": 1, }`, `{"a": 1, "telemetry": {"installation_id": "ID"}, }`},
	{"trailing comma elsewhere", `{"a":[1,]}`, `{"a":[1,],"telemetry":{"installation_id":"ID"}}`},

	{
		"all kinds of things that must stay",
		"{\"n\":123456789012345678901234567890.10e-0400,\"s\":\"\\u00e9\\/\\ud83d\\ude00\\u0000 é \\ud800\",\"d\":{\"x\":1,\"x\":2},\"\":{},\"e\":[ ]}",
		"{\"n\":123456789012345678901234567890.10e-0400,\"s\":\"\\u00e9\\/\\ud83d\\ude00\\u0000 é \\ud800\",\"d\":{\"x\":1,\"x\":2},\"\":{},\"e\":[ ],\"telemetry\":{\"installation_id\":\"ID\"}}",
	},
}

func TestEdit(t *testing.T) {
	for _, tt := range editCases {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			before := []byte(tt.before)
			got, err := edited(before, idKey, text("ID"))
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != tt.want {
				t.Errorf("got\n%.2000q, want\n%.2000q", got, tt.want)
			}
			if string(before) != tt.before {
				t.Error("edit changed what it was given")
			}
			if cap(got) != len(got) {
				t.Errorf("allocated %d bytes for %d", cap(got), len(got))
			}
			if n := len(splices(t, before)); n > 2 {
				t.Errorf("got %d splices, want at most 2", n)
			}
			if again := splices(t, got); len(again) > 0 {
				t.Errorf("for the result: got %v, want no splice", again)
			}
		})
	}
}

func TestEditOtherKeys(t *testing.T) {
	for _, tt := range []struct {
		name   string
		before string
		key    Key
		value  string
		want   string
	}{
		{"one name", `{"a":1}`, Key{"b"}, "v", `{"a":1,"b":"v"}`},
		{"three names", "{\n \"a\": {}\n}", Key{"a", "b", "c"}, "v", "{\n \"a\": {\n  \"b\": {\n   \"c\": \"v\"\n  }\n }\n}"},
		{"name with a dot", `{"a.b":0}`, Key{"a.b"}, "v", `{"a.b":"v"}`},
		{"name and value to be escaped", `{}`, Key{"a\"\\"}, " \n\x00\u2028é\"", `{"a\"\\": " \u000a\u0000` + "\u2028" + `é\""}`},
		{"same name again inside", `{"a":{"a":{"x":1}}}`, Key{"a", "a", "a"}, "v", `{"a":{"a":{"x":1,"a":"v"}}}`},
		{"empty value", `{"a":1}`, Key{"a"}, "", `{"a":""}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := edited([]byte(tt.before), tt.key, text(tt.value))
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != tt.want {
				t.Errorf("got\n%s, want\n%s", got, tt.want)
			}
		})
	}
}

// TestEditNull has null on the way to the key, which is absence.
func TestEditNull(t *testing.T) {
	for before, want := range map[string]string{
		`{"telemetry":null}`:                                 `{"telemetry":{"installation_id":"ID"}}`,
		`{ "telemetry": null, "b": 1 }`:                      `{ "telemetry": {"installation_id": "ID"}, "b": 1 }`,
		"{\n  \"telemetry\": null,\n  \"b\": 1\n}":           "{\n  \"telemetry\": {\n    \"installation_id\": \"ID\"\n  },\n  \"b\": 1\n}",
		"{\r\n\t\"telemetry\": /* off */ null, // none\r\n}": "{\r\n\t\"telemetry\": /* off */ {\r\n\t\t\"installation_id\": \"ID\"\r\n\t}, // none\r\n}",
	} {
		got, err := edited([]byte(before), idKey, text("ID"))
		if err != nil || string(got) != want {
			t.Errorf("%s: got %s, %v, want %s", before, got, err, want)
		}
	}
	got, err := edited([]byte(`{"x": {"a":null, "y": null}}`), Key{"x", "a", "b", "c"}, text("v"))
	if want := `{"x": {"a":{"b": {"c": "v"}}, "y": null}}`; err != nil || string(got) != want {
		t.Errorf("got %s, %v, want %s", got, err, want)
	}
}

func TestEditNotObject(t *testing.T) {
	for before, want := range map[string]string{
		`[]`:                       "top level: not an object",
		`12`:                       "top level: not an object",
		`null`:                     "top level: not an object",
		`"{}"`:                     "top level: not an object",
		"// list\n[1,]":            "top level: not an object",
		`{"telemetry":true,"b":1}`: "telemetry: not an object",
		`{"telemetry":[{}]}`:       "telemetry: not an object",
		`{"telemetry":"",}`:        "telemetry: not an object",
	} {
		got, err := edited([]byte(before), idKey, text("ID"))
		if !errors.Is(err, ErrNotObject) || err.Error() != want {
			t.Errorf("%s: got error %v, want %s", before, err, want)
		}
		if got != nil {
			t.Errorf("%s: got a result with the error", before)
		}
	}
	_, err := edited([]byte(`{"a":{"b":1}}`), Key{"a", "b", "c"}, text("v"))
	if err == nil || err.Error() != "a.b: not an object" {
		t.Errorf("got error %v, want a.b: not an object", err)
	}
}

func TestEditRefusesItsOwnArguments(t *testing.T) {
	for name, key := range map[string]Key{"no name": {}, "empty name": {"a", ""}, "invalid UTF-8": {"a\xff"}} {
		if got, err := edited([]byte(`{}`), key, text("v")); err == nil || got != nil {
			t.Errorf("key with %s: got %q, %v, want an error", name, got, err)
		}
	}
	if got, err := NewString("\xff"); err == nil || got.raw != nil {
		t.Errorf("value with invalid UTF-8: got %q, %v, want an error", got.raw, err)
	}
}

// TestEditKeepsLimits checks that no edit makes a document too large or too
// deep to be read.
func TestEditKeepsLimits(t *testing.T) {
	full := `{"a":"` + strings.Repeat("x", maxSize-len(`{"a":""}`)) + `"}`
	if _, err := edited([]byte(full), idKey, text(testID)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("full config: got %v, want %v", err, ErrTooLarge)
	}
	largest := `{"a":"` + strings.Repeat("x", maxSize-len(`{"a":"","b":"v"}`)) + `"}`
	if got, err := edited([]byte(largest), Key{"b"}, text("v")); err != nil || len(got) != 8<<20 {
		t.Errorf("largest result: got %d bytes, %v, want 8 MiB", len(got), err)
	}
	if _, err := edited([]byte(largest+" "), Key{"b"}, text("v")); !errors.Is(err, ErrTooLarge) {
		t.Errorf("one byte more: got %v, want %v", err, ErrTooLarge)
	}
	deep := strings.Repeat(`{"a":`, maxDepth) + `1` + strings.Repeat(`}`, maxDepth)
	key := make(Key, maxDepth+1)
	for i := range key {
		key[i] = "a"
	}
	key[maxDepth-1] = "b"
	if _, err := edited([]byte(deep), key, text(testID)); !errors.Is(err, ErrTooDeep) {
		t.Errorf("deep config: got %v, want %v", err, ErrTooDeep)
	}
	if _, err := edited([]byte(deep), key[:maxDepth], text(testID)); err != nil {
		t.Errorf("deep config, key that fits: got %v, want no error", err)
	}
}

func TestChangeIs(t *testing.T) {
	change, err := Edit([]byte(`{"a":1}`), Key{"a"}, text("v"))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		data  string
		key   Key
		value string
		want  bool
	}{
		{`{"a":1}`, Key{"a"}, "v", true},
		{`{"a":2}`, Key{"a"}, "v", false},
		{`{"a":1}`, Key{"b"}, "v", false},
		{`{"a":1}`, Key{"a"}, "w", false},
	} {
		if got := change.Is([]byte(tt.data), tt.key, text(tt.value)); got != tt.want {
			t.Errorf("%s, %s, %s: got %v, want %v", tt.data, tt.key, tt.value, got, tt.want)
		}
	}
}

// TestVerify checks that wrong changes, as a mistake in plan would make them,
// are noticed.
func TestVerify(t *testing.T) {
	const before = `{"telemetry": {"a": 1 /* c */, "installation_id": "x"}, "b": [1, 2], "c": {}}`
	at := func(s string) int { return strings.Index(before, s) }
	right := splice{at(`"x"`), 3, []byte(`"ID"`)}
	applied := func(text string, splices []splice) string { return string(apply(nil, []byte(text), splices)) }
	if err := verified(t, before, applied(before, []splice{right}), []splice{right}, idKey); err != nil {
		t.Fatal(err)
	}
	for name, splices := range map[string][]splice{
		"nothing":                 {},
		"wrong value":             {{at(`"x"`), 3, []byte(`"IE"`)}},
		"value is no string":      {{at(`"x"`), 3, []byte(`1`)}},
		"another value too":       {right, {at(`2]`), 1, []byte(`3`)}},
		"another name too":        {right, {at(`"b"`), 3, []byte(`"d"`)}},
		"member added":            {right, {at(`{}`) + 1, 0, []byte(`"d":1`)}},
		"member added at the end": {right, {len(before) - 1, 0, []byte(`,"d":1`)}},
		"member removed":          {right, {at(`, "b"`), len(`, "b": [1, 2]`), nil}},
		"comment removed":         {{at(` /*`), len(` /* c */`), nil}, right},
		"key twice":               {{at(`"x"`), 3, []byte(`"ID", "installation_id": "ID"`)}},
		"beside the key":          {{at(`"x"`), 3, []byte(`"ID", "z": 1`)}},
		"not JSON":                {{at(`"x"`), 3, []byte(`"ID`)}},
	} {
		after := applied(before, splices)
		if err := verified(t, before, after, splices, idKey); err == nil {
			t.Errorf("%s: got no error for %s", name, after)
		}
	}
	other := strings.Replace(before, "/* c */", "/* d */", 1)
	if err := verified(t, before, applied(other, []splice{right}), []splice{right}, idKey); err == nil {
		t.Error("comment changed: got no error")
	}
	for name, splices := range map[string][]splice{
		"nothing":        {},
		"trailing comma": {{len(`{"a":1`), 0, []byte(`,"b":"ID",`)}},
		"comment":        {{len(`{"a":1`), 0, []byte(`,"b":"ID"/**/`)}},
		"sibling":        {{len(`{"a":1`), 0, []byte(`,"b":"ID","c":2`)}},
		"not at the end": {{len(`{`), 0, []byte(`"b":"ID",`)}},
	} {
		const strict = `{"a":1}`
		if err := verified(t, strict, applied(strict, splices), splices, Key{"b"}); err == nil {
			t.Errorf("%s inserted: got no error", name)
		}
	}
}

// TestVerifyNested checks that a value is noticed which is not where the key
// leads.
func TestVerifyNested(t *testing.T) {
	for _, tt := range []struct {
		name, before string
		splice       splice
		ok           bool
	}{
		{"new", `{"a":1}`, splice{6, 0, []byte(`,"b":{"c":"ID"}`)}, true},
		{"new, wrong value", `{"a":1}`, splice{6, 0, []byte(`,"b":{"c":"IE"}`)}, false},
		{"new, too high", `{"a":1}`, splice{6, 0, []byte(`,"b":"ID"`)}, false},
		{"new, sibling", `{"a":1}`, splice{6, 0, []byte(`,"b":{"c":"ID","d":1}`)}, false},
		{"no object before", `{"b":1}`, splice{5, 1, []byte(`{"c":"ID"}`)}, false},
		{"no object after", `{"b":{}}`, splice{5, 2, []byte(`"ID"`)}, false},
	} {
		after := string(apply(nil, []byte(tt.before), []splice{tt.splice}))
		err := verified(t, tt.before, after, []splice{tt.splice}, Key{"b", "c"})
		if (err == nil) != tt.ok {
			t.Errorf("%s: got %v for %s", tt.name, err, after)
		}
	}
}

func TestIsValue(t *testing.T) {
	for text, want := range map[string]bool{
		`"x"`: true, `{"a":[1, 2]}`: true, `1`: true, ` 1`: false, "1\n": false, `1,2`: false, `"x": 1`: false, ``: false,
	} {
		if got := isValue([]byte(text)); got != want {
			t.Errorf("%q: got %v, want %v", text, got, want)
		}
	}
}

func TestVerifyBytes(t *testing.T) {
	for _, tt := range []struct {
		before, after string
		splices       []splice
		ok            bool
	}{
		{"abc", "abc", nil, true},
		{"abc", "aXc", []splice{{1, 1, []byte("X")}}, true},
		{"abc", "abX", []splice{{2, 1, []byte("X")}}, true},
		{"abc", "aXYbc", []splice{{1, 0, []byte("X")}, {1, 0, []byte("Y")}}, true},
		{"abc", "ab", nil, false},
		{"abc", "abcd", nil, false},
		{"abc", "abd", nil, false},
		{"abc", "aXd", []splice{{1, 1, []byte("X")}}, false},
		{"abc", "aYc", []splice{{1, 1, []byte("X")}}, false},
		{"abc", "XbY", []splice{{2, 1, []byte("Y")}, {0, 1, []byte("X")}}, false},
		{"abc", "abXbc", []splice{{2, -1, []byte("X")}}, false},
		{"abc", "abX", []splice{{2, 2, []byte("X")}}, false},
	} {
		if err := verifyBytes([]byte(tt.before), []byte(tt.after), tt.splices); (err == nil) != tt.ok {
			t.Errorf("%s to %s by %v: got %v", tt.before, tt.after, tt.splices, err)
		}
	}
}

// edited returns the document that Edit makes, nil with an error.
func edited(data []byte, key Key, value Scalar) ([]byte, error) {
	change, err := Edit(data, key, value)
	if err != nil {
		return nil, err
	}
	return change.Data, nil
}

// splices returns the splices that set idKey to "ID".
func splices(t *testing.T, data []byte) []splice {
	t.Helper()
	doc, err := parse(data, []Key{idKey})
	if err != nil {
		t.Fatal(err)
	}
	splices, err := doc.plan(idKey, text("ID"))
	if err != nil {
		t.Fatal(err)
	}
	return splices
}

// verified returns the error of verify for a document, which must be valid, and
// splices of it.
func verified(t *testing.T, before, after string, splices []splice, key Key) error {
	t.Helper()
	doc, err := parse([]byte(before), nil)
	if err != nil {
		t.Fatal(err)
	}
	return verify(&doc, []byte(after), splices, key, text("ID"))
}

// text returns the Scalar of a valid string.
func text(s string) Scalar {
	value, err := NewString(s)
	if err != nil {
		panic(err)
	}
	return value
}

func TestLiteral(t *testing.T) {
	for _, tt := range []struct{ before, literal, want string }{
		{`{"a":{"b":false}}`, "true", `{"a":{"b":true}}`},
		{`{"a":{}}`, "12", `{"a":{"b":12}}`},
		{`{}`, "null", `{"a": {"b": null}}`},
		{`{"a":{"b":"x"}}`, "-1.5e3", `{"a":{"b":-1.5e3}}`},
	} {
		value, err := NewLiteral(tt.literal)
		if err != nil {
			t.Fatal(err)
		}
		got, err := edited([]byte(tt.before), Key{"a", "b"}, value)
		if err != nil || string(got) != tt.want {
			t.Errorf("%s in %s: got %s, %v, want %s", tt.literal, tt.before, got, err, tt.want)
		}
	}
	for _, bad := range []string{"", "tru", `"x"`, "{}", "[]", " true", "1 ", "1,2", "01", "NaN"} {
		if _, err := NewLiteral(bad); err == nil {
			t.Errorf("%q: got no error", bad)
		}
	}
}
