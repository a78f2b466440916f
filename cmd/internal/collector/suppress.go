package collector

import (
	"cmp"
	"slices"
	"time"
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
// A seal does this for one answer. The zero value shows everything.
type seal struct {
	k      uint64
	hidden int
}

func (v View) seal() *seal {
	if !v.Public {
		return &seal{}
	}
	return &seal{k: uint64(max(2, cmp.Or(v.K, DefaultK)))}
}

// span gives the range over which figures are summed up: for the public the longest window in it that ends with its last
// day, or with today if that is earlier.
func (v View) span(r Range, today Day) Range {
	if !v.Public {
		return r
	}
	r.To = min(r.To, today)
	for _, days := range slices.Backward(windowDays) {
		if from := r.To - Day(days) + 1; from >= r.From {
			r.From = from
			break
		}
	}
	return r
}

// round gives what is known of a count, 0 if it is hidden.
func (s *seal) round(n uint64) uint64 {
	if s.k > 0 {
		n -= n % s.k
	}
	return n
}

// count gives a count as it is shown. Nothing at all is no group, but a public zero would tell it from a small one.
func (s *seal) count(n uint64) Figure {
	if s.k > 0 {
		if n < s.k {
			s.hidden++
			return nil
		}
	}
	n = s.round(n)
	return &n
}

// share gives the share of a count as it is shown, 0 if either is hidden.
func share(part, whole Figure) float64 {
	if part == nil || whole == nil || *whole == 0 {
		return 0
	}
	return min(1, float64(*part)/float64(*whole))
}

// active gives the figures of the windows as they are shown.
func (s *seal) active(n [4]uint64) Active {
	return Active{Day: s.count(n[0]), Week: s.count(n[1]), Days28: s.count(n[2]), Days30: s.count(n[3])}
}

// values gives counts by value, the largest first. Values that are hidden are left out for the public, as their names are
// those of few; they are counted as hidden.
func (s *seal) values(counts map[string]uint64) []Value {
	values := make([]Value, 0, len(counts))
	var whole uint64
	for _, n := range counts {
		whole += n
	}
	all := s.countQuietly(whole)
	for text, n := range counts {
		if n == 0 {
			continue
		}
		if figure := s.count(n); figure != nil {
			values = append(values, Value{Value: text, Count: figure, Share: share(figure, all)})
		}
	}
	slices.SortFunc(values, func(a, b Value) int {
		return cmp.Or(cmp.Compare(*b.Count, *a.Count), cmp.Compare(a.Value, b.Value))
	})
	return values
}

// countQuietly is count for what is shown elsewhere: it is not hidden twice.
func (s *seal) countQuietly(n uint64) Figure {
	hidden := s.hidden
	defer func() { s.hidden = hidden }()
	return s.count(n)
}

// denominator gives a denominator as it is shown; 0 is hidden.
func (s *seal) denominator(n uint64) uint64 {
	if figure := s.countQuietly(n); figure != nil {
		return *figure
	}
	return 0
}

// Tag stands for what the answers to v are now: it changes when they can have changed. For the public it changes with each
// minute instead, so that an answer may be that of a minute ago: a tag that changed with each report would count them.
func (c *Collector) Tag(app AppNum, v View) uint64 {
	if v.Public {
		return uint64(time.Now().Unix() / 60)
	}
	return c.Revision(app)
}
