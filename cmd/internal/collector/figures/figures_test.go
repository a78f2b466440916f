package figures_test

import (
	"slices"
	"testing"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector/figures"
)

// shown returns a count as a number, -1 if it is hidden.
func shown(c figures.Count) int {
	if c == nil {
		return -1
	}
	return int(*c)
}

// drawing returns a draw that is always n.
func drawing(n uint64) figures.Draw { return func(string) uint64 { return n } }

// The public sees multiples of k, 5 unless the app says otherwise, and nothing
// below k. The maintainer sees everything.
func TestCount(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		view    figures.View
		draw, n uint64
		rounded uint64
		want    int
	}{
		{figures.View{}, 4, 0, 0, 0},
		{figures.View{}, 4, 3, 3, 3},
		{figures.View{K: 5}, 4, 3, 3, 3},
		{figures.View{Public: true}, 0, 0, 0, -1},
		{figures.View{Public: true}, 4, 4, 0, -1},
		{figures.View{Public: true}, 0, 5, 5, 5},
		{figures.View{Public: true}, 4, 5, 5, 5},
		{figures.View{Public: true}, 3, 6, 5, 5},
		{figures.View{Public: true}, 4, 6, 10, 10},
		{figures.View{Public: true}, 9, 6, 10, 10}, // as 4
		{figures.View{Public: true, K: 10}, 0, 9, 0, -1},
		{figures.View{Public: true, K: 10}, 0, 57, 50, 50},
		{figures.View{Public: true, K: 10}, 3, 57, 60, 60},
		{figures.View{Public: true, K: 1}, 1, 1, 0, -1}, // at least 2, even if the app is broken
		{figures.View{Public: true, K: 1}, 0, 3, 2, 2},
	} {
		s := tt.view.Suppressor(drawing(tt.draw))
		rounded := s.Round("cell", tt.n)
		if rounded != tt.rounded {
			t.Errorf("%+v: Round(%d) with draw %d: got %d, want %d", tt.view, tt.n, tt.draw, rounded, tt.rounded)
		}
		hidden := 0
		if tt.want < 0 {
			hidden = 1
		}
		if got := shown(s.Count(rounded)); got != tt.want || s.Suppressed != hidden {
			t.Errorf("%+v: Count(%d): got %d and %d suppressed, want %d and %d", tt.view, rounded, got, s.Suppressed, tt.want, hidden)
		}
		if s.Public() != tt.view.Public {
			t.Errorf("%+v: got public: %v", tt.view, s.Public())
		}
	}
}

// Counts are rounded up as often as makes them right on average.
func TestRoundIsFair(t *testing.T) {
	t.Parallel()
	for n := uint64(5); n < 30; n++ {
		var sum uint64
		for draw := range uint64(5) {
			sum += figures.View{Public: true}.Suppressor(drawing(draw)).Round("cell", n)
		}
		if sum != 5*n {
			t.Errorf("%d is shown as %v on average", n, float64(sum)/5)
		}
	}
}

// A value of few has no name, and counts as other; neither order nor share depend
// on what is rounded away.
func TestValues(t *testing.T) {
	t.Parallel()
	counts := map[string]uint64{"a": 11, "b": 19, "c": 9, "d": 25, "e": 3, "f": 0, "other": 2}
	names := func(values []figures.Value) (names []string) {
		for _, v := range values {
			names = append(names, v.Value)
		}
		return names
	}
	s := figures.View{Public: true, K: 10}.Suppressor(drawing(0))
	public := figures.Values(s.RoundValues("dimension", counts), 60)
	if got := names(public); !slices.Equal(got, []string{"d", "a", "b", "other"}) { // c, e and other are 14
		t.Errorf("public: got %v, want d, a, b, other", got)
	}
	if v := public[0]; shown(v.Count) != 20 || v.Share != 20.0/60 {
		t.Errorf("public: got %d, %v of d, want 20, a third", shown(v.Count), v.Share)
	}
	if counts["c"] != 9 || counts["other"] != 2 {
		t.Errorf("the counts have changed: %v", counts)
	}
	all := figures.View{}.Suppressor(nil)
	if got := names(figures.Values(all.RoundValues("dimension", counts), 69)); !slices.Equal(got, []string{"d", "b", "a", "c", "e", "other"}) {
		t.Errorf("maintainer: got %v, want d, b, a, c, e, other", got)
	}
	if got := figures.Top(counts, 4); !slices.Equal(got, []string{"d", "b", "a", "c"}) {
		t.Errorf("top: got %v, want d, b, a, c", got)
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

func TestNewestFirst(t *testing.T) {
	t.Parallel()
	got := []string{"1.9", "other", "1.10-rc.1", "2.0", "1.10", "01.9"}
	slices.SortFunc(got, figures.NewestFirst(""))
	if want := []string{"2.0", "1.10", "1.10-rc.1", "1.9", "01.9", "other"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if figures.NewestFirst("")("other", "other") != 0 {
		t.Error("other differs from itself")
	}
}

func TestIsPreRelease(t *testing.T) {
	t.Parallel()
	for version, want := range map[string]bool{
		"1.0": false, "1": false, "1.0-rc.1": true, "1.1-rc.1": true, "10.0-rc": true, "1.9-rc": true,
		"1.0.-rc": true, "2.0-dev": true, "1.0+build": false, "rc": false,
	} {
		if got := figures.IsPreRelease("", version); got != want {
			t.Errorf("%s: got %v, want %v", version, got, want)
		}
	}
}
