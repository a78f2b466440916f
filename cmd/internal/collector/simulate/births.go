package simulate

import (
	"math"
	"math/rand/v2"
	"sort"
)

// The purposes of the random streams of one fleet.
const (
	streamInstallation = iota
	streamForged
)

// stream returns the random numbers of the i-th item of a kind. They
// depend on nothing else but the seed.
func stream(seed uint64, kind, i int) *rand.Rand {
	return rand.New(rand.NewPCG(seed, mix(uint64(kind)<<56^uint64(i))))
}

// mix is the finaliser of SplitMix64, which turns close numbers into
// distant ones.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// births holds, for each day, the share of all births up to its end.
type births []float64

// launchDays is how long a launch brings more installations. In all it
// brings as many as launchDays usual days.
const launchDays = 5

// newBirths makes growth logistic: slow, fast in the middle, and slow
// again.
func newBirths(c *Config) births {
	weights := make([]float64, c.Days)
	for day := range weights {
		x := 8 * (float64(day)/float64(c.Days) - 0.5)
		weights[day] = 0.15 + 4*math.Exp(-x)/math.Pow(1+math.Exp(-x), 2)
	}
	for _, r := range c.Releases {
		if !r.Launch {
			continue
		}
		for after := range launchDays {
			if day := r.Day + after; day >= 0 && day < c.Days {
				weights[day] *= 1 + float64(launchDays-after)/2
			}
		}
	}
	var sum float64
	for day, w := range weights {
		sum += w
		weights[day] = sum
	}
	for day := range weights {
		weights[day] /= sum
	}
	return weights
}

// day returns the day of birth for a number from 0 to 1.
func (b births) day(u float64) int { return min(sort.SearchFloat64s(b, u), len(b)-1) }
