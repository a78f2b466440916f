package jsonedit

import "testing"

func TestParseKey(t *testing.T) {
	for _, tt := range []struct {
		dotted string
		want   int // the number of names; 0 for an error
	}{
		{"telemetry.installation_id", 2}, {"id", 1}, {"a.b.c.d", 4}, {"", 0}, {".", 0}, {"a.", 0}, {".a", 0}, {"a..b", 0},
	} {
		key, err := ParseKey(tt.dotted)
		if len(key) != tt.want || (err == nil) != (tt.want > 0) || err == nil && key.String() != tt.dotted {
			t.Errorf("%q: got %v, %v", tt.dotted, key, err)
		}
	}
	if err := (Key{}).Check(); err == nil {
		t.Error("no name: no error")
	}
}
