package engine

import (
	"testing"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
)

// The cache returns what it has of a range, and where reading has to begin.
func TestClosedCache(t *testing.T) {
	t.Parallel()
	key, other := closedKey{f: &fleet{}, kind: kindTotal}, closedKey{f: &fleet{}, kind: kindTotal}
	var c closedCache
	put := func(key closedKey, from, to, late collector.Day, days ...collector.Day) {
		fresh, sizes := map[collector.Day]any{}, map[collector.Day]int{}
		for _, day := range days {
			fresh[day], sizes[day] = day, 10
		}
		c.put(key, collector.Range{From: from, To: to}, late, fresh, sizes)
	}
	wants := func(what string, key closedKey, from, to, unread collector.Day, days int) {
		t.Helper()
		n := 0
		got := c.get(key, collector.Range{From: from, To: to}, func(day collector.Day, value any) {
			if value.(collector.Day) != day {
				t.Errorf("%s: day %d is %v", what, day, value)
			}
			n++
		})
		if want := (collector.Range{From: unread, To: to}); got != want || n != days {
			t.Errorf("%s: got %d days and %v to read, want %d and %v", what, n, got, days, want)
		}
	}
	wants("empty", key, 5, 9, 5, 0)
	put(key, 5, 9, 8, 5, 7, 9)
	wants("a record that may come late", key, 5, 9, 8, 2)
	wants("a part", key, 6, 7, 8, 1)
	wants("earlier days", key, 4, 9, 4, 0)
	wants("another fleet", other, 5, 9, 5, 0)
	wants("another first day", closedKey{f: key.f, created: 1, kind: kindTotal}, 5, 9, 5, 0)
	put(key, 8, 12, 20, 8, 9, 10, 11, 12)
	wants("later days", key, 5, 12, 13, 7)
	put(key, 1, 3, 20, 1, 2, 3)
	wants("older days do not replace newer ones", key, 5, 12, 13, 7)
	put(key, 1, 12, 20, 1, 2, 3, 12)
	wants("a longer run", key, 1, 12, 13, 4)
	put(other, 1, 2, 20, 1, 2)
	wants("another fleet beside it", other, 1, 2, 3, 2)
	if c.bytes != 60 {
		t.Errorf("got %d bytes, want 60", c.bytes)
	}
}

// The least recently used records are evicted when the cache holds 16 MiB.
func TestClosedCacheIsBounded(t *testing.T) {
	t.Parallel()
	const limit, n = 16 << 20, 5
	var c closedCache
	day := collector.Range{From: 1, To: 1}
	key := func(i int) closedKey { return closedKey{created: collector.Day(i), kind: kindTotal} }
	for i := range 2 * n {
		c.get(key(0), day, func(collector.Day, any) {}) // in use all the time
		c.put(key(i), day, 2, map[collector.Day]any{1: i}, map[collector.Day]int{1: limit / n})
		if c.bytes > limit || len(c.runs) > n {
			t.Errorf("got %d bytes in %d runs", c.bytes, len(c.runs))
		}
	}
	if len(c.runs) != n || c.runs[key(0)] == nil || c.runs[key(2*n-1)] == nil {
		t.Error("what was used last is missing")
	}
	c.put(key(99), day, 2, map[collector.Day]any{1: 1}, map[collector.Day]int{1: limit + 1})
	if c.bytes > limit {
		t.Errorf("got %d bytes", c.bytes)
	}
}
