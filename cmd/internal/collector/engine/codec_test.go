package engine

import (
	"encoding/binary"
	"slices"
	"testing"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
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
		if n == len(whole)-4 { // rows once lacked the day of the last flip
			if s, err := decodeState(data); err != nil || s.first != 3 || len(s.pairs) != 2 || s.flips != 1 || s.flipped != 0 {
				t.Errorf("row without the day of a flip: got %+v, %v", s, err)
			}
			continue
		}
		if s, err := decodeState(data); err == nil && !slices.Equal(data, s.encode(nil)) {
			t.Errorf("%x, %d bytes, reads as %+v", data, n, s)
		}
	}
}

// A row cannot claim more pairs than it has bytes for.
func TestStateIsBounded(t *testing.T) {
	t.Parallel()
	data := binary.AppendUvarint([]byte{0}, 1<<62)
	if s, err := decodeState(data); err == nil {
		t.Errorf("got %+v, want an error", s)
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

func testEngine() (*Engine, *fleet) {
	e := &Engine{fleets: make(map[collector.AppNum]*fleet), byKey: make(map[string]*fleet)}
	f := newFleet(collector.App{Num: 1, Key: "app"}, 20000)
	e.publish(f)
	return e, f
}

func FuzzReplay(f *testing.F) {
	_, fl := testEngine()
	ft := newFleetTx(fl)
	ft.identities = make([]collector.Identity, 3)
	ft.memory[collector.Key{1}] = struct{}{}
	ft.marks = []faultMark{{"fault", 1, 2, "1.0"}}
	ft.counters.Accepted = 4
	f.Add(ft.appendJournal(nil))
	f.Fuzz(func(t *testing.T, data []byte) {
		e, fl := testEngine()
		fl.next = maxNum - 1000 // so that few numbers are left to assign
		if len(data) < 1<<10 {
			e.replay(data) // must not panic
		}
	})
}
