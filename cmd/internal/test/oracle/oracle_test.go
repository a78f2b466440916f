// Package oracle compares what the library does itself with other modules that
// do the same, which hosts should not have to link: package jsonedit with a
// parser of JSON with comments and trailing commas, and the orders of versions
// in package report with a library of each scheme.
package oracle

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/tailscale/hujson"

	"github.com/rollcall-dev/rollcall/internal/jsonedit"
	"github.com/rollcall-dev/rollcall/internal/test/randomjson"
)

// fuzzKeys are the keys that the fuzzers look for: deep enough for all cases,
// short enough to be found by chance.
var fuzzKeys = []jsonedit.Key{{"telemetry", "installation_id"}, {"a"}, {"a", "b", "c"}}

// TestRandomDocuments does what the fuzzers do, with documents that are nearly
// always valid and full of what is allowed.
func TestRandomDocuments(t *testing.T) {
	for seed := range uint64(1000) {
		text, _ := randomjson.Document(seed)
		checkScan(t, text)
		for _, key := range fuzzKeys {
			checkEdit(t, text, key, randomjson.ID)
		}
		if t.Failed() {
			t.Fatalf("document %d:\n%s", seed, text)
		}
	}
}

// addSeeds calls add for each document of testdata/documents.txt, which holds
// one quoted string a line.
func addSeeds(f *testing.F, add func(data []byte)) {
	f.Helper()
	file, err := os.ReadFile("testdata/documents.txt")
	if err != nil {
		f.Fatal(err)
	}
	for line := range strings.Lines(string(file)) {
		data, err := strconv.Unquote(strings.TrimSuffix(line, "\n"))
		if err != nil {
			f.Fatal(err)
		}
		add([]byte(data))
	}
}

// FuzzEdit compares Edit with a parser that builds a tree, encoding/json, and
// the value set in the maps that come out of it.
func FuzzEdit(f *testing.F) {
	addSeeds(f, func(data []byte) {
		for i := range fuzzKeys {
			f.Add(data, byte(i), "ID")
		}
	})
	f.Fuzz(func(t *testing.T, data []byte, keyNumber byte, value string) {
		checkEdit(t, data, fuzzKeys[int(keyNumber)%len(fuzzKeys)], value)
	})
}

func checkEdit(t *testing.T, data []byte, key jsonedit.Key, text string) {
	t.Helper()
	before := bytes.Clone(data)
	value, err := jsonedit.NewString(text)
	if err != nil {
		if utf8.ValidString(text) {
			t.Fatalf("refused the value %q: %v", text, err)
		}
		return
	}
	change, err := jsonedit.Edit(data, key, value)
	if !bytes.Equal(before, data) {
		t.Fatal("changed its argument")
	}
	want := reference(before)
	if want.err == errPerhapsTooDeep {
		return
	}
	if err != nil {
		blocked := errors.Is(err, jsonedit.ErrNotObject) && want.value(key).Kind == jsonedit.Blocked
		if want.err == nil && !blocked && !want.refusable([]jsonedit.Key{key}) {
			t.Errorf("got error %v, want the value to be set", err)
		}
		return
	}
	if want.err != nil {
		t.Fatalf("edited what is not valid: %v", want.err)
	}
	values, err := jsonedit.Scan(change.Data, []jsonedit.Key{key})
	if err != nil {
		t.Fatal(err)
	}
	if got := values[0]; got.Kind != jsonedit.String || got.Long != (len(text) > 256) || !got.Long && got.Text != text {
		t.Errorf("got %v at the key, want %q", got, text)
	}
	got := reference(change.Data)
	if got.err == errPerhapsTooDeep {
		return // because of brackets in text
	}
	if got.err != nil {
		t.Fatalf("%v in the result\n%s", got.err, change.Data)
	}
	if want.strict && !got.strict {
		t.Error("strict JSON before, but not after")
	}
	set(want.tree.(map[string]any), key, text)
	if !reflect.DeepEqual(got.tree, want.tree) {
		t.Errorf("got\n%v, want\n%v", got.tree, want.tree)
	}
	if again, err := jsonedit.Edit(change.Data, key, value); err != nil || !bytes.Equal(again.Data, change.Data) {
		t.Errorf("edited again: got %v, want no change", err)
	}
}

func set(tree map[string]any, key jsonedit.Key, text string) {
	for ; len(key) > 1; key = key[1:] {
		inner, ok := tree[key[0]].(map[string]any)
		if !ok {
			inner = map[string]any{}
			tree[key[0]] = inner
		}
		tree = inner
	}
	tree[key[0]] = text
}

// FuzzScan compares Scan with a tree of the whole document, and whether it
// accepts a document at all with encoding/json.
func FuzzScan(f *testing.F) {
	addSeeds(f, func(data []byte) { f.Add(data) })
	f.Fuzz(checkScan)
}

