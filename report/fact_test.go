package report_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/report"
)

const why = "Shows which part is worth the work."

func declare(t testing.TB, facts ...report.Fact) *report.Declaration {
	t.Helper()
	d, err := report.Declare(facts...)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestDeclareRefuses(t *testing.T) {
	boolean := report.BoolFact("a", why)
	many := func(n int) (values []string, bounds []int64) {
		for i := range n {
			values, bounds = append(values, fmt.Sprint("v", i)), append(bounds, int64(i))
		}
		return values, bounds
	}
	goodValues, goodBounds := many(32)
	badValues, badBounds := many(33)
	for name, c := range map[string]struct {
		facts []report.Fact
		want  string // a part of the error, "" for none
	}{
		"none":                {nil, ""},
		"one":                 {[]report.Fact{boolean}, ""},
		"twice":               {[]report.Fact{boolean, report.BoolFact("b", why), boolean}, "twice"},
		"most":                {manyFacts(64), ""},
		"more":                {manyFacts(65), "65 facts, more than 64"},
		"no name":             {[]report.Fact{report.BoolFact("", why)}, "name"},
		"name in upper case":  {[]report.Fact{report.BoolFact("A", why)}, "name"},
		"name with a digit":   {[]report.Fact{report.BoolFact("1a", why)}, "name"},
		"longest name":        {[]report.Fact{report.BoolFact(strings.Repeat("a", 64), why)}, ""},
		"longer name":         {[]report.Fact{report.BoolFact(strings.Repeat("a", 65), why)}, "name"},
		"no reason":           {[]report.Fact{report.BoolFact("a", "")}, "reason"},
		"blank reason":        {[]report.Fact{report.BoolFact("a", "  ")}, "reason"},
		"reason on two lines": {[]report.Fact{report.BoolFact("a", "one\ntwo")}, "reason"},
		"reason not UTF-8":    {[]report.Fact{report.BoolFact("a", "\xff")}, "reason"},
		"longest reason":      {[]report.Fact{report.BoolFact("a", strings.Repeat("ä", 200))}, ""},
		"longer reason":       {[]report.Fact{report.BoolFact("a", strings.Repeat("ä", 201))}, "201 characters, more than 200"},
		"since":               {[]report.Fact{boolean.AddedIn(-1)}, "negative"},
		"made by nothing":     {[]report.Fact{{Name: "a", Reason: why}}, "BoolFact"},
		"no values":           {[]report.Fact{report.EnumFact("a", why)}, "0 values"},
		"most values":         {[]report.Fact{report.EnumFact("a", why, goodValues...)}, ""},
		"more values":         {[]report.Fact{report.EnumFact("a", why, badValues...)}, "33 values"},
		"value twice":         {[]report.Fact{report.EnumFact("a", why, "x", "y", "x")}, "twice"},
		"empty value":         {[]report.Fact{report.EnumFact("a", why, "")}, "value"},
		"value in upper case": {[]report.Fact{report.EnumFact("a", why, "None")}, "value"},
		"free text":           {[]report.Fact{report.EnumFact("a", why, "no value")}, "value"},
		"longest value":       {[]report.Fact{report.EnumFact("a", why, strings.Repeat("a", 32))}, ""},
		"longer value":        {[]report.Fact{report.EnumFact("a", why, strings.Repeat("a", 33))}, "value"},
		"true as a value":     {[]report.Fact{report.EnumFact("a", why, "true")}, "boolean"},
		"no bounds":           {[]report.Fact{report.BucketFact("a", why)}, "0 bounds"},
		"most bounds":         {[]report.Fact{report.BucketFact("a", why, goodBounds...)}, ""},
		"more bounds":         {[]report.Fact{report.BucketFact("a", why, badBounds...)}, "33 bounds"},
		"equal bounds":        {[]report.Fact{report.BucketFact("a", why, 1, 1)}, "not larger"},
		"falling bounds":      {[]report.Fact{report.BucketFact("a", why, 2, 1)}, "not larger"},
		"lowest bound":        {[]report.Fact{report.BucketFact("a", why, 0)}, ""},
		"lower bound":         {[]report.Fact{report.BucketFact("a", why, -1)}, "not from 0"},
		"highest bound":       {[]report.Fact{report.BucketFact("a", why, 999999999999999)}, ""},
		"higher bound":        {[]report.Fact{report.BucketFact("a", why, 1000000000000000)}, "not from 0"},
	} {
		d, err := report.Declare(c.facts...)
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s: got %v, want none", name, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want) || d != nil):
			t.Errorf("%s: got %v, %v, want an error with %q", name, d, err, c.want)
		case c.want == "" && len(d.Fields()) != len(c.facts):
			t.Errorf("%s: got %d facts, want %d", name, len(d.Fields()), len(c.facts))
		}
	}
}

