package rollcall

import (
	"strings"
	"testing"
)

// TestOrderedBy: who ordered a change becomes one short line.
func TestOrderedBy(t *testing.T) {
	for who, want := range map[string]string{
		"":                               "library",
		" \n ":                           "library",
		"page":                           "page",
		" rollcall disable\n":            "rollcall disable",
		"two\nlines\x00\u202e":           "two lines",
		"not \xff UTF-8":                 "not   UTF-8",
		strings.Repeat("x", 65):          strings.Repeat("x", 64),
		strings.Repeat("x", 63) + "é…":   strings.Repeat("x", 63),
		strings.Repeat("\x01", 70) + "y": "library",
	} {
		if got := orderedBy(OrderedBy(t.Context(), who)); got != want {
			t.Errorf("%q: got %q, want %q", who, got, want)
		}
	}
	if got := orderedBy(t.Context()); got != "library" {
		t.Errorf("got %q without a name", got)
	}
}
