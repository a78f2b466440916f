package fsys_test

import (
	"strings"
	"testing"

	"github.com/rollcall-dev/rollcall/internal/fsys"
)

func TestCutName(t *testing.T) {
	for _, tt := range []struct {
		name string
		n    int
		want string
	}{
		{"short", 10, "short"},
		{"exactly", 7, "exactly"},
		{"longer", 4, "long"},
		{"aä", 2, "a"},
		{"aäb", 3, "aä"},
		{"日本", 5, "日"},
		{"日本", 4, "日"},
		{"🙂🙂", 7, "🙂"},
		{"🙂", 3, "\xf0\x9f\x99"}, // the first character is all that there is
		{strings.Repeat("\x80", 9), 6, strings.Repeat("\x80", 6)},
	} {
		if got := fsys.CutName(tt.name, tt.n); got != tt.want {
			t.Errorf("%q to %d bytes: got %q, want %q", tt.name, tt.n, got, tt.want)
		}
	}
}
