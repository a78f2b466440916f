package figures

import (
	"cmp"
	"slices"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
)

// The public sees no group that is smaller than k, and nothing from which one could be worked out by subtraction. These
// rules give that, and docs/decisions/0021-small-groups.md says why:
//
//   - Every public count is rounded down to a multiple of k, and one below k is hidden. So two shown counts, also those of
//     two days, ranges or answers, differ by 0 or by k or more: a difference never is a small group. Rounding is a
//     function of the true count alone, so asking again tells nothing more.
//   - Shares, orders and choices, such as that of the most frequent values, are those of the rounded counts.
//   - What is summed over a range is so over one of the windows, see [View.span]. Sums over every range would tell which
//     of two remainders is the larger one, and enough of these comparisons are the remainders themselves.
//   - No moment in an answer is that of a report.
//
// A Suppressor does this for one answer. The zero value shows everything.
type Suppressor struct {
	k          uint64
	Suppressed int
}

func (v View) Suppressor() *Suppressor {
	if !v.Public {
		return &Suppressor{}
	}
	return &Suppressor{k: uint64(max(2, cmp.Or(v.K, collector.DefaultK)))}
}

// Span gives the range over which figures are summed up: for the public the longest window in it that ends with its last
// day, or with today if that is earlier.
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

// Round gives what is known of a count, 0 if it is hidden.
func (s *Suppressor) Round(n uint64) uint64 {
	if s.k > 0 {
		n -= n % s.k
	}
	return n
}

// Count gives a Count as it is shown. Nothing at all is no group, but a public zero would tell it from a small one.
func (s *Suppressor) Count(n uint64) Count {
	if s.k > 0 {
		if n < s.k {
			s.Suppressed++
			return nil
		}
	}
	n = s.Round(n)
	return &n
}

// Share gives the Share of a count as it is shown, 0 if either is hidden.
func Share(part, whole Count) float64 {
	if part == nil || whole == nil || *whole == 0 {
		return 0
	}
	return min(1, float64(*part)/float64(*whole))
}

// Active gives the figures of the windows as they are shown.
func (s *Suppressor) Active(n [4]uint64) Active {
	return Active{Day: s.Count(n[0]), Week: s.Count(n[1]), Days28: s.Count(n[2]), Days30: s.Count(n[3])}
}

// Values gives counts by value, the largest first. Values that are hidden are left out for the public, as their names are
// those of few; they are counted as hidden.
func (s *Suppressor) Values(counts map[string]uint64) []Value {
	values := make([]Value, 0, len(counts))
	var whole uint64
	for _, n := range counts {
		whole += n
	}
	all := s.Figure(whole)
	for text, n := range counts {
		if n == 0 {
			continue
		}
		if figure := s.Count(n); figure != nil {
			values = append(values, Value{Value: text, Count: figure, Share: Share(figure, all)})
		}
	}
	slices.SortFunc(values, func(a, b Value) int {
		return cmp.Or(cmp.Compare(*b.Count, *a.Count), cmp.Compare(a.Value, b.Value))
	})
	return values
}

// Figure is count for what is shown elsewhere: it is not hidden twice.
func (s *Suppressor) Figure(n uint64) Count {
	hidden := s.Suppressed
	defer func() { s.Suppressed = hidden }()
	return s.Count(n)
}

// Denominator gives a Denominator as it is shown; 0 is hidden.
func (s *Suppressor) Denominator(n uint64) uint64 {
	if figure := s.Figure(n); figure != nil {
		return *figure
	}
	return 0
}

// Public reports whether small groups are hidden.
func (s *Suppressor) Public() bool { return s.k > 0 }