type (
	mode  string
	yesNo bool
	level uint8
)

func TestEncode(t *testing.T) {
	yes := true
	boolean := report.BoolFact("a", why)
	enum := report.EnumFact("a", why, "none", "oidc")
	bucket := report.BucketFact("a", why, 1, 10, 100)
	const out = "" // left out
	for _, c := range []struct {
		fact  report.Fact
		value any
		want  string
	}{
		{boolean, true, "true"}, {boolean, false, "false"}, {boolean, yesNo(true), "true"},
		{boolean, "true", out}, {boolean, 1, out}, {boolean, nil, out}, {boolean, &yes, out},
		{boolean, []bool{true}, out}, {boolean, func() bool { return true }, out},

		{enum, "oidc", "oidc"}, {enum, mode("none"), "none"},
		{enum, "OIDC", out}, {enum, "", out}, {enum, "ldap", out}, {enum, []byte("oidc"), out}, {enum, true, out},
		{enum, nil, out}, {enum, fmt.Errorf("oidc"), out}, {enum, 0, out},

		{bucket, 0, "<1"}, {bucket, -5, "<1"}, {bucket, int64(math.MinInt64), "<1"},
		{bucket, 1, "1-9"}, {bucket, 9, "1-9"}, {bucket, int8(5), "1-9"}, {bucket, uint16(9), "1-9"}, {bucket, level(2), "1-9"},
		{bucket, 10, "10-99"}, {bucket, int64(99), "10-99"}, {bucket, uint64(50), "10-99"}, {bucket, 99 * time.Nanosecond, "10-99"},
		{bucket, 100, ">=100"}, {bucket, int64(math.MaxInt64), ">=100"}, {bucket, uint64(math.MaxUint64), ">=100"},
		{bucket, 0.5, "<1"}, {bucket, -0.5, "<1"}, {bucket, 1.0, "1-9"}, {bucket, 9.99, "1-9"}, {bucket, float32(10), "10-99"},
		{bucket, 1e300, ">=100"}, {bucket, -1e300, "<1"},
		{bucket, math.NaN(), out}, {bucket, math.Inf(1), out}, {bucket, math.Inf(-1), out},
		{bucket, "5", out}, {bucket, true, out}, {bucket, nil, out}, {bucket, 5i, out}, {bucket, []int{5}, out},

		{report.BucketFact("a", why, 0), -1, "<0"}, {report.BucketFact("a", why, 0), -0.1, "<0"},
		{report.BucketFact("a", why, 0), 0, ">=0"},
		{report.BucketFact("a", why, 1, 2, 3), 2, "2-2"},
		{report.BucketFact("a", why, 999999999999998, 999999999999999), int64(999999999999999 - 1), "999999999999998-999999999999998"},
		{report.BucketFact("a", why, 999999999999999), float64(999999999999999), ">=999999999999999"},
	} {
		got := declare(t, c.fact).Encode(map[string]any{"a": c.value, "other": true})
		var want report.Facts
		if c.want != out {
			want = report.Facts{{"a", c.want}}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%v of %s: got %v, want %v", c.value, c.fact.Values(), got, want)
		}
	}
}

// A collector accepts every value that can be declared.
func TestValuesAreAccepted(t *testing.T) {
	bounds := make([]int64, 32)
	for i := range bounds {
		bounds[i] = 999999999999999 - 2*int64(len(bounds)-1-i)
	}
	for _, f := range []report.Fact{
		report.BoolFact("a", why),
		report.EnumFact("a", why, "0", "1-9", "a.b_c-d", strings.Repeat("z", report.MaxFactValueLen)),
		report.BucketFact("a", why, 0, 1, 2, 1000), report.BucketFact("a", why, 7), report.BucketFact("a", why, bounds...),
	} {
		declare(t, f)
		for _, value := range f.Values() {
			h := testHeartbeat()
			h.Facts = report.Facts{{"a", value}}
			data, err := h.Marshal()
			if err != nil {
				t.Errorf("%s: got %v, want none", value, err)
			}
			if back, dropped, err := report.ParseHeartbeat(data); err != nil || dropped.Facts != 0 || back.Facts[0].Value != value {
				t.Errorf("%s: got %v, %+v, %v, want it back", value, back.Facts, dropped, err)
			}
		}
	}
}

