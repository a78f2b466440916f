package server

import (
	"reflect"
	"slices"
	"testing"
)

// Public questions are answered with the types whose fields engine.TestPublicFields
// knows. The others have these fields, and no more.
func TestPublicAnswers(t *testing.T) {
	t.Parallel()
	known := []string{"Series", "Dimensions", "Breakdown", "Trend", "Versions", "Floor", "Faults", "CoOccurrence"}
	for _, q := range questions {
		name := reflect.TypeOf(results["GET /api/v1/apps/{app}/"+q.name]).Name()
		if public := q.privacy != private; public != slices.Contains(known, name) {
			t.Errorf("%s is answered with %s: public is %v", q.name, name, public)
		}
	}
	for _, other := range []struct {
		answer any
		fields []string
	}{
		{AppEntry{}, []string{"Key", "Name", "Public", "K", "Created"}}, // what the maintainer said
		{Dimensions{}, []string{"Dimensions"}},                          // names of groups that are shown
	} {
		for _, field := range reflect.VisibleFields(reflect.TypeOf(other.answer)) {
			if !slices.Contains(other.fields, field.Name) {
				t.Errorf("nobody has said what the public learns from %T.%s", other.answer, field.Name)
			}
		}
	}
}
