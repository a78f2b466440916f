package report

import (
	"bytes"
	"encoding/json"
	"testing"
)

// Fields of a later schema are withheld. The real tables have none yet.
func TestLaterFieldsAreWithheld(t *testing.T) {
	type thing struct{ old, new, part, newPart string }
	rule := rule{max: 8, of: "anything", ok: func(string) bool { return true }}
	table := specs[thing]{
		{key: "old", since: 1, codec: text[thing]{func(t *thing) *string { return &t.old }, &rule}},
		{key: "outer", since: 1, optional: true, codec: object[thing]{
			{key: "part", since: 1, optional: true, codec: text[thing]{func(t *thing) *string { return &t.part }, &rule}},
			{key: "new_part", since: 2, optional: true, codec: text[thing]{func(t *thing) *string { return &t.newPart }, &rule}},
		}},
		{key: "new", since: 2, optional: true, codec: text[thing]{func(t *thing) *string { return &t.new }, &rule}},
	}
	for schema, want := range []string{
		`{}`,
		`{"old":"a","outer":{"part":"c"}}`,
		`{"old":"a","outer":{"part":"c","new_part":"d"},"new":"b"}`,
	} {
		if got := table.append(nil, &thing{"a", "b", "c", "d"}, schema); string(got) != want {
			t.Errorf("schema %d: got %s, want %s", schema, got, want)
		}
	}
}

// Specs rely on one bit for each field, and on keys that need no escapes.
func TestSpecsFit(t *testing.T) {
	check := func(n int, key func(i int) string) {
		if n > 64 {
			t.Errorf("got %d fields, want at most 64", n)
		}
		for i := range n {
			if !ValidName(key(i)) {
				t.Errorf("got key %q, want a plain one", key(i))
			}
		}
	}
	check(len(heartbeatSpecs), func(i int) string { return heartbeatSpecs[i].key })
	check(len(healthSpecs), func(i int) string { return healthSpecs[i].key })
	check(len(faultSpecs), func(i int) string { return faultSpecs[i].key })
}

// FuzzReader compares the reader with encoding/json: where a value ends, and
// what a text of ASCII is.
func FuzzReader(f *testing.F) {
	for _, seed := range []string{
		`"a\u0062\n\/\"\\\b\f\r\t"`, `{"a":[1,-2.5e+3,true,{"b":null}],"c":"]}"}`, ` [ ] `, `"\ud83d\udc26"`, `{"\u007b":"}"}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		data := append(append([]byte(`{"a":`), value...), `,"z":0}`...)
		r, err := newReader(data, MaxBodyBytes)
		if err != nil || !json.Valid(value) {
			return
		}
		r.enter('{')
		r.more()
		r.key()
		start := r.pos
		r.next()
		if got, want := bytes.TrimSpace(r.data[start:r.pos]), bytes.TrimSpace(value); !bytes.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
		if !r.more() || string(r.key()) != "z" {
			t.Error("the next key was not found")
		}
		r.pos = start
		var want string
		if text, ok := r.text(); ok && json.Unmarshal(value, &want) == nil {
			ascii := func(text string) bool { return all(text, func(c byte) bool { return c < 0x80 }) }
			if got := string(text); ascii(got) != ascii(want) || ascii(want) && got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		}
	})
}
