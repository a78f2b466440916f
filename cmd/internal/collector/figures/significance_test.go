package figures_test

import (
	"math"
	"testing"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector/figures"
)

// TestCompare compares the tests with published values and with sums by hand.
func TestCompare(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		a, ofA, b, ofB uint64
		p              float64
	}{
		{3, 4, 1, 4, 0.4857}, // the lady tasting tea: (16+16+1+1)/70
		{4, 4, 0, 4, 0.0286}, // 2/70
		{0, 10, 0, 10, 1},
		{10, 10, 10, 10, 1},
		{1, 9, 11, 14, 0.0028}, // 1 of 10 with 9, as R's fisher.test(matrix(c(1,8,11,3),2)) has it
		{50, 100, 30, 100, 0.0039},
		{30, 100, 50, 100, 0.0039},
		{500, 1000, 500, 1000, 1},
		{0, 0, 3, 5, 1},
	} {
		d := figures.Compare(tt.a, tt.ofA, tt.b, tt.ofB)
		if math.Abs(d.P-tt.p) > 0.0003 {
			t.Errorf("%d of %d and %d of %d: got p = %.4f, want %.4f", tt.a, tt.ofA, tt.b, tt.ofB, d.P, tt.p)
		}
		if d.Significant != (tt.p < 0.05) {
			t.Errorf("p = %.4f: significant is %v", d.P, d.Significant)
		}
	}
}

// TestCompareLarge: the exact test is quick, and both agree where one takes over
// from the other.
func TestCompareLarge(t *testing.T) {
	t.Parallel()
	if d := figures.Compare(0, 5_000, 5_000, 10_000_000); d.P < 0.05 || d.P > 0.2 { // e^-2.5 and as much on the other side
		t.Errorf("got %v", d.P)
	}
	exact, approximate := figures.Compare(14, 1000, 0, 1040), figures.Compare(16, 1000, 1, 1040)
	if exact.P > 0.001 || approximate.P > 0.001 {
		t.Errorf("got %v and %v", exact.P, approximate.P)
	}
}

// TestAdjust is the example of Holm's paper in small: 0.01, 0.04, 0.03.
func TestAdjust(t *testing.T) {
	t.Parallel()
	a, b, c := &figures.Difference{P: 0.01}, &figures.Difference{P: 0.04}, &figures.Difference{P: 0.03}
	figures.Adjust([]*figures.Difference{a, b, c})
	for got, want := range map[float64]float64{a.P: 0.03, b.P: 0.06, c.P: 0.06} {
		if math.Abs(got-want) > 1e-9 {
			t.Errorf("got %v, want %v", got, want)
		}
	}
	if !a.Significant || b.Significant || c.Significant {
		t.Errorf("got %v, %v, %v", a, b, c)
	}
	figures.Adjust(nil)
}
