package rollcall

import (
	"os"
	"path/filepath"
	"testing"
)

func TestParseAnswer(t *testing.T) {
	for answer, want := range map[string][2]bool{
		"y": {true, true}, " YES ": {true, true}, "n": {false, true}, "No": {false, true},
		"": {false, false}, "yeah": {false, false}, "0": {false, false},
	} {
		granted, ok := parseAnswer(answer)
		if granted != want[0] || ok != want[1] {
			t.Errorf("%q: got %t, %t, want %v", answer, granted, ok, want)
		}
	}
}

func TestCannotAsk(t *testing.T) {
	none := func(string) string { return "" }
	if canAsk(none, nil, nil) {
		t.Error("asks where there is no terminal")
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	if canAsk(none, r, w) {
		t.Error("asks in a pipe")
	}
}

// TestAskNobody: without a terminal, as in this test, nothing is asked, saved or
// waited for.
func TestAskNobody(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.json")
	const before = `{"a": 1}`
	if err := os.WriteFile(path, []byte(before), 0o600); err != nil {
		t.Fatal(err)
	}
	service, err := New(Config{ConfigPath: path, Consent: ConsentConfig{PolicyPath: filepath.Join(t.TempDir(), "none.json")}})
	if err != nil {
		t.Fatal(err)
	}
	if canAsk(os.Getenv, os.Stdin, os.Stderr) {
		t.Log("this test runs at a terminal: it is the one place where it would ask")
		return
	}
	if got, err := service.AskConsent(t.Context(), AskOptions{}); got != Unset || err != nil {
		t.Errorf("got %v, %v, want that it is not decided", got, err)
	}
	if got, _ := os.ReadFile(path); string(got) != before {
		t.Errorf("the config was changed to %s", got)
	}
	var nothing *Service
	if got, err := nothing.AskConsent(t.Context(), AskOptions{}); got != Unset || err != nil {
		t.Errorf("no service: got %v, %v", got, err)
	}
}
