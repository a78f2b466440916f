package figures

import (
	"cmp"
	"maps"
	"slices"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
)

// The public sees figures of established installations in windows that are over,
// one dimension at a time. docs/decisions/0035-public-windows.md explains why:
//
//   - A count below k is hidden, with everything that is named after it. Any
//     other is rounded to a multiple of k, up or down by chance: 12 is shown as
//     10 or 15 for k = 5, on average as 12. The chance depends on the collector's
//     secret, what is counted, and the window, so asking again reveals nothing,
//     and nobody can find out where a count is rounded up.
//   - Whatever else is public, such as shares, sums, orders, and choices, is made
//     from these rounded counts. It reveals nothing that they do not.
//
// A Suppressor applies them to one answer. The zero value shows everything.
type Suppressor struct {
	k    uint64
	draw Draw
	// Suppressed is the number of figures hidden so far.
	Suppressed int
}

// A Draw returns a number that is evenly distributed and nobody else can know. It
// is always the same for what is counted in a window.
type Draw func(cell string) uint64

// Suppressor returns a new Suppressor for the view, which draws from draw if the
// view is public.
func (v View) Suppressor(draw Draw) *Suppressor {
	if !v.Public {
		return &Suppressor{}
	}
	return &Suppressor{k: uint64(max(2, cmp.Or(v.K, collector.DefaultK))), draw: draw}
}

// Public reports whether s hides small groups.
func (s *Suppressor) Public() bool { return s.k > 0 }

// Round returns what may be known of the count n of a cell; 0 if it is hidden.
// A cell has one true count in a window.
func (s *Suppressor) Round(cell string, n uint64) uint64 {
	switch {
	case !s.Public():
		return n
	case n < s.k:
		return 0
	}
	n += s.draw(cell) % s.k
	return n - n%s.k
}

// RoundValues returns what may be known of the counts by value of a dimension.
// Hidden values count as [collector.Other].
func (s *Suppressor) RoundValues(dimension string, counts map[string]uint64) map[string]uint64 {
	if !s.Public() {
		return counts
	}
	counts = maps.Clone(counts)
	other := counts[collector.Other]
	delete(counts, collector.Other)
	maps.DeleteFunc(counts, func(_ string, n uint64) bool {
		if n < s.k {
			other += n
		}
		return n < s.k
	})
	rounded := make(map[string]uint64, len(counts)+1)
	for text, n := range counts {
		rounded[text] = s.Round(dimension+"\x00"+text, n)
	}
	if n := s.Round(dimension, other); n > 0 {
		rounded[collector.Other] = n
	}
	return rounded
}

// Count returns n, which is rounded for the public, as it is shown. For the public
// zero is hidden, because showing it would set it apart from a small group.
func (s *Suppressor) Count(n uint64) Count {
	if s.Public() && n == 0 {
		s.Suppressed++
		return nil
	}
	return &n
}

// Values returns the counts by value, largest first, of the installations that
// report a dimension.
func Values(counts map[string]uint64, reporting uint64) []Value {
	values := make([]Value, 0, len(counts))
	for text, n := range counts {
		if n > 0 {
			values = append(values, Value{Value: text, Count: &n, Share: Share(&n, &reporting)})
		}
	}
	slices.SortFunc(values, func(a, b Value) int {
		return cmp.Or(cmp.Compare(*b.Count, *a.Count), cmp.Compare(a.Value, b.Value))
	})
	return values
}

// Top returns the n most frequent values.
func Top(counts map[string]uint64, n int) []string {
	texts := slices.Collect(maps.Keys(counts))
	slices.SortFunc(texts, func(a, b string) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b))
	})
	return texts[:min(len(texts), n)]
}

// Share returns part as a share of whole, at most 1; 0 if either is hidden.
func Share(part, whole Count) float64 {
	if part == nil || whole == nil || *whole == 0 {
		return 0
	}
	return min(1, float64(*part)/float64(*whole))
}
