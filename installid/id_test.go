package installid_test

import (
	"encoding/json"
	"errors"
	"regexp"
	"strings"
	"testing"

	"github.com/rollcall-dev/rollcall/installid"
)

const (
	knownID = "0b9d6f1e-7a3c-4d52-9c41-5f6e7d8c9b0a"
	otherID = "7c1f0e2d-3b4a-4c5d-8e9f-a0b1c2d3e4f5"
)

func mustParse(text string) installid.ID {
	id, err := installid.Parse(text)
	if err != nil {
		panic(err)
	}
	return id
}

func TestParse(t *testing.T) {
	accepted := map[string]string{
		knownID:                                knownID,
		strings.ToUpper(knownID):               knownID,
		"0B9d6F1e-7A3c-4d52-9C41-5f6e7d8c9b0A": knownID,
		"00000000-0000-0000-0000-000000000001": "00000000-0000-0000-0000-000000000001",
		"ffffffff-ffff-ffff-ffff-fffffffffffe": "ffffffff-ffff-ffff-ffff-fffffffffffe",
		"6ba7b810-9dad-11d1-80b4-00c04fd430c8": "6ba7b810-9dad-11d1-80b4-00c04fd430c8", // version 1
		"01890a5d-ac96-774b-bcce-b302099a8057": "01890a5d-ac96-774b-bcce-b302099a8057", // version 7
		"0b9d6f1e-7a3c-4d52-0c41-5f6e7d8c9b0a": "0b9d6f1e-7a3c-4d52-0c41-5f6e7d8c9b0a", // another variant
	}
	for text, want := range accepted {
		id, err := installid.Parse(text)
		if err != nil || id.String() != want {
			t.Errorf("%q: got %q, %v, want %q", text, id, err, want)
		}
	}
	refused := []string{
		"", " ", "x", knownID[:35], knownID + "0", " " + knownID, knownID + "\n", "{" + knownID + "}", "urn:uuid:" + knownID,
		"(" + knownID + ")", strings.ReplaceAll(knownID, "-", ""), strings.ReplaceAll(knownID, "-", ":"),
		"00000000-0000-0000-0000-000000000000",
		"ffffffff-ffff-ffff-ffff-ffffffffffff", "FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF",
		"0b9d6f1e-7a3c-4d52-9c41-5f6e7d8c9b0g",
		"0b9d6f1e-7a3c-4d52-9c41-5f6e7d8c9b-a",
		"-b9d6f1e-7a3c-4d52-9c41-5f6e7d8c9b0a",
		"0b9d6f1-e7a3c-4d52-9c41-5f6e7d8c9b0a",
		"0b9d6f1e-7a3c-4d529-c41-5f6e7d8c9b0a",
		"0x9d6f1e-7a3c-4d52-9c41-5f6e7d8c9b0a",
		"+b9d6f1e-7a3c-4d52-9c41-5f6e7d8c9b0a",
		"0b9d6f1e-7a3c-4d52-9c41-5f6e7d8c9b\x000",
		"０b9d6f1e-7a3c-4d52-9c41-5f6e7d8c9b",
		strings.Repeat("0", 1<<20),
	}
	for _, text := range refused {
		id, err := installid.Parse(text)
		if !errors.Is(err, installid.ErrInvalid) || !id.IsZero() {
			t.Errorf("%.60q: got %q, %v", text, id, err)
		}
		if err != nil && text != "" && len(text) > 1 && strings.Contains(err.Error(), text) {
			t.Errorf("the error contains the text: %v", err)
		}
	}
}

// reference defines an ID independently of Parse.
var reference = regexp.MustCompile(`^(?i)[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)

func isReference(text string) bool {
	digits := strings.ToLower(strings.ReplaceAll(text, "-", ""))
	return reference.MatchString(text) && strings.Trim(digits, "0") != "" && strings.Trim(digits, "f") != ""
}

func FuzzParse(f *testing.F) {
	for _, text := range []string{knownID, strings.ToUpper(otherID), "", "00000000-0000-0000-0000-000000000000", "{" + knownID + "}"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		id, err := installid.Parse(text)
		if want := isReference(text); (err == nil) != want {
			t.Fatalf("%q: got error %v, want accepted %v", text, err, want)
		}
		if err != nil {
			if !id.IsZero() {
				t.Errorf("%q: got an ID with an error", text)
			}
			return
		}
		if id.String() != strings.ToLower(text) {
			t.Errorf("%q: got %q", text, id)
		}
		again, err := installid.Parse(id.String())
		if err != nil || again != id {
			t.Errorf("%q: parsed again: got %q, %v", text, again, err)
		}
	})
}

var version4 = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)

func TestNew(t *testing.T) {
	const n = 10_000
	seen := make(map[installid.ID]bool, n)
	digits := make([]map[byte]bool, 36)
	for i := range digits {
		digits[i] = make(map[byte]bool)
	}
	for range n {
		id := installid.New()
		if !version4.MatchString(id.String()) || !isReference(id.String()) {
			t.Fatalf("got %q", id)
		}
		if seen[id] {
			t.Fatalf("got %q twice", id)
		}
		seen[id] = true
		for i := range digits {
			digits[i][id.String()[i]] = true
		}
	}
	for i := range digits {
		want := 16
		switch i {
		case 8, 13, 18, 23, 14:
			want = 1
		case 19:
			want = 4
		}
		if got := len(digits[i]); got != want {
			t.Errorf("position %d: got %d different characters, want %d", i, got, want)
		}
	}
}

func TestShort(t *testing.T) {
	if got, want := mustParse(knownID).Short(), "0b9d6f1e..."; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := (installid.ID{}).Short(); got != "" {
		t.Errorf("zero ID: got %q", got)
	}
}

func TestText(t *testing.T) {
	type document struct {
		ID   installid.ID            `json:"id"`
		None installid.ID            `json:"none"`
		Omit installid.ID            `json:"omit,omitzero"`
		Map  map[installid.ID]string `json:"map"`
	}
	id := mustParse(knownID)
	want := `{"id":"` + knownID + `","none":"","map":{"` + knownID + `":"x"}}`
	data, err := json.Marshal(document{ID: id, Map: map[installid.ID]string{id: "x"}})
	if err != nil || string(data) != want {
		t.Errorf("got %s, %v, want %s", data, err, want)
	}
	var again document
	if err := json.Unmarshal(data, &again); err != nil || again.ID != id || !again.None.IsZero() || again.Map[id] != "x" {
		t.Errorf("got %+v, %v", again, err)
	}
	kept := id
	if err := kept.UnmarshalText([]byte("rubbish")); !errors.Is(err, installid.ErrInvalid) || kept != id {
		t.Errorf("got %q, %v", kept, err)
	}
	if err := kept.UnmarshalText(nil); err != nil || !kept.IsZero() {
		t.Errorf("got %q, %v from the empty text", kept, err)
	}
}

func TestIDCosts(t *testing.T) {
	id := mustParse(knownID)
	var text string
	if n := testing.AllocsPerRun(100, func() { text = id.String() }); n != 0 || text != knownID {
		t.Errorf("String: %v allocations", n)
	}
}

func BenchmarkParse(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		installid.Parse(knownID)
	}
}

func BenchmarkNew(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		installid.New()
	}
}
