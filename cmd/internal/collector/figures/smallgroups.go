package figures

import (
	"cmp"
	"slices"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
)

// The public sees no group smaller than k, nor anything from which one could be
// derived by subtraction. docs/decisions/0021-small-groups.md explains why these
// rules ensure that:
//
//   - Every public count is rounded down to a multiple of k, and hidden below k.
//     Any two shown counts, even of different days, ranges or answers, therefore
//     differ by 0 or by at least k. Rounding depends on the true count alone, so
//     asking again reveals nothing more.
//   - Shares, orders and choices, such as the most frequent values, are made
//     from rounded counts.
//   - Sums over a range are public only over one of the windows; see
//     [View.Span]. Sums over every range would reveal which of two remainders
//     is larger, and enough comparisons reveal the remainders.
//   - No time in an answer is that of a report.
//
// A Suppressor applies them to one answer. The zero value shows everything.
type Suppressor struct {
	k uint64
	// Suppressed is the number of figures hidden so far.
	Suppressed int
}

// Suppressor returns a new Suppressor for the view.
func (v View) Suppressor() *Suppressor {
	if !v.Public {
		return &Suppressor{}
	}
	return &Suppressor{k: uint64(max(2, cmp.Or(v.K, collector.DefaultK)))}
}

// Span returns the range that figures are summed over. For the public it is the
// longest window that lies in r and ends with its last day, or with today if
// that is earlier.
func (v View) Span(r collector.Range, today collector.Day) collector.Range {
	if !v.Public {
		return r
	}
	r.To = min(r.To, today)
	windows := collector.Windows()
	for _, days := range slices.Backward(windows[:]) {
		if from := r.To - collector.Day(days) + 1; from >= r.From {
			r.From = from
			break
		}
	}
	return r
}

// Public reports whether s hides small groups.
func (s *Suppressor) Public() bool { return s.k > 0 }

// Round returns what may be known of n; 0 if n is hidden.
func (s *Suppressor) Round(n uint64) uint64 {
	if s.k > 0 {
		n -= n % s.k
	}
	return n
}

// Repeat returns n as it is shown. Unlike Count, it does not add to Suppressed:
// use it for figures that appear elsewhere in the answer. Zero is hidden from
// the public too, because showing it would set it apart from a small group.
func (s *Suppressor) Repeat(n uint64) Count {
	if n < s.k {
		return nil
	}
	n = s.Round(n)
	return &n
}

// Count returns n as it is shown.
func (s *Suppressor) Count(n uint64) Count {
	count := s.Repeat(n)
	if count == nil {
		s.Suppressed++
	}
	return count
}

// Active returns the counts of the four windows as they are shown.
func (s *Suppressor) Active(n [4]uint64) Active {
	return Active{Day: s.Count(n[0]), Week: s.Count(n[1]), Days28: s.Count(n[2]), Days30: s.Count(n[3])}
}

// Values returns the counts by value, largest first. A hidden value is left out
// altogether, because its name belongs to few.
func (s *Suppressor) Values(counts map[string]uint64) []Value {
	values := make([]Value, 0, len(counts))
	var sum uint64
	for _, n := range counts {
		sum += n
	}
	whole := s.Repeat(sum)
	for text, n := range counts {
		if n == 0 {
			continue
		}
		if count := s.Count(n); count != nil {
			values = append(values, Value{Value: text, Count: count, Share: Share(count, whole)})
		}
	}
	slices.SortFunc(values, func(a, b Value) int {
		return cmp.Or(cmp.Compare(*b.Count, *a.Count), cmp.Compare(a.Value, b.Value))
	})
	return values
}

// Top returns the n most frequent of the values that are not hidden.
func (s *Suppressor) Top(counts map[string]uint64, n int) []string {
	texts := make([]string, 0, len(counts))
	for text, count := range counts {
		if s.Repeat(count) != nil {
			texts = append(texts, text)
		}
	}
	slices.SortFunc(texts, func(a, b string) int {
		return cmp.Or(cmp.Compare(s.Round(counts[b]), s.Round(counts[a])), cmp.Compare(a, b))
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
