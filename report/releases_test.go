package report_test

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/report"
)

func TestParseReleases(t *testing.T) {
	day := time.Date(2026, 5, 6, 0, 0, 0, 0, time.UTC)
	for text, want := range map[string]report.Releases{
		`{"releases":[]}`: {Order: "natural"},
		` {"other": [1, {"releases": 2}], "releases" : [ {"channel":"stable","version":"2.1.0","url":"https://example.com/2.1.0","date":"2026-05-06","severity":"security","commit":"0123abc","new":{"a":[]}} , {"version":"2.0"}]} `: {
			Order: "natural",
			List: []report.Release{
				{Version: "2.1.0", URL: "https://example.com/2.1.0", Date: day, Severity: report.ReleaseSecurity},
				{Version: "2.0"},
			},
		},
		`{"releases":[{"version":"v1!2.0rc1"}],"version_order":"pep440"}`:                   {Order: "pep440", List: []report.Release{{Version: "1!2.0rc1"}}},
		`{"version_order":"semver","releases":[{"version":"1","severity":"recommended"}]}`:  {Order: "semver", List: []report.Release{{Version: "1", Severity: "recommended"}}},
		`{"version_order":"debian","releases":[{"version":"1:2~rc1-3+b1"}]}`:                {Order: "debian", List: []report.Release{{Version: "1:2~rc1-3+b1"}}},
		`{"version_order":"best","releases":[{"version":"1","severity":"catastrophic"}]}`:   {Order: "natural", List: []report.Release{{Version: "1"}}},
		`{"version_order":7,"releases":[{"version":"1","severity":1,"url":[],"date":{}}]}`:  {Order: "natural", List: []report.Release{{Version: "1"}}},
		`{"releases":[{"version":"1","date":"yesterday"},{"version":"2","date":null}]}`:     {Order: "natural", List: []report.Release{{Version: "1"}, {Version: "2"}}},
		`{"releases":[null,"1.0",[{"version":"1.0"}],{},{"url":"https://a/"},7,true,"1"]}`:  {Order: "natural"},
		`{"releases":[{"version":1},{"version":null},{"version":""},{"version":["1.0"]}]}`:  {Order: "natural"},
		`{"releases":[{"version":"1","url":"https://` + strings.Repeat("x", 248) + `"}]}`:   {Order: "natural", List: []report.Release{{Version: "1", URL: "https://" + strings.Repeat("x", 248)}}},
		`{"releases":[{"version":"1","url":"https://` + strings.Repeat("x", 249) + `"}]}`:   {Order: "natural", List: []report.Release{{Version: "1"}}},
		`{"releases":[{"version":"1 call 555 now"},{"version":"<b>1"},{"version":"1\n2"}]}`: {Order: "natural"},
	} {
		if got, err := report.ParseReleases([]byte(text)); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s:\ngot  %+v, %v\nwant %+v", text, got, err, want)
		}
	}
	many := `{"releases":[` + strings.TrimSuffix(strings.Repeat(`{"version":"1"},`, 60), ",") + `]}`
	if got, err := report.ParseReleases([]byte(many)); err != nil || len(got.List) != 50 {
		t.Errorf("got %d releases of 60, %v, want 50", len(got.List), err)
	}
}

func TestParseReleasesRefuses(t *testing.T) {
	for text, want := range map[string]report.Code{
		``:                             report.CodeNotJSON,
		`<!doctype html>`:              report.CodeNotJSON,
		`{"releases":[}`:               report.CodeNotJSON,
		`{"releases":[]} {}`:           report.CodeNotJSON,
		`null`:                         report.CodeWrongType,
		`[]`:                           report.CodeWrongType,
		`"releases"`:                   report.CodeWrongType,
		`{}`:                           report.CodeMissing,
		`{"releases":null}`:            report.CodeWrongType,
		`{"releases":{"version":"1"}}`: report.CodeWrongType,
		`{"releases":[],"releases":[{"version":"1"}]}`:            report.CodeDuplicate,
		"{\"releases\":[\"\xff\"]}":                               report.CodeBadUTF8,
		`{"releases":` + strings.Repeat("[", 17) + `1`:            report.CodeTooDeep,
		`{"releases":[],"x":"` + strings.Repeat("x", 1<<16) + `"`: report.CodeTooLarge,
	} {
		got, err := report.ParseReleases([]byte(text))
		var invalid *report.InvalidError
		if !errors.As(err, &invalid) || invalid.Reason != want || !reflect.DeepEqual(got, report.Releases{}) {
			t.Errorf("%.40q: got %+v, %v, want %s", text, got, err, want)
		}
	}
}

func TestValidRelease(t *testing.T) {
	for _, text := range []string{"1", "1.2.3", "2026.1", "1.2.3-rc.1+build.5", "1!2.0.post1", "1:2.3-4~bpo12+1", "RELEASE.2026-01-02T03-04-05Z", "b1234", "r7_1", strings.Repeat("1", 64)} {
		if !report.ValidRelease(text) {
			t.Errorf("%q is not valid", text)
		}
	}
	for _, text := range []string{"", "v1.2.3", "latest", "1.2 3", " 1", "1 ", "-1", ".1", "1/2", "1<", `1"`, "1%", "1@x", "1\n", "é1", "1\x00", strings.Repeat("1", 65)} {
		if report.ValidRelease(text) {
			t.Errorf("%q is valid", text)
		}
	}
}

func TestValidChannel(t *testing.T) {
	for _, text := range []string{"stable", "dev", "feature/x-1.2_3", "0", strings.Repeat("c", 64)} {
		if !report.ValidChannel(text) {
			t.Errorf("%q is not valid", text)
		}
	}
	for _, text := range []string{"", "/", ".x", "-", "a b", "a&b", "a?b", "a#b", "a%b", "ä", strings.Repeat("c", 65)} {
		if report.ValidChannel(text) {
			t.Errorf("%q is valid", text)
		}
	}
}

// FuzzParseReleases: whatever a collector answers, only valid versions, known
// words and bounded texts come out.
func FuzzParseReleases(f *testing.F) {
	f.Add([]byte(`{"releases":[{"version":"2.1.0","url":"https://example.com/","date":"2026-05-06","severity":"security"}],"version_order":"semver"}`))
	f.Add([]byte(`{"releases":[{"version":"\u0031","url":"\ud800"}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := report.ParseReleases(data)
		if err != nil {
			return
		}
		if _, err := report.ParseVersionOrder(string(got.Order)); err != nil || got.Order == "" || len(got.List) > report.MaxReleases {
			t.Errorf("got order %q, %d releases", got.Order, len(got.List))
		}
		for _, r := range got.List {
			known := r.Severity == "" || r.Severity == "recommended" || r.Severity == "security"
			if !report.ValidRelease(r.Version) || len(r.URL) > report.MaxReleaseURLLen || !known {
				t.Errorf("got %s", fmt.Sprintf("%+v", r))
			}
		}
	})
}
