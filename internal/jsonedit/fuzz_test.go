package jsonedit

import (
	"bytes"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/tailscale/hujson"
)

// fuzzKeys are the keys that the fuzzers look for: deep enough for all cases, short enough to be found by chance.
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
}

// TestRandomConfigs does what the fuzzers do, with configs that are nearly always valid and full of what is allowed.
func TestRandomConfigs(t *testing.T) {
	for seed := range uint64(1000) {
		g := generator{Rand: rand.New(rand.NewPCG(seed, 0))}
		g.document()
		checkScan(t, g.Bytes())
		for _, key := range fuzzKeys {
			checkEdit(t, g.Bytes(), key, testID)
		}
		if t.Failed() {
			t.Fatalf("config %d:\n%s", seed, g.Bytes())
		}
	}
}

// generator writes a random config.
type generator struct {
	*rand.Rand
	bytes.Buffer
	comments, trailingCommas, lines bool
	newline                         string
	unit                            string
}

func (g *generator) document() {
	g.comments, g.trailingCommas, g.lines = g.maybe(2), g.maybe(2), g.maybe(2)
	g.newline = g.pick("\n", "\r\n")
	g.unit = g.pick("", " ", "  ", "    ", "\t")
	g.WriteString(g.pick("", "", "", "\xef\xbb\xbf"))
	g.gap(0)
	g.object(0)
	g.gap(0)
	if g.comments && g.maybe(4) {
		g.WriteString("// end")
	}
}

func (g *generator) object(level int) {
	names := []string{"a", "b", "c", "telemetry", "installation_id", `\u0061`, `telemetr\u0079`, "enabled", "", "é\\\"", "//", "{"}
	g.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	g.list(level, '{', '}', func(i int) {
		g.WriteString(`"` + names[i%len(names)] + `"`)
		g.gap(-1)
		g.WriteByte(':')
		g.gap(-1)
		g.value(level + 1)
	})
}

func (g *generator) value(level int) {
	switch {
	case level < 5 && g.maybe(2):
		g.object(level)
	case level < 5 && g.maybe(4):
		g.list(level, '[', ']', func(int) { g.value(level + 1) })
	default:
		g.WriteString(g.pick(`1`, `-0.50e+400`, `true`, `null`, `""`, `"/* x */"`, `"\\\"//"`, `"é\ud83d\ude00\ud800"`, `"`+testID+`"`))
	}
}

func (g *generator) list(level int, open, close byte, element func(i int)) {
	g.WriteByte(open)
	n := g.IntN(4)
	for i := range n {
		if i > 0 {
			g.WriteByte(',')
		}
		g.gap(level + 1)
		element(i)
		if g.maybe(4) {
			g.gap(-1)
		}
	}
	if n > 0 && g.trailingCommas && g.maybe(2) {
		g.WriteByte(',')
	}
	if n > 0 || g.maybe(2) {
		g.gap(level)
	}
	g.WriteByte(close)
}

// gap writes what may stand between two tokens, the second of which is indented by level if it begins a line.
func (g *generator) gap(level int) {
	if g.comments && g.maybe(6) {
		g.WriteString(g.pick(" ", "", g.newline))
		g.WriteString(g.pick("/**/", "/* { \" */", "/*"+g.newline+" // */", "// } \""+g.newline, "//"+g.newline))
	}
	switch {
	case g.lines && level >= 0 && !g.maybe(20):
		g.WriteString(g.newline + strings.Repeat(g.unit, level))
	default:
		g.WriteString(g.pick("", " "))
	}
}

func (g *generator) maybe(n int) bool           { return g.IntN(n) == 0 }
func (g *generator) pick(from ...string) string { return from[g.IntN(len(from))] }

// FuzzEdit holds edit against a reference that shares nothing with it: a parser that builds a tree, encoding/json, and
// the value set in the maps that come out of it.
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

