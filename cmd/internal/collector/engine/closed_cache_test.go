package engine

import (
	"testing"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
)

// What a shelf gives is what is in it of a range, and where the reading has to begin.
func TestShelf(t *testing.T) {
	t.Parallel()
	f, other := &fleet{}, &fleet{}
	key := shelfKey{1, kindTotal, ""}
	var s shelf
	put := func(f *fleet, from, to, late collector.Day, days ...collector.Day) {
		fresh, sizes := map[collector.Day]any{}, map[collector.Day]int{}
		for _, day := range days {
			fresh[day], sizes[day] = day, 10
		}
		s.put(key, f, 0, from, to, late, fresh, sizes)
	}
	wants := func(what string, f *fleet, r collector.Range, from collector.Day, days int) {
		t.Helper()
		n := 0
		got := s.take(key, f, 0, r, func(day collector.Day, value any) {
			if value.(collector.Day) != day {
				t.Errorf("%s: day %d is %v", what, day, value)
			}
			n++
		})
		if got != from || n != days {
			t.Errorf("%s: %d days, read from %d on; want %d, from %d on", what, n, got, days, from)
		}
	}
	wants("nothing", f, collector.Range{From: 5, To: 9}, 5, 0)
	put(f, 5, 9, 8, 5, 7, 9)
	wants("a record that may come late", f, collector.Range{From: 5, To: 9}, 8, 2)
	wants("a part", f, collector.Range{From: 6, To: 7}, 8, 1)
	wants("more at the front", f, collector.Range{From: 4, To: 9}, 4, 0)
	wants("another fleet", other, collector.Range{From: 5, To: 9}, 5, 0)
	put(f, 8, 12, 20, 8, 9, 10, 11, 12)
	wants("more at the end", f, collector.Range{From: 5, To: 12}, 13, 7)
	put(f, 1, 3, 20, 1, 2, 3)
	wants("older ones do not replace newer ones", f, collector.Range{From: 5, To: 12}, 13, 7)
	put(f, 1, 12, 20, 1, 2, 3, 12)
	wants("a longer run", f, collector.Range{From: 1, To: 12}, 13, 4)
	put(other, 1, 2, 20, 1, 2)
	wants("loaded anew", other, collector.Range{From: 1, To: 2}, 3, 2)
	if s.bytes != 20 {
		t.Errorf("%d bytes are said to be kept, want 20", s.bytes)
	}
}

func TestShelfBound(t *testing.T) {
	t.Parallel()
	var s shelf
	f := &fleet{}
	const n = 5
	for i := range collector.AppNum(2 * n) {
		s.take(shelfKey{0, kindTotal, ""}, f, 0, collector.Range{From: 1, To: 1}, func(collector.Day, any) {}) // it is used all the time
		s.put(shelfKey{i, kindTotal, ""}, f, 0, 1, 1, 2, map[collector.Day]any{1: i}, map[collector.Day]int{1: shelfBytes / n})
		if s.bytes > shelfBytes || len(s.runs) > n {
			t.Errorf("%d bytes in %d runs", s.bytes, len(s.runs))
		}
	}
	if s.runs[shelfKey{0, kindTotal, ""}] == nil || s.runs[shelfKey{2*n - 1, kindTotal, ""}] == nil {
		t.Error("what was used last was dropped")
	}
	s.put(shelfKey{99, kindTotal, ""}, f, 0, 1, 1, 2, map[collector.Day]any{1: 1}, map[collector.Day]int{1: shelfBytes + 1})
	if s.bytes > shelfBytes {
		t.Errorf("%d bytes are kept", s.bytes)
	}
}
