package jsonedit

import (
	"bytes"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"unicode/utf8"

	"github.com/rollcall-dev/rollcall/internal/test/randomjson"
)

// fuzzKeys are the keys that the fuzzers look for: deep enough for all cases,
// short enough to be found by chance.
var fuzzKeys = []Key{idKey, {"a"}, {"a", "b", "c"}}

func addSeeds(f *testing.F, add func(data string)) {
	f.Helper()
	for _, tt := range editCases {
		if len(tt.before) < 1000 {
			add(tt.before)
		}
	}
	for _, tt := range syntaxCases {
		add(tt.data)
	}
	add(`{"a": "\u0011\u00e9\ud800", "b": [-0, 1.5e-7, 01, 1., .5, -]}`)
	add("{\"a\": \"\\u001\x15\"}")
	for seed := range uint64(20) {
		text, _ := randomjson.Document(seed)
		add(string(text))
	}
}

// TestRandomDocuments does what the fuzzers do, with documents that are valid
// and full of what is allowed, with the same documents broken in one place, and
// with their beginnings.
func TestRandomDocuments(t *testing.T) {
	for seed := range uint64(1000) {
		text, strict := randomjson.Document(seed)
		doc, err := parse(text, nil)
		if err != nil {
			t.Fatalf("document %d: %v:\n%s", seed, err, text)
		}
		if got, want := decode(doc.strict), decode(strict); !reflect.DeepEqual(got, want) {
			t.Errorf("without comments: got\n%s, want\n%s", doc.strict, strict)
		}
		checkScan(t, text)
		for _, key := range fuzzKeys {
			checkEdit(t, text, key, testID)
		}
		r := rand.New(rand.NewPCG(seed, 1))
		broken := bytes.Clone(text)
		broken[r.IntN(len(broken))] = "\x00\x10\"\\{}[]:,0e.-t n/*"[r.IntN(19)]
		checkScan(t, broken)
		checkScan(t, broken[:r.IntN(len(broken))])
		checkEdit(t, broken, fuzzKeys[0], testID)
		if t.Failed() {
			t.Fatalf("document %d:\n%s", seed, text)
		}
	}
}

// FuzzScan compares Scan with encoding/json.
func FuzzScan(f *testing.F) {
	addSeeds(f, func(data string) { f.Add([]byte(data)) })
	f.Fuzz(checkScan)
}

func checkScan(t *testing.T, data []byte) {
	t.Helper()
	before := bytes.Clone(data)
	doc, err := parse(data, nil)
	if !bytes.Equal(before, data) {
		t.Fatal("changed its argument")
	}
	text := bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	isStrict := utf8.Valid(text) && json.Valid(text)
	if err != nil {
		if isStrict && !errors.Is(err, ErrTooDeep) {
			t.Errorf("got error %v for valid JSON", err)
		}
		if e := asSyntaxError(err); e != nil {
			lines := bytes.Split(text, []byte("\n"))
			if e.Line < 1 || e.Line > len(lines) || e.Column < 1 || e.Column > len(lines[e.Line-1])+1 {
				t.Errorf("got error %v, which is outside", err)
			}
		}
		return
	}
	if doc.isStrict() != isStrict {
		t.Errorf("strict: got %v, want %v", doc.isStrict(), isStrict)
	}
	for i, c := range doc.strict {
		if c != text[i] && c != ' ' {
			t.Fatalf("offset %d was changed: got %q, want %q or a blank", i, c, text[i])
		}
	}
	if !json.Valid(doc.strict) {
		t.Fatalf("accepted what is not valid without comments: %q", doc.strict)
	}
	if len(data) < 500 {
		requirePrefixes(t, data)
	}
	root := decode(doc.strict)
	for _, key := range fuzzKeys {
		got, err := Scan(data, []Key{key})
		want, refused := root.find(key)
		switch {
		case (err != nil) != refused:
			t.Errorf("%s: got error %v, want one: %v", key, err, refused)
		case err == nil && got[0] != want.value():
			t.Errorf("%s: got %v, want %v", key, got[0], want.value())
		}
	}
	// Together, each key has the same value as alone, unless one is refused.
	if together, err := Scan(data, fuzzKeys); err == nil {
		for i, key := range fuzzKeys {
			if alone, err := Scan(data, []Key{key}); err != nil || together[i] != alone[0] {
				t.Errorf("%s: got %v together, %v, %v alone", key, together[i], alone, err)
			}
		}
	}
}

// FuzzEdit compares Edit with encoding/json and the value set in the tree that
// it makes of the document.
func FuzzEdit(f *testing.F) {
	addSeeds(f, func(data string) {
		for i := range fuzzKeys {
			f.Add([]byte(data), byte(i), "ID")
		}
	})
	f.Fuzz(func(t *testing.T, data []byte, keyNumber byte, value string) {
		checkEdit(t, data, fuzzKeys[int(keyNumber)%len(fuzzKeys)], value)
	})
}

