package csvcell_test

import (
	"testing"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector/csvcell"
)

func TestText(t *testing.T) {
	for text, want := range map[string]string{
		"": "", "a": "a", "=1": "'=1", "+1": "'+1", "-1": "'-1", "@a": "'@a", "\ta": "'\ta", "\ra": "'\ra", "\na": "'\na", "a=1": "a=1",
	} {
		if got := csvcell.Text(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}
