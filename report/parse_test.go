package report_test

import (
	"fmt"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/rollcall-dev/rollcall/report"
)

// parsers are both parsers, for what they have in common.
var parsers = map[string]struct {
	most  int
	good  string
	parse func([]byte) (report.Dropped, error)
}{
	"heartbeat": {report.MaxHeartbeatBytes, "heartbeat.json", func(data []byte) (report.Dropped, error) {
		_, dropped, err := report.ParseHeartbeat(data)
		return dropped, err
	}},
	"health": {report.MaxHealthBytes, "health.json", func(data []byte) (report.Dropped, error) {
		_, dropped, err := report.ParseHealth(data)
		return dropped, err
	}},
}

// TestBodyRefused has all reasons that concern a report as a whole.
func TestBodyRefused(t *testing.T) {
	for name, p := range parsers {
		good := golden(t, p.good)
		for _, c := range []struct {
			what, body string
			want       report.Code
		}{
			{"at the size limit", good + strings.Repeat(" ", p.most-len(good)), ""},
			{"over the size limit", good + strings.Repeat(" ", p.most-len(good)+1), report.CodeTooLarge},
			{"huge and deep", strings.Repeat("[", 1<<20), report.CodeTooLarge},
			{"huge and not UTF-8", strings.Repeat("\xff", 1<<20), report.CodeTooLarge},
			{"bad UTF-8", strings.Replace(good, "birdwatch", "bird\xc3", 1), report.CodeBadUTF8},
			{"UTF-16", "{\x00}\x00\xff\xfe", report.CodeBadUTF8},
			{"bad UTF-8 in an unknown field", `{"x":"` + "\xf0\x28\x8c\x28" + `"}`, report.CodeBadUTF8},
			{"at the depth limit", `{"x":` + nested(report.MaxDepth-1) + "," + good[1:], ""},
			{"over the depth limit", `{"x":` + nested(report.MaxDepth) + "," + good[1:], report.CodeTooDeep},
			{"deep and not JSON", strings.Repeat(`{"a":[`, 1000), report.CodeTooDeep},
			{"brackets in a text", `{"x":"` + strings.Repeat(`[{\"`, 100) + `",` + good[1:], ""},
			{"empty", "", report.CodeNotJSON},
			{"blank", " \n", report.CodeNotJSON},
			{"cut", good[:len(good)-1], report.CodeNotJSON},
			{"cut in a text", good[:30], report.CodeNotJSON},
			{"cut in an escape", `{"x":"\`, report.CodeNotJSON},
			{"two values", good + good, report.CodeNotJSON},
			{"byte order mark", "\ufeff" + good, report.CodeNotJSON},
			{"comment", good + "//", report.CodeNotJSON},
			{"trailing comma", good[:len(good)-1] + ",}", report.CodeNotJSON},
			{"raw control character", strings.Replace(good, "birdwatch", "bird\nwatch", 1), report.CodeNotJSON},
			{"compressed", "\x1f\x8b\x08", report.CodeBadUTF8},
			{"null", "null", report.CodeWrongType},
			{"list", "[" + good + "]", report.CodeWrongType},
			{"text", `"{}"`, report.CodeWrongType},
			{"number", "1", report.CodeWrongType},
			{"no fields", "{}", report.CodeMissing},
		} {
			_, err := p.parse([]byte(c.body))
			if reason(err) != c.want || (err != nil) != (c.want != "") {
				t.Errorf("%s: %s: got %v, want %q", name, c.what, err, c.want)
			}
			invalid := asInvalid(err)
			if invalid != nil && c.want != report.CodeMissing && invalid.Field != "" {
				t.Errorf("%s: %s: got field %q, want none", name, c.what, invalid.Field)
			}
		}
	}
}

// nested is depth lists within each other.
func nested(depth int) string { return strings.Repeat("[", depth) + strings.Repeat("]", depth) }

func TestDropped(t *testing.T) {
	for _, c := range []struct {
		old, new string
		want     report.Dropped
	}{
		{`"schema":1`, `"schema":1,"hostname":"secret"`, report.Dropped{Fields: 1}},
		{`"schema":1`, `"schema":1,"Schema":2,"SCHEMA":null`, report.Dropped{Fields: 2}},
		{`"schema":1`, `"schema":1,"":0,"":0`, report.Dropped{Fields: 2}}, // unknown keys may occur twice
		{`"schema":1`, `"schema":1,"x":{"y":{"z":[{"a":"}]"},true,false,null,-1.5e+3]}}`, report.Dropped{Fields: 1}},
		{`"system"`, `"node":"secret","system"`, report.Dropped{Fields: 1}},
		{`"name":`, `"a":[],"b":{},"name":`, report.Dropped{Fields: 2}},
		{`"auth"`, `"Auth":true,"auth"`, report.Dropped{Facts: 1}},
		{`"auth"`, `"9":true,"":true,"a b":true,"a-b":true,"\u0000":true,"auth"`, report.Dropped{Facts: 5}},
		{`"auth"`, `"` + strings.Repeat("a", report.MaxNameLen+1) + `":true,"auth"`, report.Dropped{Facts: 1}},
		{`"auth"`, `"a":1,"b":null,"c":{},"d":[true],"e":1.5,"auth"`, report.Dropped{Facts: 5}},
		{`"auth"`, `"a":"","b":"true","c":"false","d":"Free text","e":"-1","auth"`, report.Dropped{Facts: 5}},
		{`"auth"`, `"a":"` + strings.Repeat("a", report.MaxFactValueLen+1) + `","auth"`, report.Dropped{Facts: 1}},
		{`"auth"`, `"a":"<","b":">=","c":">1","d":"<01","e":"<=1","f":"<-1","auth"`, report.Dropped{Facts: 6}},
		{`"auth"`, `"a":"<1000000000000000","b":">=1e3","auth"`, report.Dropped{Facts: 2}},
		{`"auth"`, `"A":true,"A":true,"auth"`, report.Dropped{Facts: 2}}, // and so may bad names
		{`"schema":1`, `"schema":1,"x":0,"facts ":{}`, report.Dropped{Fields: 2}},
	} {
		data := refusal{old: c.old, new: c.new}.on(t, golden(t, "heartbeat.json"))
		got, dropped, err := report.ParseHeartbeat(data)
		if err != nil || dropped != c.want || !reflect.DeepEqual(got, testHeartbeat()) {
			t.Errorf("%s: got %+v, %+v, %v, want %+v and nothing else changed", c.new, got, dropped, err, c.want)
		}
	}
}

func TestTooManyFactsAreDropped(t *testing.T) {
	const extra = 3
	var facts strings.Builder
	for i := range report.MaxFacts + extra {
		fmt.Fprintf(&facts, `"f%03d":true,`, report.MaxFacts+extra-i) // not in order
	}
	body := strings.Replace(golden(t, "heartbeat-smallest.json"), `"schema"`,
		`"facts":{`+strings.TrimSuffix(facts.String(), ",")+`},"schema"`, 1)
	h, dropped, err := report.ParseHeartbeat([]byte(body))
	if err != nil || dropped.Facts != extra || len(h.Facts) != report.MaxFacts {
		t.Fatalf("got %d facts, %+v, %v, want %d and %d dropped", len(h.Facts), dropped, err, report.MaxFacts, extra)
	}
	if first := h.Facts[0].Name; first != fmt.Sprintf("f%03d", extra+1) {
		t.Errorf("got %s first, want the first ones of the body", first)
	}
}

// A report that a later version made is read like any other.
func TestLaterSchema(t *testing.T) {
	body := strings.NewReplacer(
		`"schema":1`, `"schema":7,"region":{"continent":"europe"}`,
		`"container"`, `"nomad"`,
		`"machine"`, `"microcode":"0x1","machine"`,
	).Replace(golden(t, "heartbeat.json"))
	want := testHeartbeat()
	want.Schema, want.Deployment = 7, report.DeploymentUnknown
	got, dropped, err := report.ParseHeartbeat([]byte(body))
	if err != nil || dropped != (report.Dropped{Fields: 3}) || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %+v, %v, want %+v", got, dropped, err, want)
	}
	for old, new := range map[string]string{`"nomad"`: `"free text"`, `"persisted"`: `"cloud"`} {
		if _, _, err := report.ParseHeartbeat([]byte(strings.Replace(body, old, new, 1))); reason(err) != report.CodeOutOfBounds {
			t.Errorf("%s: got %v, want it out of bounds", new, err)
		}
	}
	if _, _, err := report.ParseHealth([]byte(strings.Replace(golden(t, "health.json"), `"schema":1`, `"schema":7`, 1))); err != nil {
		t.Errorf("got %v, want none", err)
	}
}

// Errors repeat nothing of the sender's: a secret is put everywhere.
func TestErrorsRepeatNothing(t *testing.T) {
	const secret = "hunter2"
	for name, p := range parsers {
		good := golden(t, p.good)
		refused := 0
		for i := range len(good) {
			for _, body := range []string{good[:i] + secret + good[i:], good[:i] + `"` + secret + `":{"` + good[i:]} {
				_, err := p.parse([]byte(body))
				if err == nil {
					continue
				}
				refused++
				if strings.Contains(err.Error(), secret) || len(err.Error()) > 300 {
					t.Fatalf("%s: got %v", name, err)
				}
				invalid := asInvalid(err)
				if invalid == nil || !slices.Contains(report.Codes(), invalid.Reason) || !isKnownField(invalid.Field) {
					t.Fatalf("%s: got %#v, want a known field and reason", name, err)
				}
			}
		}
		if refused == 0 {
			t.Errorf("%s: nothing was refused", name)
		}
	}
}

// isKnownField reports whether name is that of a field, or of an object around
// fields.
func isKnownField(name string) bool {
	return name == "" || slices.ContainsFunc(slices.Concat(report.Fields(), report.HealthFields()), func(f report.Field) bool {
		return f.Name == name || strings.HasPrefix(f.Name, name+".")
	})
}

func TestErrorText(t *testing.T) {
	for _, c := range []struct{ body, want string }{
		{`[]`, "invalid report: wrong_type"},
		{`{}`, "invalid report: schema: missing"},
		{strings.Replace(golden(t, "heartbeat.json"), "linux", "<b>", 1),
			"invalid report: platform.system: out_of_bounds (letters, digits and . _ + ~ -; at most 64 characters)"},
	} {
		if _, _, err := report.ParseHeartbeat([]byte(c.body)); err == nil || err.Error() != c.want {
			t.Errorf("got %v, want %s", err, c.want)
		}
	}
	_, _, err := report.ParseHealth([]byte(strings.Replace(golden(t, "health.json"), "critical", "fatal", 1)))
	want := "invalid report: faults[].severity: out_of_bounds (one of info, warning, error, critical)"
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestCodes(t *testing.T) {
	want := []string{
		"too_large", "bad_utf8", "too_deep", "not_json", "wrong_type", "missing", "duplicate", "out_of_bounds",
		"unknown_schema",
	}
	var got []string
	for _, code := range report.Codes() {
		got = append(got, string(code))
	}
	if !slices.Equal(got, want) { // they are label values of metrics and answers of a protocol
		t.Errorf("got %q, want %q", got, want)
	}
	report.Codes()[0] = "changed"
	if got := report.Codes()[0]; got != report.CodeTooLarge {
		t.Errorf("got %s, want the list to be the caller's own", got)
	}
}

// The memory that parsing takes is bounded by the size of a body, however
// unfavorable that is.
func TestMemoryIsBounded(t *testing.T) {
	const factor, base = 8, 8 << 10
	fill := func(unit string) func(most int) string {
		return func(most int) string {
			var b strings.Builder
			for i := 0; b.Len()+len(unit)+40 < most; i++ {
				b.WriteString(strings.ReplaceAll(unit, "#", fmt.Sprint(i)))
			}
			return strings.TrimSuffix(b.String(), ",")
		}
	}
	for name, body := range map[string]func(most int) string{
		"unknown fields":   func(most int) string { return "{" + fill(`"k#":0,`)(most) + "}" },
		"escaped keys":     func(most int) string { return "{" + fill(`"\u0061#":0,`)(most) + "}" },
		"one escaped text": func(most int) string { return `{"app":"` + fill(`\u0061`)(most) + `"}` },
		"facts":            func(most int) string { return `{"facts":{` + fill(`"f#":"v#",`)(most) + "}}" },
		"escaped facts":    func(most int) string { return `{"facts":{` + fill(`"\u0066#":"\u0076",`)(most) + "}}" },
		"faults":           func(most int) string { return `{"faults":[` + fill(`{},`)(most) + "]}" },
		"context":          func(most int) string { return `{"faults":[{"context":{` + fill(`"\u0063#":"v",`)(most) + "}}]}" },
		"deep":             func(most int) string { return strings.Repeat("[", most) },
		"a huge number":    func(most int) string { return `{"schema":` + strings.Repeat("9", most-20) + "}" },
		"over the limit":   func(most int) string { return strings.Repeat("x", 64*most) },
	} {
		for kind, p := range parsers {
			data := []byte(body(p.most))
			if got, most := allocated(func() { p.parse(data) }), uint64(factor*p.most+base); got > most {
				t.Errorf("%s of %s: got %d bytes for %d, want at most %d", kind, name, got, len(data), most)
			}
		}
	}
}

func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// A report shares no memory with the data that it was parsed from.
func TestParseKeepsNothingOfTheData(t *testing.T) {
	data := []byte(golden(t, "heartbeat.json"))
	h, _, err := report.ParseHeartbeat(data)
	if err != nil {
		t.Fatal(err)
	}
	if string(data) != golden(t, "heartbeat.json") {
		t.Error("the data was changed")
	}
	clear(data)
	if !reflect.DeepEqual(h, testHeartbeat()) {
		t.Errorf("got %+v, want %+v", h, testHeartbeat())
	}
}
