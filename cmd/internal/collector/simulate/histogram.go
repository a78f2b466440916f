package simulate

import (
	"math/bits"
	"time"
)

// A Histogram counts durations in buckets as wide as 1/64 of their value.
// It takes a few kilobytes for any number of durations, and its quantiles
// are within 2 %. The zero value is empty. It is not safe for concurrent
// use.
type Histogram struct {
	counts [64 * 60]uint64
	count  uint64
	max    time.Duration
}

const subBits = 6

// Add counts a duration; a negative one counts as zero.
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

// upper returns the longest duration of a bucket.
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

// Count returns the number of durations.
func (h *Histogram) Count() uint64 { return h.count }

// Quantile returns the duration that the share q, from 0 to 1, of all
// durations do not exceed. An empty histogram has 0.
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

// Max returns the longest duration.
func (h *Histogram) Max() time.Duration { return h.max }
