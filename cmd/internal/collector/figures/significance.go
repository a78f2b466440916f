package figures

import "math"

// A Difference compares two shares: A of OfA installations, and B of OfB.
type Difference struct {
	A   uint64 `json:"a"`
	OfA uint64 `json:"of_a"`
	B   uint64 `json:"b"`
	OfB uint64 `json:"of_b"`
	// P is the probability of a difference as large as this, in either direction, if
	// there were none between the groups; 1 if a group is empty. It comes from the
	// two-proportion z test, and from Fisher's exact test where fewer than 5
	// installations would be expected in a cell. [Adjust] raises it if several
	// shares are compared.
	P float64 `json:"p"`
	// Significant means that P is below SignificantP.
	Significant bool `json:"significant"`
}

// SignificantP is the level below which a difference counts as significant.
const SignificantP = 0.05

// Compare returns the difference between a of ofA and b of ofB.
func Compare(a, ofA, b, ofB uint64) Difference {
	d := Difference{A: min(a, ofA), OfA: ofA, B: min(b, ofB), OfB: ofB, P: 1}
	if ofA > 0 && ofB > 0 {
		d.P = twoSided(float64(d.A), float64(ofA), float64(d.B), float64(ofB))
	}
	d.Significant = d.P < SignificantP
	return d
}

// Adjust applies Holm's method to differences that are looked at together: with
// twenty of them, one would be significant by chance. It changes their P in place.
func Adjust(differences []*Difference) {
	left := append([]*Difference(nil), differences...)
	least := 0.0 // no P is less than that of a more significant one
	for len(left) > 0 {
		next := 0
		for i, d := range left {
			if d.P < left[next].P {
				next = i
			}
		}
		d := left[next]
		least = max(least, min(1, d.P*float64(len(left))))
		d.P, d.Significant = least, least < SignificantP
		left = append(left[:next], left[next+1:]...)
	}
}

func twoSided(a, ofA, b, ofB float64) float64 {
	yes, all := a+b, ofA+ofB
	no := all - yes
	if min(yes, no)*min(ofA, ofB)/all < 5 {
		return fisher(a, ofA, b, ofB)
	}
	p := yes / all
	z := (a/ofA - b/ofB) / math.Sqrt(p*(1-p)*(1/ofA+1/ofB))
	return math.Erfc(math.Abs(z) / math.Sqrt2)
}

// fisher returns the two-sided p of Fisher's exact test: the total probability of
// all tables with the same margins that are no likelier than the observed one. Its
// cost grows with the smallest margin.
func fisher(a, ofA, b, ofB float64) float64 {
	yes := a + b
	logChoose := func(n, k float64) float64 {
		x, _ := math.Lgamma(n + 1)
		y, _ := math.Lgamma(k + 1)
		z, _ := math.Lgamma(n - k + 1)
		return x - y - z
	}
	all := logChoose(ofA+ofB, yes)
	likelihood := func(k float64) float64 { return logChoose(ofA, k) + logChoose(ofB, yes-k) - all }
	seen := likelihood(a)
	const tolerance = 1e-7 // of logarithms of large factorials
	var p float64
	for k := max(0, yes-ofB); k <= min(yes, ofA); k++ {
		if l := likelihood(k); l <= seen+tolerance {
			p += math.Exp(l)
		}
	}
	return min(1, p)
}
