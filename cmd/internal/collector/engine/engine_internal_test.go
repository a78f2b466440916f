package engine

import (
	"slices"
	"testing"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/bits"
)

func TestStateCodec(t *testing.T) {
	t.Parallel()
	for _, s := range []state{
		{pairs: []pair{}},
		{first: 3, pairs: []pair{{0, 1}, {7, 300}}},
		{pairs: []pair{{1, 70000}}, before: 0xdeadbeef},
		{pairs: []pair{{1, 70000}}, before: 0xdeadbeef, flips: 3, flipped: -20000},
	} {
		got, err := decodeState(s.encode(nil))
		if err != nil || got.first != s.first || !slices.Equal(got.pairs, s.pairs) || got.flips != s.flips || got.flipped != s.flipped || got.before != s.before {
			t.Errorf("got %+v, %v; want %+v", got, err, s)
		}
	}
	whole := (&state{first: 3, pairs: []pair{{0, 1}, {7, 300}}, flips: 1, flipped: 20000}).encode(nil)
	for n := range whole {
		data := whole[:n]
		if n == len(whole)-4 { // as rows were before the day of the last flip was kept
			if s, err := decodeState(data); err != nil || s.first != 3 || len(s.pairs) != 2 || s.flips != 1 || s.flipped != 0 {
				t.Errorf("a row without the day of a flip: got %+v, %v", s, err)
			}
			continue
		}
		if s, err := decodeState(data); err == nil && slices.Equal(data, s.encode(nil)) == false {
			t.Errorf("%x of %d bytes reads as %+v", data, n, s)
		}
	}
}

func FuzzState(f *testing.F) {
	f.Add((&state{first: 3, pairs: []pair{{0, 1}, {7, 300}}, flips: 1}).encode(nil))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := decodeState(data)
		if err != nil {
			return
		}
		again, err := decodeState(s.encode(nil))
		if err != nil || !slices.Equal(again.pairs, s.pairs) || again.first != s.first {
			t.Errorf("%x reads as %+v, and that as %+v (%v)", data, s, again, err)
		}
	})
}

func FuzzReplay(f *testing.F) {
	c := &Engine{fleets: make(map[collector.AppNum]*fleet), byKey: make(map[string]*fleet)}
	c.adopt(newFleet(collector.App{Num: 1, Key: "app"}, 20000))
	fs := newFleetStage(c.fleets[1])
	fs.identities = make([]collector.Identity, 3)
	fs.memory[collector.Key{1}] = struct{}{}
	fs.marks = []faultMark{{"fault", 1, 2}}
	fs.counters.Accepted = 4
	f.Add(fs.appendJournal(nil))
	f.Fuzz(func(t *testing.T, data []byte) {
		c := &Engine{fleets: make(map[collector.AppNum]*fleet), byKey: make(map[string]*fleet)}
		fl := newFleet(collector.App{Num: 1, Key: "app"}, 20000)
		fl.next = maxNum - 1000 // so that few numbers are left to be given
		c.adopt(fl)
		if len(data) < 1<<10 {
			c.replay(data) // must not panic
		}
	})
}

// A day that a fleet counts is what the brute force over its bits is.
func TestWindows(t *testing.T) {
	t.Parallel()
	f := newFleet(collector.App{Num: 1, Key: "app"}, 100)
	for d := collector.Day(70); d <= 100; d++ {
		f.days[d] = &bits.Set{}
		f.days[d].Add(uint32(d))
	}
	for i, set := range f.windows(100) {
		if got, want := set.Count(), uint64(windowDays[i]); got != want {
			t.Errorf("window %d: got %d, want %d", windowDays[i], got, want)
		}
	}
}
