package collector

import "testing"

// What a shelf gives is what is in it of a range, and where the reading has to begin.
func TestShelf(t *testing.T) {
	t.Parallel()
	f, other := &fleet{}, &fleet{}
	key := shelfKey{1, kindTotal, ""}
	var s shelf
	put := func(f *fleet, from, to, late Day, days ...Day) {
		fresh, sizes := map[Day]any{}, map[Day]int{}
		for _, day := range days {
			fresh[day], sizes[day] = day, 10
		}
		s.put(key, f, 0, from, to, late, fresh, sizes)
	}
	wants := func(what string, f *fleet, r Range, from Day, days int) {
		t.Helper()
		n := 0
		got := s.take(key, f, 0, r, func(day Day, value any) {
			if value.(Day) != day {
				t.Errorf("%s: day %d is %v", what, day, value)
			}
			n++
		})
		if got != from || n != days {
			t.Errorf("%s: %d days, read from %d on; want %d, from %d on", what, n, got, days, from)
		}
	}
	wants("nothing", f, Range{5, 9}, 5, 0)
	put(f, 5, 9, 8, 5, 7, 9)
	wants("a record that may come late", f, Range{5, 9}, 8, 2)
	wants("a part", f, Range{6, 7}, 8, 1)
	wants("more at the front", f, Range{4, 9}, 4, 0)
	wants("another fleet", other, Range{5, 9}, 5, 0)
	put(f, 8, 12, 20, 8, 9, 10, 11, 12)
	wants("more at the end", f, Range{5, 12}, 13, 7)
	put(f, 1, 3, 20, 1, 2, 3)
	wants("older ones do not replace newer ones", f, Range{5, 12}, 13, 7)
	put(f, 1, 12, 20, 1, 2, 3, 12)
	wants("a longer run", f, Range{1, 12}, 13, 4)
	put(other, 1, 2, 20, 1, 2)
	wants("loaded anew", other, Range{1, 2}, 3, 2)
	if s.bytes != 20 {
		t.Errorf("%d bytes are said to be kept, want 20", s.bytes)
	}
}

func TestShelfBound(t *testing.T) {
	t.Parallel()
	var s shelf
	f := &fleet{}
	const n = 5
	for i := range AppNum(2 * n) {
		s.take(shelfKey{0, kindTotal, ""}, f, 0, Range{1, 1}, func(Day, any) {}) // it is used all the time
		s.put(shelfKey{i, kindTotal, ""}, f, 0, 1, 1, 2, map[Day]any{1: i}, map[Day]int{1: shelfBytes / n})
		if s.bytes > shelfBytes || len(s.runs) > n {
			t.Errorf("%d bytes in %d runs", s.bytes, len(s.runs))
		}
	}
	if s.runs[shelfKey{0, kindTotal, ""}] == nil || s.runs[shelfKey{2*n - 1, kindTotal, ""}] == nil {
		t.Error("what was used last was dropped")
	}
	s.put(shelfKey{99, kindTotal, ""}, f, 0, 1, 1, 2, map[Day]any{1: 1}, map[Day]int{1: shelfBytes + 1})
	if s.bytes > shelfBytes {
		t.Errorf("%d bytes are kept", s.bytes)
	}
}
