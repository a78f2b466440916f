package report_test

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/rollcall-dev/rollcall/report"
)

// oddBodies are seeds of both parsers.
var oddBodies = []string{
	"", "null", "{}", "[]", `{"schema":1}`, `{"schema":-0}`, `{"\ud800":"\udfff"}`, strings.Repeat("[", 20), `{"facts":{"a":`,
	` { "schema" : 1 , "app" : "\u0061" } `, `{"a":{"b":[1,2,{"c":null}]},"schema":1e5}`, "\xff", "\ufeff{}",
}

func FuzzParseHeartbeat(f *testing.F) {
	full := fullHeartbeat()
	for _, seed := range []string{golden(f, "heartbeat.json"), golden(f, "heartbeat-smallest.json"), string(full.AppendJSON(nil))} {
		f.Add([]byte(seed))
	}
	for _, seed := range oddBodies {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		checkParser(t, data, report.MaxHeartbeatBytes, report.ParseHeartbeat)
	})
}

func FuzzParseHealth(f *testing.F) {
	full := fullHealth()
	for _, seed := range []string{golden(f, "health.json"), string(full.AppendJSON(nil))} {
		f.Add([]byte(seed))
	}
	for _, seed := range oddBodies {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		checkParser(t, data, report.MaxHealthBytes, report.ParseHealth)
	})
}

// TestParseIsSafeOnDamage cuts, changes and repeats bytes of valid reports, and
// checks the parsers as the fuzz tests do. Damage leaves a report valid often
// enough to be seen.
func TestParseIsSafeOnDamage(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	accepted := 0
	for range 5000 {
		if checkParser(t, damage(rng, golden(t, "heartbeat.json")), report.MaxHeartbeatBytes, report.ParseHeartbeat) {
			accepted++
		}
		if checkParser(t, damage(rng, golden(t, "health.json")), report.MaxHealthBytes, report.ParseHealth) {
			accepted++
		}
	}
	if accepted < 100 {
		t.Errorf("got %d accepted, want some", accepted)
	}
}

func damage(rng *rand.Rand, good string) []byte {
	const telling = `{}[],:"\0`
	data := []byte(good)
	for range 1 + rng.IntN(3) {
		i := rng.IntN(len(data))
		switch rng.IntN(5) {
		case 0:
			data[i] = byte(rng.UintN(256))
		case 1:
			data[i] = 'a' + byte(rng.UintN(26))
		case 2:
			data = slices.Delete(data, i, min(len(data), i+rng.IntN(20)))
		case 3:
			data = slices.Insert(data, i, data[i:min(len(data), i+rng.IntN(40))]...)
		case 4:
			data[i] = telling[rng.IntN(len(telling))]
		}
	}
	return data
}

// checkParser parses data and reports whether it was accepted. If it was
// refused, there is a reason and nothing else. If it was accepted, it is valid,
// and its encoding parses to the same report.
func checkParser[T any, P interface {
	*T
	Marshal() ([]byte, error)
}](t *testing.T, data []byte, most int, parse func([]byte) (T, report.Dropped, error)) bool {
	t.Helper()
	var zero T
	before := bytes.Clone(data)
	got, dropped, err := parse(data)
	if !bytes.Equal(data, before) {
		t.Errorf("%q: the data was changed", before)
	}
	if err != nil {
		if reason(err) == "" || !reflect.DeepEqual(got, zero) || dropped != (report.Dropped{}) {
			t.Errorf("%q: got %+v, %+v, %v, want nothing and a reason", data, got, dropped, err)
		}
		return false
	}
	if len(data) > most || !json.Valid(data) {
		t.Errorf("%q: accepted", data)
	}
	encoded, err := P(&got).Marshal()
	if err != nil || len(encoded) > most || !json.Valid(encoded) {
		t.Fatalf("%q: got %s, %v, want it to be valid", data, encoded, err)
	}
	again, dropped, err := parse(encoded)
	if err != nil || dropped != (report.Dropped{}) || !reflect.DeepEqual(again, got) {
		t.Errorf("%s: got %+v, %+v, %v, want %+v", encoded, again, dropped, err, got)
	}
	if twice, err := P(&again).Marshal(); err != nil || !bytes.Equal(twice, encoded) {
		t.Errorf("got %s, %v, want %s", twice, err, encoded)
	}
	return true
}

// FuzzText compares the encoding of texts with encoding/json, also of texts
// that are not valid in a report.
func FuzzText(f *testing.F) {
	for _, text := range []string{"", "a", "<&>", "\"\\/", "\x00\x1f\x7f", "\xff", "\u2028é\U0001f426", "a\nb<"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		want, err := json.Marshal(text)
		if err != nil {
			t.Fatal(err)
		}
		got := (&report.Heartbeat{Schema: 1, App: text}).AppendJSON(nil)
		if prefix := `{"schema":1,"app":` + string(want) + `,`; !strings.HasPrefix(string(got), prefix) {
			t.Errorf("got %s, want %s", got, prefix)
		}
	})
}