func checkEdit(t *testing.T, data []byte, key Key, text string) {
	t.Helper()
	before := bytes.Clone(data)
	value, err := NewString(text)
	if err != nil {
		if utf8.ValidString(text) {
			t.Fatalf("refused the value %q: %v", text, err)
		}
		return
	}
	change, err := Edit(data, key, value)
	if !bytes.Equal(before, data) {
		t.Fatal("changed its argument")
	}
	doc, parseErr := parse(data, []Key{key})
	if err != nil {
		switch values, _ := Scan(data, []Key{key}); {
		case parseErr != nil, errors.Is(err, ErrTooDeep):
		case errors.Is(err, ErrNotObject) != (values[0].Kind == Blocked):
			t.Errorf("got error %v and value %v", err, values[0])
		case values[0].Kind != Blocked:
			t.Errorf("got error %v, want the value to be set", err)
		}
		return
	}
	if parseErr != nil {
		t.Fatalf("edited what is refused: %v", parseErr)
	}
	changed, err := parse(change.Data, []Key{key})
	if err != nil {
		t.Fatalf("got an invalid document: %v:\n%s", err, change.Data)
	}
	if doc.isStrict() && !changed.isStrict() {
		t.Error("strict JSON before, but not after")
	}
	want := decode(doc.strict)
	want.set(key, text)
	if got := decode(changed.strict); !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%s, want %q at %s and no other difference from\n%s", change.Data, text, key, data)
	}
	splices, err := doc.plan(key, value)
	if err != nil {
		t.Fatal(err)
	}
	if undone := undo(doc.text, changed.text, splices); !bytes.Equal(undone, doc.text) {
		t.Errorf("without the splices it is %q, want the original", undone)
	}
	if again, err := Edit(change.Data, key, value); err != nil || !bytes.Equal(again.Data, change.Data) {
		t.Errorf("edited again: got %v, want no change", err)
	}
}

// undo takes back splices of before in after.
func undo(before, after []byte, splices []splice) []byte {
	after = bytes.Clone(after)
	for i, s := range slices.Backward(splices) {
		offset := s.offset
		for _, earlier := range splices[:i] {
			offset += len(earlier.insert) - earlier.remove
		}
		after = slices.Replace(after, offset, offset+len(s.insert), before[s.offset:s.offset+s.remove]...)
	}
	return after
}

// A node is a value as encoding/json reads it, with the order of members and
// with duplicates.
type node struct {
	token    json.Token // of a value that is neither an object nor an array
	kind     Kind
	names    []string
	children []*node
}

// decode returns the tree of valid strict JSON.
func decode(strict []byte) *node {
	d := json.NewDecoder(bytes.NewReader(strict))
	d.UseNumber()
	return decodeNext(d)
}

func decodeNext(d *json.Decoder) *node {
	token, err := d.Token()
	if err != nil {
		panic(err)
	}
	n := &node{}
	switch t := token.(type) {
	case json.Delim:
		n.kind = Array
		if t == '{' {
			n.kind = Object
		}
		for d.More() {
			if n.kind == Object {
				name, _ := d.Token()
				n.names = append(n.names, name.(string))
			}
			n.children = append(n.children, decodeNext(d))
		}
		d.Token()
		return n
	case string:
		n.kind = String
	case json.Number:
		n.kind = Number
	case bool:
		n.kind = Bool
	case nil:
		n.kind = Null
	}
	n.token = token
	return n
}

// find returns what is at a key, or nil, or a node that is Blocked, and whether
// the key must be refused: a name on the way to it occurs twice.
func (n *node) find(key Key) (found *node, refused bool) {
	for i, name := range key {
		switch {
		case n.kind == Object:
		case i == 0:
			return &node{kind: Blocked}, false
		case n.kind == Null:
			return nil, false
		default:
			return &node{kind: Blocked, token: n.token}, false
		}
		i := slices.Index(n.names, name)
		if i < 0 {
			return nil, false
		}
		if slices.Contains(n.names[i+1:], name) {
			return nil, true
		}
		n = n.children[i]
	}
	return n, false
}

func (n *node) value() Value {
	if n == nil {
		return Value{}
	}
	v := Value{Kind: n.kind}
	switch token := n.token.(type) {
	case string:
		v.Text = token
	case json.Number:
		v.Text = token.String()
	case bool:
		v.Text = map[bool]string{false: "false", true: "true"}[token]
	}
	if v.Long = len(v.Text) > 256; v.Long {
		v.Text = ""
	}
	return v
}

func (n *node) set(key Key, text string) {
	for _, name := range key {
		if n.kind == Null {
			*n = node{kind: Object}
		}
		i := slices.Index(n.names, name)
		if i < 0 {
			i = len(n.names)
			n.names = append(n.names, name)
			n.children = append(n.children, &node{kind: Object})
		}
		n = n.children[i]
	}
	*n = node{token: text, kind: String}
}