func checkEdit(t *testing.T, data []byte, key Key, value string) {
	t.Helper()
	before := bytes.Clone(data)
	content, err := NewString(value)
	if err != nil {
		if utf8.ValidString(value) {
			t.Fatalf("refused the value %q: %v", value, err)
		}
		return
	}
	after, err := Edit(data, key, content)
	if !bytes.Equal(before, data) {
		t.Fatal("edit changed what it was given")
	}
	splices, _, _, planErr := plan(data, key, content)
	if (err == nil) != (planErr == nil) {
		t.Fatalf("edit says %v, plan says %v", err, planErr)
	}
	want := reference(before)
	if want.err == errPerhapsTooDeep {
		return
	}
	if err != nil {
		if after != nil || splices != nil {
			t.Errorf("got a result with the error %v", err)
		}
		if refusable := want.err != nil || !utf8.ValidString(value) || want.refusable([]Key{key}); !refusable {
			t.Errorf("got error %v, want the value to be set", err)
		}
		return
	}
	if want.err != nil {
		t.Fatalf("edited what is not valid: %v", want.err)
	}

	if planned := apply(data, splices); !bytes.Equal(planned, after) {
		t.Errorf("plan makes %q, edit makes %q", planned, after)
	}
	if undone := undo(before, after, splices); !bytes.Equal(undone, before) {
		t.Errorf("without the changes it is %q, want the original", undone)
	}
	values, err := Scan(after, []Key{key})
	if err != nil {
		t.Fatal(err)
	}
	if got := values[0]; got.Kind != String || got.Long != (len(value) > maxText) || !got.Long && got.Text != value {
		t.Errorf("got %v at the key, want %q", got, value)
	}
	got := reference(after)
	if got.err == errPerhapsTooDeep {
		return // because of brackets in value
	}
	if got.err != nil {
		t.Fatalf("%v in the result\n%s", got.err, after)
	}
	if want.strict && !got.strict {
		t.Error("strict JSON before, but not after")
	}
	set(want.tree.(map[string]any), key, value)
	if !reflect.DeepEqual(got.tree, want.tree) {
		t.Errorf("got\n%v, want\n%v", got.tree, want.tree)
	}
	if more, _, _, err := plan(after, key, content); err != nil || len(more) > 0 {
		t.Errorf("plan for the result: got %v, %v, want no change", more, err)
	}
}

// undo takes back splices of before in after.
func undo(before, after []byte, splices []splice) []byte {
	after = bytes.Clone(after)
	for _, s := range slices.Backward(splices) {
		offset := s.offset
		for _, earlier := range splices {
			if earlier.offset < s.offset {
				offset += len(earlier.insert) - earlier.remove
			}
		}
		after = slices.Replace(after, offset, offset+len(s.insert), before[s.offset:s.offset+s.remove]...)
	}
	return after
}

func set(tree map[string]any, key Key, value string) {
	for ; len(key) > 1; key = key[1:] {
		inner, ok := tree[key[0]].(map[string]any)
		if !ok {
			inner = map[string]any{}
			tree[key[0]] = inner
		}
		tree = inner
	}
	tree[key[0]] = value
}

// FuzzScan holds scan against a tree of the whole config, and whether it takes a config at all against encoding/json.
func FuzzScan(f *testing.F) {
	addSeeds(f, func(data string) { f.Add([]byte(data)) })
	f.Fuzz(checkScan)
}

func checkScan(t *testing.T, data []byte) {
	t.Helper()
	before := bytes.Clone(data)
	got, err := Scan(data, fuzzKeys)
	if !bytes.Equal(before, data) {
		t.Fatal("scan changed what it was given")
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
	case err != nil && errors.Is(err, ErrNotObject) != (got != nil):
		t.Errorf("got error %v and values %v", err, got)
	case errors.Is(err, ErrNotObject) && !slices.ContainsFunc(fuzzKeys, func(key Key) bool { return want.notObject(key) }):
		t.Errorf("got error %v for what is an object", err)
	case got != nil:
		for i, key := range fuzzKeys {
			if want := want.value(key); !reflect.DeepEqual(got[i], want) {
				t.Errorf("%s: got %v, want %v", key, got[i], want)
			}
		}
	}

	// For each key alone, so that one error does not hide another.
	for _, key := range fuzzKeys {
		_, err := Scan(data, []Key{key})
		if want.err == nil && (err != nil) != want.refusable([]Key{key}) {
			t.Errorf("%s: got error %v, want one: %t", key, err, !(err != nil))
		}
	}
	_, err = Scan(data, nil)
	if (err == nil) != (want.err == nil) {
		t.Errorf("without keys: got error %v, want %v", err, want.err)
	}
	if err == nil && len(data) < 500 {
		requirePrefixes(t, data)
	}
	if e, ok := errors.AsType[*SyntaxError](err); ok {
		lines := bytes.Split(data, []byte("\n"))
		if e.Line < 1 || e.Line > len(lines) || e.Column < 1 || e.Column > len(lines[e.Line-1])+1 {
			t.Errorf("got error %v, which is outside", err)
		}
	}
}

