package engine

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/storetest"
	"github.com/rollcall-dev/rollcall/report"
)

// Counts are cumulative since a time, and reports may arrive in any order.
func TestFaultCount(t *testing.T) {
	t.Parallel()
	began := time.Date(2026, 5, 6, 12, 0, 0, 0, time.UTC)
	var c faultCount
	for i, tt := range []struct {
		since         time.Time
		count         int
		more          uint64
		known         int
		count2, total uint64 // afterwards
	}{
		{began, 3, 3, 0, 3, 3},
		{began, 3, 0, 1, 3, 3},
		{began, 5, 2, 0, 5, 5},
		{began, 4, 0, 1, 5, 5},                    // overtaken
		{began.Add(time.Hour), 2, 2, 0, 2, 7},     // the sender began again
		{began, 9, 0, 1, 2, 7},                    // late
		{began.Add(2 * time.Hour), 0, 0, 0, 0, 7}, // began again, with nothing yet
		{began.Add(2 * time.Hour), 10, 10, 0, 10, 17},
	} {
		more, known := c.add(&report.Fault{Since: tt.since, Count: tt.count}, occurred{})
		if more != tt.more || known != tt.known || c.Count != tt.count2 || c.Total != tt.total {
			t.Errorf("report %d: got %d more, %d known, then %+v, want %+v", i, more, known, c, tt)
		}
	}
}

// Events count once each, for as long as they are known.
func TestKnownEvents(t *testing.T) {
	t.Parallel()
	c := faultCount{}
	events := func(from, to int) (ids []eventID) {
		for n := from; n < to; n++ {
			ids = append(ids, eventIDOf(fmt.Sprint(n)))
		}
		return ids
	}
	const day = collector.Day(20_000)
	for _, tt := range []struct {
		day      collector.Day
		from, to int
		more     uint64
		known    int
	}{
		{day, 0, 250, 250, 0},
		{day, 0, 250, 0, 250},
		{day, 200, 450, 200, 50},
		{day + 1, 450, 700, 250, 0},
		{day + 1, 0, 2, 0, 2},
		{day + 399, 0, 2, 0, 2},
		{day + 400, 0, 2, 0, 2}, // the worker still knows those of 400 days before
		{day + 401, 0, 2, 2, 0},
		{day + 401, 450, 452, 0, 2},
	} {
		counts := []faultCount{c}
		forgetEvents(counts, tt.day)
		c = counts[0]
		// Events replace the count.
		more, known := c.add(&report.Fault{Count: 1000}, occurred{day: tt.day, events: events(tt.from, tt.to)})
		if more != tt.more || known != tt.known {
			t.Errorf("day %d, %d to %d: got %d more, %d known, want %d and %d", tt.day, tt.from, tt.to, more, known, tt.more, tt.known)
		}
	}
	if c.Total != 702 || c.Known.len() != 252 || c.Count != 0 {
		t.Errorf("got %d in all, %d events and a count of %d, want 702, 252 and 0", c.Total, c.Known.len(), c.Count)
	}
}

// An installation's events are bounded in all: the oldest are forgotten, whichever
// fault they are of. What another transaction holds does not change.
func TestForgetEvents(t *testing.T) {
	t.Parallel()
	const day = collector.Day(20_000)
	counts := make([]faultCount, 2)
	n := 0
	more := func(k *knownEvents, day collector.Day, count int) {
		ids := make([]eventID, count)
		for i := range ids {
			ids[i] = eventIDOf(fmt.Sprint(n))
			n++
		}
		k.add(day, ids)
	}
	more(&counts[0].Known, day, 6000)
	more(&counts[1].Known, day+1, 6000)
	more(&counts[0].Known, day+2, 10_000)
	before := slices.Clone(counts)
	forgetEvents(counts, day+2)
	if a, b := counts[0].Known.len(), counts[1].Known.len(); a != 14_000 || b != 6000 {
		t.Errorf("got %d and %d events, want 14000 and 6000", a, b)
	}
	if counts[0].Known.has(eventIDOf("1999")) || !counts[0].Known.has(eventIDOf("2000")) {
		t.Error("others than the oldest were forgotten")
	}
	if before[0].Known.len() != 16_000 || !before[0].Known.has(eventIDOf("0")) || before[0].Known.Days[0].N != 6000 {
		t.Error("the copy changed")
	}
	more(&counts[1].Known, day+2, 20_000)
	forgetEvents(counts, day+2)
	if a, b := counts[0].Known.len(), counts[1].Known.len(); a+b != maxKnownEvents {
		t.Errorf("got %d and %d events, want %d in all", a, b, maxKnownEvents)
	}
	forgetEvents(counts, day+2+401)
	if a, b := counts[0].Known.len(), counts[1].Known.len(); a+b != 0 || len(counts[0].Known.Days)+len(counts[1].Known.Days) != 0 {
		t.Errorf("after 401 days: got %d and %d events", a, b)
	}
}

// Records of before events had days are still understood.
func TestFormerEvents(t *testing.T) {
	t.Parallel()
	store := storetest.NewMemory()
	f := newFleet(collector.App{Num: 1, Key: "app"}, 20_000)
	record := collector.Record{RecordKey: f.faultCountsKey(0), Data: []byte(`[{"issue":"x","count":0,"total":2,"last":"2024-10-01","events":["0123456789abcdef","no"]}]`)}
	if _, err := store.Commit(t.Context(), &collector.Batch{Records: []collector.Record{record}}); err != nil {
		t.Fatal(err)
	}
	counts, err := (&Engine{store: store}).faultCounts(t.Context(), f, 0)
	if err != nil || len(counts) != 1 {
		t.Fatalf("got %+v, %v", counts, err)
	}
	k := counts[0].Known
	if k.len() != 2 || !k.has(eventID{0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef}) || !k.has(eventIDOf("no")) || k.Days[0].Day.String() != "2024-10-01" {
		t.Errorf("got %+v", k)
	}
}
