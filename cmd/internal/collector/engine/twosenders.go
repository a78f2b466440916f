package engine

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
)

// senderDays is how many days after the last report of one of two senders its
// values still count. Both report once a day.
const senderDays = 7

// twoSenders says that two programs report one installation: a client in the
// YA-WAMF wire format, and another with Rollcall's own, such as an agent beside it.
// Each knows values that the other does not, so the installation has those of both.
// Where they report the same, Rollcall's own counts. The record is deleted with the
// installation, or once one of the two has stopped.
type twoSenders struct {
	// Own and Legacy are the days of their last reports.
	Own    collector.Day `json:"own"`
	Legacy collector.Day `json:"legacy"`
	// Dims are the dimensions that only the client in the other format reports, in
	// order.
	Dims []string `json:"dims,omitempty"`
}

func (f *fleet) sendersKey(num collector.Num) collector.RecordKey {
	return f.recordKey(kindSenders, 0, fmt.Sprintf("%08x", num))
}

func (f *fleet) readSenders(r collector.Record) error {
	var num collector.Num
	if _, err := fmt.Sscanf(r.Name, "%08x", &num); err != nil {
		return describe(r.RecordKey, err)
	}
	var s twoSenders
	err := decodeRecord(r, &s)
	f.two[num] = &s
	return err
}

// withTwoSenders counts the installations that two programs report now.
func (f *fleet) withTwoSenders() (n uint64) {
	for _, s := range f.two {
		if min(s.Own, s.Legacy) >= f.today-senderDays {
			n++
		}
	}
	return n
}

// sendersOf returns what is known of the senders of an installation, or nil.
func (ft *fleetTx) sendersOf(num collector.Num) *twoSenders {
	if s, ok := ft.two[num]; ok {
		return s
	}
	return ft.f.two[num]
}

// putSenders notes the senders of an installation; nil means that it has one.
func (ft *fleetTx) putSenders(num collector.Num, s *twoSenders) {
	if ft.two == nil {
		ft.two = make(map[collector.Num]*twoSenders)
	}
	ft.two[num] = s
}

// combine adds to what one sender reports what another has reported.
func (ft *fleetTx) combine(ctx context.Context, rows rowReader, num collector.Num, st *state, legacy bool) error {
	known := ft.sendersOf(num)
	own := ft.f.dims.textIn(st, collector.DimClient) != "" // only Rollcall's own senders name themselves
	if known == nil && (!legacy && !own || ft.unchanged(num, st)) {
		return nil
	}
	current, err := ft.current(ctx, rows, num)
	if err != nil {
		return err
	}
	before, today := &current.state, ft.f.today
	s := twoSenders{Own: today, Legacy: today}
	switch {
	case known == nil && legacy == (ft.f.dims.textIn(before, collector.DimClient) == ""):
		return nil // the sender of before
	case known == nil && own: // all that is known came in the other format
		s.Dims = ft.dimsOf(before.pairs)
	case known == nil:
	case legacy && known.Own < today-senderDays, !legacy && known.Legacy < today-senderDays:
		ft.putSenders(num, nil)
		return nil
	case legacy:
		s.Own, s.Dims = known.Own, known.Dims
	default:
		s.Legacy, s.Dims = known.Legacy, known.Dims
	}
	theirs := func(p pair) bool { return slices.Contains(s.Dims, ft.dimOf(p)) } // of the client in the other format
	reported := st.pairs
	if legacy {
		st.pairs = slices.DeleteFunc(slices.Clone(before.pairs), theirs)
	} else {
		reported = slices.DeleteFunc(slices.Clone(before.pairs), func(p pair) bool { return !theirs(p) })
		st.pairs = slices.Clone(st.pairs)
	}
	var added []pair
	for _, p := range reported {
		if _, ok := st.value(p.dim); !ok {
			added = append(added, p)
		}
	}
	st.pairs = append(st.pairs, added...)
	sortPairs(st.pairs)
	s.Dims = ft.dimsOf(added)
	if known == nil || known.Own != s.Own || known.Legacy != s.Legacy || !slices.Equal(known.Dims, s.Dims) {
		ft.putSenders(num, &s)
	}
	return nil
}

// dimOf returns the name of a pair's dimension.
func (ft *fleetTx) dimOf(p pair) string {
	if dim := ft.f.dims.numbers.at(p.dim); dim != nil {
		return dim.name
	}
	return ""
}

func (ft *fleetTx) dimsOf(pairs []pair) []string {
	names := make(map[string]bool, len(pairs))
	for _, p := range pairs {
		names[ft.dimOf(p)] = true
	}
	return slices.Sorted(maps.Keys(names))
}

func (ft *fleetTx) senderRecords() []collector.Record {
	records := make([]collector.Record, 0, len(ft.two))
	for num, s := range ft.two {
		if s == nil {
			records = append(records, collector.Record{RecordKey: ft.f.sendersKey(num)})
			continue
		}
		records = append(records, jsonRecord(ft.f.sendersKey(num), s))
	}
	return records
}

func (ft *fleetTx) applySenders() {
	maps.Copy(ft.f.two, ft.two)
	maps.DeleteFunc(ft.f.two, func(_ collector.Num, s *twoSenders) bool { return s == nil })
}