// referenceDocument is a config as other code reads it.
type referenceDocument struct {
	err    error // it must be refused
	strict bool
	root   hujson.Value
	tree   any
}

// errPerhapsTooDeep is for what the reference cannot judge; TestDepth does.
var errPerhapsTooDeep = errors.New("perhaps too deep")

// reference reads a config with other parsers, and with what we refuse on purpose refused: what is no text, what is too
// large or deep, and line comments that end in different places for different readers. We also take a line comment
// that ends with the file.
func reference(data []byte) referenceDocument {
	text := bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	switch {
	case len(data) > MaxSize:
		return referenceDocument{err: errors.New("too large")}
	case !utf8.Valid(text):
		return referenceDocument{err: errors.New("invalid UTF-8")}
	case bytes.IndexByte(text, 0) >= 0:
		return referenceDocument{err: errors.New("NUL")}
	case strings.Count(string(text), "[")+strings.Count(string(text), "{") > MaxDepth:
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

// find returns what stands at a key, and whether a name on the way to it occurs twice or leads to no object.
func (d *referenceDocument) find(key Key) (found *hujson.Value, duplicate, notObject bool) {
	at := &d.root
	for _, name := range key {
		object, ok := at.Value.(*hujson.Object)
		if !ok {
			return nil, false, true
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

func (d *referenceDocument) notObject(key Key) bool {
	_, _, notObject := d.find(key)
	return notObject
}

// refusable reports whether a valid config must be refused for one of the keys.
func (d *referenceDocument) refusable(keys []Key) bool {
	return slices.ContainsFunc(keys, func(key Key) bool {
		_, duplicate, notObject := d.find(key)
		return duplicate || notObject
	})
}

func (d *referenceDocument) value(key Key) Value {
	found, _, _ := d.find(key)
	if found == nil {
		return Value{}
	}
	var v Value
	switch found.Value.Kind() {
	case 'n':
		return Value{Kind: Null}
	case '{':
		return Value{Kind: Object}
	case '[':
		return Value{Kind: Array}
	case 't', 'f':
		v.Kind = Bool
	case '0':
		v.Kind = Number
	case '"':
		v.Kind = String
	}
	v.Text = found.Value.(hujson.Literal).String()
	if v.Long = len(v.Text) > maxText; v.Long {
		v.Text = ""
	}
	return v
}

// FuzzQuickWalk holds quickWalk to what walk finds in whatever it does not leave to walk.
func FuzzQuickWalk(f *testing.F) {
	addSeeds(f, func(data string) { f.Add([]byte(data)) })
	f.Add([]byte(`{"a": "\u0011\u00e9\ud800", "b": [-0, 1.5e-7, 01, 1., .5, -]}`))
	f.Add([]byte("{\"a\": \"\\u001\x15\"}"))
	f.Fuzz(func(t *testing.T, data []byte) { checkQuickWalk(t, data) })
}

func TestQuickWalkRandomConfigs(t *testing.T) {
	understood := 0
	for seed := range uint64(1000) {
		g := generator{Rand: rand.New(rand.NewPCG(seed, 0))}
		g.document()
		if checkQuickWalk(t, g.Bytes()) {
			understood++
		}
		broken := bytes.Clone(g.Bytes())
		broken[g.IntN(len(broken))] = "\x00\x10\"\\{}[]:,0e.-t n"[g.IntN(17)]
		checkQuickWalk(t, broken)
		checkQuickWalk(t, broken[:g.IntN(len(broken))])
		if t.Failed() {
			t.Fatalf("config %d:\n%s", seed, g.Bytes())
		}
	}
	if understood == 0 {
		t.Error("not one config was understood")
	}
}

func checkQuickWalk(t *testing.T, data []byte) (understood bool) {
	t.Helper()
	if firstFault(data) != nil {
		return false
	}
	got, ok, notObj := quickWalk(data, fuzzKeys)
	if !ok {
		return false
	}
	want, err := walk(data, data, fuzzKeys)
	if !reflect.DeepEqual(notObj, err) {
		t.Errorf("got error %v, want %v", notObj, err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	return true
}

// TestQuickWalkStrict takes care that what most configs are is not left to walk.
func TestQuickWalkStrict(t *testing.T) {
	if _, ok, _ := quickWalk(bigConfig(), fuzzKeys); !ok {
		t.Error("a config of strict JSON was left to walk")
	}
}
