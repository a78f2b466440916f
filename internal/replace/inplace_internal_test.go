package replace

import (
	"strings"
	"testing"
)

func TestChangedRange(t *testing.T) {
	const page = 4096
	x := strings.Repeat("x", 2*page)
	at := func(i int, s string) string { return x[:i] + s + x[i+len(s):] }
	for _, tt := range []struct {
		name, old, new string
		from, to       int
		ok             bool
	}{
		{"same", "abc", "abc", 3, 3, true},
		{"first byte", "abc", "Xbc", 0, 1, true},
		{"middle byte", "abc", "aXc", 1, 2, true},
		{"last byte", "abc", "abX", 2, 3, true},
		{"two bytes", "abcd", "XbcX", 0, 4, true},
		{"shorter", "abc", "ab", 0, 0, false},
		{"spaces appended", "abc", "abc  ", 5, 5, true},
		{"appended", "abc", "abcX", 3, 4, true},
		{"inserted", "abc}", "abc,d}", 3, 6, true},
		{"appended, then a space", "abc", "abcX ", 3, 4, true},
		{"to the end of a page", x, at(page-2, "aa"), page - 2, page, true},
		{"from the start of a page", x, at(page, "aa"), page, page + 2, true},
		{"over the border of pages", x, at(page-1, "aa"), page - 1, page + 1, false},
		{"a whole page", x, at(page, strings.Repeat("a", page)), page, 2 * page, true},
		{"a page and a byte", x, at(page-1, strings.Repeat("a", page+1)), page - 1, 2 * page, false},
	} {
		from, to, ok := changedRange([]byte(tt.old), []byte(tt.new))
		if from != tt.from || to != tt.to || ok != tt.ok {
			t.Errorf("%s: got %d to %d, %v, want %d to %d, %v", tt.name, from, to, ok, tt.from, tt.to, tt.ok)
		}
	}
}

func TestTempTime(t *testing.T) {
	for name, want := range map[string]int64{
		".a.rollcall-123-ABC.tmp": 123, ".a.rollcall--5-ABC.tmp": 0, ".a.rollcall-x-ABC.tmp": 0, ".a.rollcall-123.tmp": 0,
		".a.rollcall-123-ABC": 0, ".b.rollcall-123-ABC.tmp": 0, "123-ABC.tmp": 0, ".a.rollcall-123-ABC.tmp.bak": 0,
	} {
		created, ok := tempTime(name, ".a.rollcall-")
		if ok != (want != 0) || ok && created.Unix() != want {
			t.Errorf("%s: got %v, %v, want %d", name, created, ok, want)
		}
	}
}