// Numbers at every bound are in the range that is named.
func TestBucketsFollowTheirNames(t *testing.T) {
	bounds := []int64{0, 1, 2, 5, 10, 100, 1 << 40}
	d := declare(t, report.BucketFact("a", why, bounds...))
	for _, bound := range bounds {
		for _, n := range []int64{bound - 1, bound, bound + 1} {
			name := d.Encode(map[string]any{"a": n})[0].Value
			var low, high int64
			var ok bool
			if _, err := fmt.Sscanf(name, "<%d", &high); err == nil {
				ok = n < high
			} else if _, err := fmt.Sscanf(name, ">=%d", &low); err == nil {
				ok = n >= low
			} else if _, err := fmt.Sscanf(name, "%d-%d", &low, &high); err == nil {
				ok = low <= n && n <= high
			}
			if !ok {
				t.Errorf("%d: got %s", n, name)
			}
		}
	}
}

func TestEncodeSortsAndLeavesOut(t *testing.T) {
	d := declare(t,
		report.BucketFact("users", why, 1, 10), report.BoolFact("auth", why), report.EnumFact("mode", why, "x", "y"),
		report.BoolFact("absent", why))
	got := d.Encode(map[string]any{"mode": "y", "users": 3, "auth": true, "hostname": "secret", "Auth": true})
	if want := (report.Facts{{"auth", "true"}, {"mode", "y"}, {"users", "1-9"}}); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if value, ok := got.Get("mode"); !ok || value != "y" {
		t.Errorf("got %q, %t, want y", value, ok)
	}
	if value, ok := got.Get("absent"); ok || value != "" {
		t.Errorf("got %q, %t, want none", value, ok)
	}
	if data, err := got.MarshalJSON(); err != nil || string(data) != `{"auth":true,"mode":"y","users":"1-9"}` {
		t.Errorf("got %s, %v, want an object", data, err)
	}
	if got := d.Encode(nil); got != nil {
		t.Errorf("got %v, want none", got)
	}
}

func TestDeclarationSince(t *testing.T) {
	d := declare(t, report.BoolFact("new", why).AddedIn(3), report.BoolFact("old", why), report.BoolFact("mid", why).AddedIn(2))
	if got := d.Version(); got != 3 {
		t.Errorf("got version %d, want 3", got)
	}
	values := map[string]any{"new": true, "mid": true, "old": true}
	for version, want := range []report.Facts{
		nil, {{"old", "true"}}, {{"mid", "true"}, {"old", "true"}}, {{"mid", "true"}, {"new", "true"}, {"old", "true"}},
	} {
		until := d.Until(version)
		if got := until.Encode(values); !slices.Equal(got, want) || until.Version() != version {
			t.Errorf("until %d: got %v of version %d, want %v", version, got, until.Version(), want)
		}
	}
}

func TestDeclarationLists(t *testing.T) {
	values, bounds := []string{"x", "y"}, []int64{1, 10}
	d := declare(t, report.BucketFact("users", why, bounds...), report.EnumFact("mode", why, values...).AddedIn(2),
		report.BoolFact("auth", why))
	want := []report.Field{
		{"facts.auth", "boolean", 1, "true or false", why, true},
		{"facts.mode", "text", 2, "one of x, y", why, true},
		{"facts.users", "text", 1, "one of <1, 1-9, >=10", why, true},
	}
	if got := d.Fields(); !slices.Equal(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	// Nothing that a caller changes reaches the declaration.
	values[0], bounds[0] = "changed", 5
	if got := d.Fields(); !slices.Equal(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got := d.Encode(map[string]any{"mode": "x"}); !slices.Equal(got, report.Facts{{"mode", "x"}}) {
		t.Errorf("got %v, want x", got)
	}
}

func TestNoDeclaration(t *testing.T) {
	for _, d := range []*report.Declaration{nil, {}, declare(t)} {
		if d.Encode(map[string]any{"a": true}) != nil || d.Version() != 0 || d.Fields() != nil || d.Until(1).Fields() != nil {
			t.Errorf("%v: got something, want nothing", d)
		}
	}
	if got := report.BucketFact("a", why).Values(); got != nil {
		t.Errorf("got %v, want none", got)
	}
	enum := report.EnumFact("a", why, "x")
	if enum.Values()[0] = "changed"; enum.Values()[0] != "x" {
		t.Error("a caller can change the values")
	}
}

func TestDeclarationIsSafeForConcurrentUse(t *testing.T) {
	d := declare(t, manyFacts(64)...)
	values := manyValues(report.MaxFacts)
	want := d.Encode(values)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 100 {
				if !slices.Equal(d.Encode(values), want) || d.Until(1).Version() != 1 {
					t.Error("got another result")
				}
			}
		})
	}
	wg.Wait()
}
