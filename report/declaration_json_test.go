package report_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/rollcall-dev/rollcall/report"
)

func TestDeclarationJSON(t *testing.T) {
	t.Parallel()
	d, err := report.Declare(
		report.BucketFact("users", "to size the defaults", 1, 10).AddedIn(2),
		report.EnumFact("store.kind", "which backend", "sqlite", "postgres"),
		report.BoolFact("tls", "whether HTTP can go"),
	)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(d)
	const want = `{"facts":[` +
		`{"name":"store.kind","reason":"which backend","type":"enum","values":["sqlite","postgres"]},` +
		`{"name":"tls","reason":"whether HTTP can go","type":"bool"},` +
		`{"name":"users","reason":"to size the defaults","type":"buckets","since":2,"bounds":[1,10]}]}`
	if err != nil || string(text) != want {
		t.Fatalf("got %s, %v, want %s", text, err, want)
	}
	back, err := report.ParseDeclaration(text)
	if err != nil || !reflect.DeepEqual(back, d) {
		t.Errorf("got %+v, %v, want %+v", back, err, d)
	}
	var field struct{ D report.Declaration }
	if err := json.Unmarshal([]byte(`{"D":`+want+`}`), &field); err != nil || !reflect.DeepEqual(&field.D, d) {
		t.Errorf("got %+v, %v, want %+v", &field.D, err, d)
	}
	if text, err := json.Marshal(&report.Declaration{}); err != nil || string(text) != `{"facts":[]}` {
		t.Errorf("no facts: got %s, %v", text, err)
	}
}

func TestParseDeclarationErrors(t *testing.T) {
	t.Parallel()
	for text, part := range map[string]string{
		`{`:              "unexpected EOF",
		`{"facts":[]} x`: "something follows",
		`{"fact":[]}`:    `unknown field "fact"`,
		`{"facts":[{"name":"a","reason":"r","type":"text"}]}`:                                         "the type",
		`{"facts":[{"name":"a","reason":"r","type":"bool","values":["x"]}]}`:                          "only an enum",
		`{"facts":[{"name":"a","reason":"r","type":"enum","values":["x"],"bounds":[1]}]}`:             "only buckets",
		`{"facts":[{"name":"A","reason":"r","type":"bool"}]}`:                                         "the name",
		`{"facts":[{"name":"a","reason":"r","type":"bool"},{"name":"a","type":"bool","reason":"r"}]}`: "declared twice",
	} {
		if _, err := report.ParseDeclaration([]byte(text)); err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%s: got %v, want %q", text, err, part)
		}
	}
}
