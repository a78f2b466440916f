package installid_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/rollcall-dev/rollcall/installid"
)

// TestFromLegacy: the values come from Python's uuid5(uuid5(NAMESPACE_DNS,
// namespace), text).
func TestFromLegacy(t *testing.T) {
	for _, tt := range []struct{ namespace, text, want string }{
		{"example.org", "a1b2c3", "637d7348-f499-57cd-b62b-a91d4960c336"},
		{"Example.ORG", "a1b2c3", "637d7348-f499-57cd-b62b-a91d4960c336"}, // names of domains have no case
		{"example.org", "ü 1", "09369743-b240-511a-827e-1d9ea8bbe1f0"},
		{"", "x", "63a57d27-2c5a-5715-8411-f86306f65863"},
		{"example.org", "", ""},
		{"example.org", strings.ToUpper(knownID), knownID},
	} {
		got := installid.FromLegacy(tt.namespace, tt.text)
		if got.String() != tt.want {
			t.Errorf("%q, %q: got %v, want %s", tt.namespace, tt.text, got, tt.want)
		}
		if parsed, err := installid.Parse(got.String()); tt.want != "" && (err != nil || parsed != got) {
			t.Errorf("%q, %q: got %v, which is no ID: %v", tt.namespace, tt.text, got, err)
		}
	}
}

// A host that kept a token of its own keeps its place in the figures.
func ExampleFromLegacy() {
	token := "zK4w-91xQ" // from the host's settings
	fmt.Println(installid.FromLegacy("example.org", token))
	// Output: 07221392-a927-5516-8c47-b194339d9a89
}
