package figures_test

import (
	"slices"
	"testing"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/figures"
)

// shown returns a count as a number, -1 if it is hidden.
func shown(c figures.Count) int {
	if c == nil {
		return -1
	}
	return int(*c)
}

// The public sees multiples of k, 10 unless the app says otherwise, and nothing
// below k. The maintainer sees everything.
func TestCount(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		view    figures.View
		n       uint64
		want    int
		rounded uint64
	}{
		{figures.View{}, 0, 0, 0},
		{figures.View{}, 3, 3, 3},
		{figures.View{K: 5}, 3, 3, 3},
		{figures.View{Public: true}, 0, -1, 0},
		{figures.View{Public: true}, 9, -1, 0},
		{figures.View{Public: true}, 10, 10, 10},
		{figures.View{Public: true}, 19, 10, 10},
		{figures.View{Public: true, K: 5}, 4, -1, 0},
		{figures.View{Public: true, K: 5}, 5, 5, 5},
		{figures.View{Public: true, K: 5}, 57, 55, 55},
		{figures.View{Public: true, K: 1}, 1, -1, 0}, // at least 2, even if the app is broken
		{figures.View{Public: true, K: 1}, 3, 2, 2},
	} {
		s := tt.view.Suppressor()
		if got := shown(s.Repeat(tt.n)); got != tt.want || s.Suppressed != 0 {
			t.Errorf("%+v: Repeat(%d): got %d and %d suppressed, want %d and none", tt.view, tt.n, got, s.Suppressed, tt.want)
		}
		hidden := 0
		if tt.want < 0 {
			hidden = 1
		}
		if got := shown(s.Count(tt.n)); got != tt.want || s.Suppressed != hidden {
			t.Errorf("%+v: Count(%d): got %d and %d suppressed, want %d and %d", tt.view, tt.n, got, s.Suppressed, tt.want, hidden)
		}
		if got := s.Round(tt.n); got != tt.rounded {
			t.Errorf("%+v: Round(%d): got %d, want %d", tt.view, tt.n, got, tt.rounded)
		}
		if s.Public() != tt.view.Public {
			t.Errorf("%+v: got public: %v", tt.view, s.Public())
		}
	}
}

func TestActive(t *testing.T) {
	t.Parallel()
	s := figures.View{Public: true}.Suppressor()
	a := s.Active([4]uint64{9, 11, 25, 30})
	if got := []int{shown(a.Day), shown(a.Week), shown(a.Days28), shown(a.Days30)}; !slices.Equal(got, []int{-1, 10, 20, 30}) {
		t.Errorf("got %v", got)
	}
	if s.Suppressed != 1 {
		t.Errorf("got %d suppressed, want 1", s.Suppressed)
	}
}

// Sums over a range are public over windows only.
func TestSpan(t *testing.T) {
	t.Parallel()
	const today = 1000
	for _, tt := range []struct{ from, to, wantFrom, wantTo collector.Day }{
		{600, 1000, 971, 1000}, {971, 1000, 971, 1000}, {972, 1000, 973, 1000}, {973, 1000, 973, 1000}, {974, 1000, 994, 1000},
		{994, 1000, 994, 1000}, {995, 1000, 1000, 1000}, {1000, 1000, 1000, 1000}, {994, 1025, 994, 1000}, {955, 997, 968, 997},
	} {
		asked := collector.Range{From: tt.from, To: tt.to}
		if got, want := (figures.View{Public: true}).Span(asked, today), (collector.Range{From: tt.wantFrom, To: tt.wantTo}); got != want {
			t.Errorf("%v: got %v, want %v", asked, got, want)
		}
		if got := (figures.View{}).Span(asked, today); got != asked {
			t.Errorf("%v for the maintainer: got %v", asked, got)
		}
	}
}

// A value of few has no name, and neither order nor share depend on what is
// rounded away.
func TestValues(t *testing.T) {
	t.Parallel()
	counts := map[string]uint64{"a": 11, "b": 19, "c": 9, "d": 25, "e": 0, "f": 0, "g": 0, "h": 0, "i": 0}
	names := func(values []figures.Value) (names []string) {
		for _, v := range values {
			names = append(names, v.Value)
		}
		return names
	}
	s := figures.View{Public: true}.Suppressor()
	public := s.Values(counts)
	if got := names(public); !slices.Equal(got, []string{"d", "a", "b"}) || s.Suppressed != 1 {
		t.Errorf("public: got %v and %d suppressed, want d, a, b and 1", got, s.Suppressed)
	}
	if v := public[0]; shown(v.Count) != 20 || v.Share != 20.0/60 { // 64 in all
		t.Errorf("public: got %d, %v of d, want 20, a third", shown(v.Count), v.Share)
	}
	if got := s.Top(counts, 2); !slices.Equal(got, []string{"d", "a"}) {
		t.Errorf("public: got top %v, want d and a", got)
	}
	all := figures.View{}.Suppressor()
	if got := names(all.Values(counts)); !slices.Equal(got, []string{"d", "b", "a", "c"}) {
		t.Errorf("maintainer: got %v, want d, b, a, c", got)
	}
	if got := all.Top(counts, 5); !slices.Equal(got, []string{"d", "b", "a", "c", "e"}) {
		t.Errorf("maintainer: got top %v, want d, b, a, c, e", got)
	}
}

func TestShare(t *testing.T) {
	t.Parallel()
	n := func(n uint64) figures.Count { return &n }
	for _, tt := range []struct {
		part, whole figures.Count
		want        float64
	}{
		{n(1), n(4), 0.25}, {n(5), n(4), 1}, {n(0), n(0), 0}, {nil, n(4), 0}, {n(1), nil, 0},
	} {
		if got := figures.Share(tt.part, tt.whole); got != tt.want {
			t.Errorf("%d of %d: got %v, want %v", shown(tt.part), shown(tt.whole), got, tt.want)
		}
	}
}

func TestCompareNewest(t *testing.T) {
	t.Parallel()
	got := []string{"1.9", "other", "1.10-rc.1", "2.0", "1.10", "01.9"}
	slices.SortFunc(got, figures.CompareNewest)
	if want := []string{"2.0", "1.10", "1.10-rc.1", "1.9", "01.9", "other"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if figures.CompareNewest("other", "other") != 0 {
		t.Error("other differs from itself")
	}
}

func TestIsPreRelease(t *testing.T) {
	t.Parallel()
	for version, want := range map[string]bool{
		"1.0": false, "1": false, "1.0-rc.1": true, "1.1-rc.1": true, "10.0-rc": true, "1.9-rc": true,
		"1.0.-rc": true, "2.0-dev": true, "1.0+build": false, "rc": false,
	} {
		if got := figures.IsPreRelease(version); got != want {
			t.Errorf("%s: got %v, want %v", version, got, want)
		}
	}
}
