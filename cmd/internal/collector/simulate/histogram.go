package simulate

import (
	"math/bits"
	"time"
)

// A Histogram counts durations in buckets that are 1/64 of their value wide, so that any number of them takes a few
// kilobytes and a percentile is right within 2 %. The zero value is empty. It is not safe for concurrent use.
type Histogram struct {
	counts [64 * 60]uint64
	count  uint64
	max    time.Duration
}

const subBits = 6

// Add counts a duration; one below zero counts as zero.
func (h *Histogram) Add(d time.Duration) {
	h.counts[bucket(uint64(max(d, 0)))]++
	h.count++
	h.max = max(h.max, d)
}

func bucket(n uint64) int {
	if n < 1<<subBits {
		return int(n)
	}
	shift := bits.Len64(n) - subBits - 1
	return (shift+1)<<subBits + int(n>>shift&(1<<subBits-1))
}

// upper gives the largest duration of a bucket.
func upper(bucket int) time.Duration {
	if bucket < 1<<subBits {
		return time.Duration(bucket)
	}
	shift := bucket>>subBits - 1
	return time.Duration(uint64(bucket&(1<<subBits-1)|1<<subBits)<<shift + 1<<shift - 1)
}

// Merge adds all of another histogram.
func (h *Histogram) Merge(other *Histogram) {
	for i, n := range other.counts {
		h.counts[i] += n
	}
	h.count += other.count
	h.max = max(h.max, other.max)
}

// Count gives how many durations were added.
func (h *Histogram) Count() uint64 { return h.count }

// Quantile gives the duration that the part q, from 0 to 1, of all do not exceed; 0 when there are none.
func (h *Histogram) Quantile(q float64) time.Duration {
	wanted := uint64(q*float64(h.count) + 0.5)
	var seen uint64
	for i, n := range h.counts {
		if seen += n; n > 0 && seen >= wanted {
			return min(upper(i), h.max)
		}
	}
	return h.max
}

// Max gives the longest duration.
func (h *Histogram) Max() time.Duration { return h.max }