func checkScan(t *testing.T, data []byte) {
	t.Helper()
	before := bytes.Clone(data)
	got, err := jsonedit.Scan(data, fuzzKeys)
	if !bytes.Equal(before, data) {
		t.Fatal("changed its argument")
	}
	want := reference(data)
	if want.err == errPerhapsTooDeep {
		return
	}
	switch {
	case err != nil && want.err == nil && !want.refusable(fuzzKeys):
		t.Errorf("got error %v, want none", err)
	case err == nil && want.err != nil:
		t.Errorf("got no error, want %v", want.err)
	case err != nil && got != nil:
		t.Errorf("got error %v and values %v", err, got)
	case got != nil:
		for i, key := range fuzzKeys {
			if want := want.value(key); got[i] != want {
				t.Errorf("%s: got %v, want %v", key, got[i], want)
			}
		}
	}

	// For each key alone, so that one error does not hide another.
	for _, key := range fuzzKeys {
		_, err := jsonedit.Scan(data, []jsonedit.Key{key})
		if want.err == nil && (err != nil) != want.refusable([]jsonedit.Key{key}) {
			t.Errorf("%s: got error %v, want one: %t", key, err, !(err != nil))
		}
	}
	_, err = jsonedit.Scan(data, nil)
	if (err == nil) != (want.err == nil) {
		t.Errorf("without keys: got error %v, want %v", err, want.err)
	}
}

// A referenceDocument is a document as other code reads it.
type referenceDocument struct {
	err    error // why it must be refused
	strict bool
	root   hujson.Value
	tree   any
}

// errPerhapsTooDeep means that the reference cannot judge a document.
var errPerhapsTooDeep = errors.New("perhaps too deep")

// reference reads a document with other parsers. It refuses what jsonedit
// refuses on purpose: what is not text, what is too large or deep, and line
// comments that end in different places for different readers. It accepts a
// line comment that ends with the file, as jsonedit does.
func reference(data []byte) referenceDocument {
	text := bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	switch {
	case len(data) > jsonedit.MaxSize:
		return referenceDocument{err: errors.New("too large")}
	case !utf8.Valid(text):
		return referenceDocument{err: errors.New("invalid UTF-8")}
	case bytes.IndexByte(text, 0) >= 0:
		return referenceDocument{err: errors.New("NUL")}
	case strings.Count(string(text), "[")+strings.Count(string(text), "{") > jsonedit.MaxDepth:
		return referenceDocument{err: errPerhapsTooDeep}
	}
	padded := append(bytes.Clone(text), '\n')
	root, err := hujson.Parse(padded)
	if err != nil {
		return referenceDocument{err: err}
	}
	if loneCR(&root) {
		return referenceDocument{err: errors.New("line comment with a lone CR")}
	}
	standard := root.Clone()
	standard.Standardize()
	decoder := json.NewDecoder(bytes.NewReader(standard.Pack()))
	decoder.UseNumber()
	doc := referenceDocument{strict: json.Valid(text), root: root}
	doc.err = decoder.Decode(&doc.tree)
	return doc
}

// loneCR reports whether one of the comments in v has a lone CR in it.
func loneCR(v *hujson.Value) bool {
	found := false
	look := func(extra hujson.Extra) {
		for len(extra) > 0 {
			switch {
			case bytes.HasPrefix(extra, []byte("//")):
				line, rest, _ := bytes.Cut(extra, []byte("\n"))
				found = found || bytes.IndexByte(bytes.TrimSuffix(line, []byte("\r")), '\r') >= 0
				extra = rest
			case bytes.HasPrefix(extra, []byte("/*")):
				_, rest, _ := bytes.Cut(extra[2:], []byte("*/"))
				extra = rest
			default:
				extra = extra[1:]
			}
		}
	}
	for value := range v.All() {
		look(value.BeforeExtra)
		look(value.AfterExtra)
		switch inner := value.Value.(type) {
		case *hujson.Object:
			look(inner.AfterExtra)
		case *hujson.Array:
			look(inner.AfterExtra)
		}
	}
	return found
}

// find returns the value at a key, or the one that stands in place of an
// object on the way to it, and whether a name on the way occurs twice.
func (d *referenceDocument) find(key jsonedit.Key) (found *hujson.Value, duplicate, notObject bool) {
	at := &d.root
	for _, name := range key {
		object, ok := at.Value.(*hujson.Object)
		if !ok {
			return at, false, true
		}
		at = nil
		for i := range object.Members {
			if object.Members[i].Name.Value.(hujson.Literal).String() == name {
				if at != nil {
					return nil, true, false
				}
				at = &object.Members[i].Value
			}
		}
		if at == nil {
			return nil, false, false
		}
	}
	return at, false, false
}

// refusable reports whether a valid document must be refused for one of the
// keys.
func (d *referenceDocument) refusable(keys []jsonedit.Key) bool {
	return slices.ContainsFunc(keys, func(key jsonedit.Key) bool {
		_, duplicate, _ := d.find(key)
		return duplicate
	})
}

func (d *referenceDocument) value(key jsonedit.Key) jsonedit.Value {
	found, _, notObject := d.find(key)
	switch {
	case found == nil, notObject && found != &d.root && found.Value.Kind() == 'n':
		return jsonedit.Value{}
	case notObject && found == &d.root:
		return jsonedit.Value{Kind: jsonedit.Blocked}
	}
	v := scalar(found)
	if notObject {
		v.Kind = jsonedit.Blocked
	}
	return v
}

func scalar(found *hujson.Value) jsonedit.Value {
	var v jsonedit.Value
	switch found.Value.Kind() {
	case 'n':
		return jsonedit.Value{Kind: jsonedit.Null}
	case '{':
		return jsonedit.Value{Kind: jsonedit.Object}
	case '[':
		return jsonedit.Value{Kind: jsonedit.Array}
	case 't', 'f':
		v.Kind = jsonedit.Bool
	case '0':
		v.Kind = jsonedit.Number
	case '"':
		v.Kind = jsonedit.String
	}
	v.Text = found.Value.(hujson.Literal).String()
	if v.Long = len(v.Text) > 256; v.Long {
		v.Text = ""
	}
	return v
}
