package report_test

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/rollcall-dev/rollcall/report"
)

// The lists of fields agree with the structs and their tags: they have the
// same names in the same order, and the same types, and are optional if the tag
// says that the zero value is not sent.
func TestFieldsAreTheStructs(t *testing.T) {
	for _, c := range []struct {
		fields []report.Field
		of     reflect.Type
	}{
		{report.Fields(), reflect.TypeFor[report.Heartbeat]()},
		{report.HealthFields(), reflect.TypeFor[report.HealthReport]()},
	} {
		got := make([]string, 0, len(c.fields))
		for _, f := range c.fields {
			got = append(got, fmt.Sprintf("%s %s optional=%t", f.Name, f.Type, f.Optional))
		}
		if want := structFields(c.of, "", false); !slices.Equal(got, want) {
			t.Errorf("%s: got\n%s\nwant\n%s", c.of, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
}

func structFields(of reflect.Type, outer string, optional bool) []string {
	var list []string
	for i := range of.NumField() {
		f := of.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		name, optional := outer+name, optional || options == "omitempty" || options == "omitzero"
		kind := ""
		switch {
		case f.Type == reflect.TypeFor[time.Time]():
			kind = "time"
		case f.Type == reflect.TypeFor[report.Facts]() || f.Type.Kind() == reflect.Map:
			kind = "map"
		case f.Type.Kind() == reflect.String:
			kind = "text"
		case f.Type.Kind() == reflect.Int:
			kind = "number"
		case f.Type.Kind() == reflect.Slice:
			list = append(list, fmt.Sprintf("%s list optional=%t", name, optional))
			list = append(list, structFields(f.Type.Elem(), name+"[].", false)...)
			continue
		case f.Type.Kind() == reflect.Struct:
			list = append(list, structFields(f.Type, name+".", optional)...)
			continue
		}
		list = append(list, fmt.Sprintf("%s %s optional=%t", name, kind, optional))
	}
	return list
}

// Every field has a bound and a reason. A field added after the first schema is
// optional, since reports of earlier ones lack it.
func TestFieldsAreComplete(t *testing.T) {
	fields := slices.Concat(report.Fields(), report.HealthFields())
	for _, f := range fields {
		switch {
		case f.Since < 1 || f.Since > report.SchemaVersion:
			t.Errorf("%s: got since %d, want 1 to %d", f.Name, f.Since, report.SchemaVersion)
		case f.Since > 1 && !f.Optional:
			t.Errorf("%s: was added in schema %d and is not optional", f.Name, f.Since)
		case f.Bound == "" || strings.Contains(f.Bound, "\n"):
			t.Errorf("%s: got bound %q, want one on a line", f.Name, f.Bound)
		case !strings.HasSuffix(f.Reason, ".") || strings.Contains(f.Reason, "\n"):
			t.Errorf("%s: got reason %q, want a sentence on a line", f.Name, f.Reason)
		case utf8.RuneCountInString(f.Reason) > 200:
			t.Errorf("%s: the reason is longer than that of a fact can be", f.Name)
		}
	}
	fields[0].Reason = "changed"
	if report.Fields()[0].Reason == "changed" {
		t.Error("the list is not the caller's own")
	}
}

// The bounds, which are words, name the limits.
func TestBoundsNameTheLimits(t *testing.T) {
	bounds := map[string]string{}
	for _, f := range slices.Concat(report.Fields(), report.HealthFields()) {
		bounds[f.Name] = f.Bound
	}
	for name, limits := range map[string][]int{
		"app":               {report.MaxAppLen},
		"installation_id":   {len(testID)},
		"version":           {report.MaxVersionLen},
		"platform.system":   {64},
		"client.name":       {report.MaxCodeLen},
		"facts":             {report.MaxFacts, report.MaxFactValueLen},
		"faults":            {1, report.MaxFaults},
		"faults[].source":   {report.MaxCodeLen},
		"faults[].count":    {1, report.MaxFaultCount},
		"faults[].context":  {report.MaxContext, report.MaxCodeLen},
		"faults[].severity": {},
	} {
		words := strings.FieldsFunc(bounds[name], func(c rune) bool { return c == ' ' || c == ',' })
		if len(words) == 0 {
			t.Errorf("%s: got no bound", name)
		}
		for _, limit := range limits {
			if !slices.Contains(words, fmt.Sprint(limit)) {
				t.Errorf("%s: got bound %q, want it to name %d", name, bounds[name], limit)
			}
		}
	}
	if bound := bounds["sent_at"]; !strings.Contains(bound, "1970 to 9999") {
		t.Errorf("sent_at: got bound %q, want it to name the years", bound)
	}
}
