package collector_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
)

func TestParseSegment(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                                 "",
		"  ":                               "",
		"system=linux":                     "system=linux",
		"os=macOS,linux,linux":             "system=darwin,linux",
		"arch=x86_64 system=Windows":       "machine=amd64 system=windows",
		"version=1.2.x":                    "version=1.2.x",
		"version=v1.2.*":                   "version=1.2.x",
		"version=1.2*":                     "version=1.2*",
		"version=v1.2.3 version=1.2.2":     "version=1.2.2,1.2.3",
		"version<1.2.0 version>=1.0":       "version<1.2.0 version>=1.0",
		"store.kind=sqlite":                "fact.store.kind=sqlite",
		"fact.version=a":                   "fact.version=a",
		`client="rollcall-go 0.1.0"`:       `client="rollcall-go 0.1.0"`,
		`client=rollcall*`:                 `client=rollcall*`,
		`release="a\"b\\c","x*","10.x"`:    `release="10.x","a\"b\\c","x*"`,
		`country=""`:                       `country=""`,
		"first_seen=2026-05":               "first_seen=2026-05",
		"first=2026-05-01..2026-05-31":     "first_seen=2026-05",
		"first_seen=2026-01..2026-12":      "first_seen=2026",
		"first_seen=2026-W01":              "first_seen=2025-12-29..2026-01-04",
		"first_seen=2026-05-04..2026-05-4": "!",
		"first_seen=2026-05-04":            "first_seen=2026-05-04",
		"system":                           "!", "=linux": "!", "system=": "!", "system=,linux": "!", "system=a,": "!", "system<5": "!",
		"version<": "!", "version<1,2": "!", "version<1.x": "!", "version<=1": "!", "version>1": "!", "version!=1": "!",
		`system="linux`: "!", `system="a"b`: "!", `system=a"b`: "!", "SYSTEM=linux": "!", `version<""`: "!",
		"first_seen=tomorrow": "!", "first_seen=2026-W54": "!", "first_seen=2025-W53": "!", `first_seen="2026"`: "!", "first_seen=2026-05..2026-04": "!",
		"system=\xff": "!",
		strings.Repeat("a=1 ", 200) + strings.Repeat("b=2 ", 60): "!",
		"a=1 b=1 c=1 d=1 e=1 f=1 g=1 h=1 i=1 j=1":                "fact.a=1 fact.b=1 fact.c=1 fact.d=1 fact.e=1 fact.f=1 fact.g=1 fact.h=1 fact.i=1 fact.j=1",
		"a=1 b=1 c=1 d=1 e=1 f=1 g=1 h=1 i=1 j=1 k=1":            "!",
		"a=0" + strings.Repeat(",1", 49):                         "fact.a=0,1",
		"a=" + manyValues(50):                                    "fact.a=" + manyValues(50),
		"a=" + manyValues(51):                                    "!",
	} {
		s, err := collector.ParseSegment(text)
		switch {
		case want == "!":
			if !errors.Is(err, collector.ErrSegment) {
				t.Errorf("%q: got %q and %v, want ErrSegment", text, s, err)
			}
			continue
		case err != nil:
			t.Errorf("%q: %v", text, err)
			continue
		case s.String() != want:
			t.Errorf("%q: got %q, want %q", text, s, want)
		}
		if again, err := collector.ParseSegment(s.String()); err != nil || again.String() != s.String() {
			t.Errorf("%q: the canonical text %q is parsed as %q: %v", text, s, again, err)
		}
	}
}

func manyValues(n int) string {
	var values []string
	for i := range n {
		values = append(values, string(rune('a'+i/26))+string(rune('a'+i%26)))
	}
	return strings.Join(values, ",")
}

func TestSegmentChanges(t *testing.T) {
	t.Parallel()
	s, err := collector.ParseSegment("system=linux version=1.2.x,1.3.0 version<1.3")
	if err != nil {
		t.Fatal(err)
	}
	and := func(dimension, text string) string {
		t.Helper()
		changed, err := s.And(dimension, text)
		if err != nil {
			t.Fatal(err)
		}
		return changed.String()
	}
	or, _ := s.Or("system", "win*")
	other, _ := collector.ParseSegment("system=darwin first_seen=2026")
	all, _ := s.All(other)
	for got, want := range map[string]string{
		and("system", "windows"):      "system=windows version<1.3 version=1.2.x,1.3.0",
		and("client", "a b"):          `client="a b" system=linux version<1.3 version=1.2.x,1.3.0`,
		and("version", "1.x"):         `system=linux version="1.x"`,
		or.String():                   "system=linux,win* version<1.3 version=1.2.x,1.3.0",
		all.String():                  "first_seen=2026 system=darwin version<1.3 version=1.2.x,1.3.0",
		s.Without("version").String(): "system=linux",
		s.Drop(1).String():            "system=linux version=1.2.x,1.3.0",
		s.String():                    "system=linux version<1.3 version=1.2.x,1.3.0", // it never changes
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if _, err := s.And("system", strings.Repeat("x", collector.MaxSegmentLen)); !errors.Is(err, collector.ErrSegment) {
		t.Errorf("a segment that is too long: got %v", err)
	}
}

func TestInSeries(t *testing.T) {
	t.Parallel()
	for version, want := range map[string]bool{
		"1.2": true, "1.2.0": true, "1.2.10": true, "1.2-rc.1": true, "1.2rc1": true, "1.20": false, "1.20.1": false, "1.1": false, "11.2": false,
	} {
		if got := collector.InSeries(version, "1.2"); got != want {
			t.Errorf("%s: got %v, want %v", version, got, want)
		}
	}
}

func FuzzParseSegment(f *testing.F) {
	for _, text := range []string{"system=linux", `a="b\"c",d* version<1.2 first_seen=2026-W02`} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := collector.ParseSegment(text)
		if err != nil {
			return
		}
		again, err := collector.ParseSegment(s.String())
		if err != nil || again.String() != s.String() {
			t.Errorf("%q: the canonical text %q is parsed as %q: %v", text, s, again, err)
		}
	})
}
