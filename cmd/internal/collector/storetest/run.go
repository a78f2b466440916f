package storetest

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"sync"
	"testing"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
)

// Run holds a kind of store to the promises of [collector.Store], except for those
// that take a broken disk or a killed process. Open returns a new, empty store,
// and closes it at the end of the test.
func Run(t *testing.T, open func(t *testing.T) collector.Store) {
	for _, c := range []struct {
		name string
		test func(*testing.T, collector.Store)
	}{
		{"Empty", testEmpty},
		{"Identities", testIdentities},
		{"Installations", testInstallations},
		{"Journal", testJournal},
		{"Records", testRecords},
		{"EmptyValueIsNotMissing", testEmptyValue},
		{"Order", testOrder},
		{"LastWins", testLastWins},
		{"AllOrNothing", testAllOrNothing},
		{"BatchIsNotKept", testOwnership},
		{"Large", testLarge},
		{"Many", testMany},
		{"StopReading", testStopReading},
		{"CommitWhileReading", testCommitWhileReading},
		{"Concurrent", testConcurrent},
		{"Scrub", testScrub},
		{"EndedContext", testContext},
		{"Backup", testBackup},
		{"Check", testCheck},
		{"Size", testSize},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, open(t)) })
	}
}

func commit(t *testing.T, s collector.Store, b *collector.Batch) int64 {
	t.Helper()
	number, err := s.Commit(t.Context(), b)
	if err != nil {
		t.Fatalf("commit: %v", err)
	}
	return number
}

func gather[T any](t *testing.T, rows iter.Seq2[T, error]) (all []T) {
	t.Helper()
	for row, err := range rows {
		if err != nil {
			t.Fatalf("read: %v", err)
		}
		all = append(all, row)
	}
	return all
}

func key(n int) (k collector.Key) {
	copy(k[:], fmt.Sprintf("%02x key %08d", byte(n*37), n))
	return k
}

func identity(app collector.AppNum, num int) collector.Identity {
	return collector.Identity{Key: key(int(app)*1_000_000 + num), App: app, Num: collector.Num(num)}
}

func installation(app collector.AppNum, num int, state string) collector.Installation {
	return collector.Installation{App: app, Num: collector.Num(num), State: []byte(state)}
}

func record(kind string, app collector.AppNum, day collector.Day, name, data string) collector.Record {
	return collector.Record{RecordKey: collector.RecordKey{Kind: kind, App: app, Day: day, Name: name}, Data: []byte(data)}
}

func sortedIdentities(rows []collector.Identity) []collector.Identity {
	slices.SortFunc(rows, func(a, b collector.Identity) int { return bytes.Compare(a.Key[:], b.Key[:]) })
	return rows
}

func wantInstallations(t *testing.T, s collector.Store, want ...collector.Installation) {
	t.Helper()
	got := []collector.Installation{}
	for row, err := range s.Installations(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		row.State = slices.Clone(row.State) // valid until the next row
		got = append(got, row)
	}
	wantRows(t, got, want)
}

func wantRecords(t *testing.T, rows iter.Seq2[collector.Record, error], want ...collector.Record) {
	t.Helper()
	wantRows(t, gather(t, rows), want)
}

// wantRows reports the first row that differs.
func wantRows[T any](t *testing.T, got, want []T) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("got %d rows, want %d", len(got), len(want))
	}
	for i := range min(len(got), len(want)) {
		if !reflect.DeepEqual(got[i], want[i]) {
			t.Errorf("row %d: got %+v, want %+v", i, got[i], want[i])
			return
		}
	}
}

const firstDay, lastDay = collector.Day(-1 << 31), collector.Day(1<<31 - 1)

func testEmpty(t *testing.T, s collector.Store) {
	ctx := t.Context()
	if rows, err := s.Lookup(ctx, []collector.Key{key(1)}); err != nil || len(rows) != 0 {
		t.Errorf("Lookup: got %v and %v, want nothing", rows, err)
	}
	if rows, err := s.Lookup(ctx, nil); err != nil || len(rows) != 0 {
		t.Errorf("Lookup of no keys: got %v and %v, want nothing", rows, err)
	}
	if row, ok, err := s.Installation(ctx, 1, 0); err != nil || ok {
		t.Errorf("Installation: got %v, %v and %v, want none", row, ok, err)
	}
	if data, ok, err := s.Record(ctx, collector.RecordKey{Kind: "k"}); err != nil || ok || data != nil {
		t.Errorf("Record: got %v, %v and %v, want none", data, ok, err)
	}
	n := len(gather(t, s.Identities(ctx))) + len(gather(t, s.Installations(ctx))) + len(gather(t, s.Journal(ctx))) +
		len(gather(t, s.Records(ctx, "k", 0, firstDay, lastDay)))
	if n != 0 {
		t.Errorf("got %d rows, want none", n)
	}
	if number := commit(t, s, &collector.Batch{}); number != 0 {
		t.Errorf("empty batch: got journal number %d, want 0", number)
	}
	// Deleting missing rows is no error.
	commit(t, s, &collector.Batch{
		TrimJournal:       7,
		DropIdentities:    []collector.Key{key(1)},
		DropInstallations: []collector.Installation{{App: 1, Num: 1}},
		Records:           []collector.Record{{RecordKey: collector.RecordKey{Kind: "k"}}},
	})
	if err := s.Check(ctx); err != nil {
		t.Errorf("Check: got %v, want nil", err)
	}
}

func testIdentities(t *testing.T, s collector.Store) {
	const n = 500
	var all []collector.Identity
	for i := range n {
		all = append(all, identity(collector.AppNum(1+i%3), i))
	}
	all = append(all, collector.Identity{Key: collector.Key{}, App: 1<<16 - 1, Num: 1<<32 - 1}) // the extremes
	all = append(all, collector.Identity{Key: key(-1), App: 1, Num: 0})
	all[n+1].Key[0] = 0xff
	commit(t, s, &collector.Batch{PutIdentities: all})
	want := sortedIdentities(slices.Clone(all))
	if got := sortedIdentities(gather(t, s.Identities(t.Context()))); !slices.Equal(got, want) {
		t.Errorf("got %d identities, want %d, or they differ", len(got), len(want))
	}

	keys := []collector.Key{key(99_999_999)}
	for _, row := range all {
		keys = append(keys, row.Key)
	}
	for _, some := range [][]collector.Key{keys, keys[:1], keys[1:2], keys[:65], keys[3:67]} {
		got, err := s.Lookup(t.Context(), some)
		if err != nil {
			t.Fatal(err)
		}
		var want []collector.Identity
		for _, row := range all {
			if slices.Contains(some, row.Key) {
				want = append(want, row)
			}
		}
		if got, want := sortedIdentities(got), sortedIdentities(want); !slices.Equal(got, want) {
			t.Errorf("Lookup of %d keys: got %d, want %d, or they differ", len(some), len(got), len(want))
		}
	}

	moved := all[4]
	moved.App, moved.Num = 9, 12345
	commit(t, s, &collector.Batch{PutIdentities: []collector.Identity{moved}, DropIdentities: []collector.Key{all[5].Key}})
	got, err := s.Lookup(t.Context(), []collector.Key{all[4].Key, all[5].Key})
	if err != nil || len(got) != 1 || got[0] != moved {
		t.Errorf("after a change and a deletion: got %v and %v, want %v", got, err, moved)
	}
}

func testInstallations(t *testing.T, s collector.Store) {
	a, b, c, d := installation(1, 0, "a"), installation(1, 1<<31, "b"), installation(1, 1<<32-1, "c"),
		installation(1<<16-1, 1<<32-1, "d")
	binary := installation(2, 3, "\x00\xff\x00")
	commit(t, s, &collector.Batch{PutInstallations: []collector.Installation{d, b, binary, a, c}})
	wantInstallations(t, s, a, b, c, binary, d)
	row, ok, err := s.Installation(t.Context(), d.App, d.Num)
	if err != nil || !ok || row.App != d.App || row.Num != d.Num || string(row.State) != "d" {
		t.Errorf("Installation: got %v, %v and %v, want %v", row, ok, err, d)
	}
	b.State = []byte("longer than before")
	commit(t, s, &collector.Batch{
		PutInstallations:  []collector.Installation{b},
		DropInstallations: []collector.Installation{{App: 1, Num: 0}},
	})
	wantInstallations(t, s, b, c, binary, d)
	if _, ok, err := s.Installation(t.Context(), 1, 0); ok || err != nil {
		t.Errorf("dropped installation: got %v and %v, want none", ok, err)
	}
}

func testJournal(t *testing.T, s collector.Store) {
	var numbers []int64
	for i := range 300 {
		numbers = append(numbers, commit(t, s, &collector.Batch{Journal: fmt.Appendf(nil, "entry %d", i)}))
	}
	if numbers[0] <= 0 || !slices.IsSorted(numbers) || len(slices.Compact(slices.Clone(numbers))) != len(numbers) {
		t.Fatalf("numbers are not positive and growing: %v", numbers)
	}
	check := func(want []int64) {
		t.Helper()
		got := gather(t, s.Journal(t.Context()))
		if len(got) != len(want) {
			t.Fatalf("got %d entries, want %d", len(got), len(want))
		}
		for i, e := range got {
			if text := fmt.Sprintf("entry %d", slices.Index(numbers, want[i])); e.Number != want[i] || string(e.Data) != text {
				t.Fatalf("got entry %d %q, want %d %q", e.Number, e.Data, want[i], text)
			}
		}
	}
	check(numbers)
	commit(t, s, &collector.Batch{TrimJournal: numbers[99]})
	check(numbers[100:])
	// A batch trims before it appends, and numbers are never reused.
	last := commit(t, s, &collector.Batch{TrimJournal: numbers[299], Journal: []byte("entry 300")})
	numbers = append(numbers, last)
	if last <= numbers[299] {
		t.Fatalf("number after trimming all: got %d, want more than %d", last, numbers[299])
	}
	check(numbers[300:])
	commit(t, s, &collector.Batch{TrimJournal: last})
	if next := commit(t, s, &collector.Batch{Journal: []byte("x")}); next <= last {
		t.Errorf("number in an empty journal: got %d, want more than %d", next, last)
	}
}

func testRecords(t *testing.T, s collector.Store) {
	all := []collector.Record{
		record("bits", 1, -5, "", "a"),
		record("bits", 1, 0, "", "b"),
		record("bits", 1, 7, "", "c"),
		record("bits", 1, 7, "A", "d"),
		record("bits", 1, 7, "a", "e"),
		record("bits", 1, 7, "a/1", "f"),
		record("bits", 1, 7, "ä", "g"),
		record("bits", 1, 20_000, "x", "h"),
	}
	others := []collector.Record{
		record("bit", 1, 7, "", "1"), record("bits2", 1, 7, "", "2"), record("bits", 0, 7, "", "3"),
		record("bits", 2, 7, "", "4"), record("", 1, 7, "", "5"),
	}
	shuffled := slices.Concat(others, all)
	slices.Reverse(shuffled)
	commit(t, s, &collector.Batch{Records: shuffled})
	ctx := t.Context()
	wantRecords(t, s.Records(ctx, "bits", 1, firstDay, lastDay), all...)
	wantRecords(t, s.Records(ctx, "bits", 1, 0, 7), all[1:7]...)
	wantRecords(t, s.Records(ctx, "bits", 1, 7, 7), all[2:7]...)
	wantRecords(t, s.Records(ctx, "bits", 1, 8, 7))
	wantRecords(t, s.Records(ctx, "bits", 1, 8, 19_999))
	wantRecords(t, s.Records(ctx, "bits", 3, firstDay, lastDay))
	wantRecords(t, s.Records(ctx, "BITS", 1, firstDay, lastDay))
	wantRecords(t, s.RecordsOfDay(ctx, "bits", 1, 7, "", "\U0010ffff"), all[2:7]...)
	wantRecords(t, s.RecordsOfDay(ctx, "bits", 1, 7, "A", "a/1"), all[3:6]...)
	wantRecords(t, s.RecordsOfDay(ctx, "bits", 1, 7, "a/", "a/9"), all[5])
	wantRecords(t, s.RecordsOfDay(ctx, "bits", 1, 7, "b", "a"))
	wantRecords(t, s.RecordsOfDay(ctx, "bits", 1, 8, "", "\U0010ffff"))
	wantRecords(t, s.RecordsOfDay(ctx, "bits", 3, 7, "", "\U0010ffff"))
	for _, want := range shuffled {
		data, ok, err := s.Record(ctx, want.RecordKey)
		if err != nil || !ok || !bytes.Equal(data, want.Data) {
			t.Errorf("Record %v: got %q, %v and %v, want %q", want.RecordKey, data, ok, err, want.Data)
		}
	}

	all[3].Data = []byte("changed")
	commit(t, s, &collector.Batch{Records: []collector.Record{all[3], {RecordKey: all[4].RecordKey}}})
	wantRecords(t, s.Records(ctx, "bits", 1, 7, 7), all[2], all[3], all[5], all[6])
	if data, ok, err := s.Record(ctx, all[4].RecordKey); ok || err != nil {
		t.Errorf("deleted record: got %q, %v and %v, want none", data, ok, err)
	}

	// The caller owns the data: the store does not see changes to it.
	data, _, _ := s.Record(ctx, all[3].RecordKey)
	clear(data)
	for _, row := range gather(t, s.Records(ctx, "bits", 1, 7, 7)) {
		clear(row.Data)
	}
	wantRecords(t, s.Records(ctx, "bits", 1, 7, 7), all[2], all[3], all[5], all[6])
}

func testEmptyValue(t *testing.T, s collector.Store) {
	row := record("k", 1, 2, "n", "")
	commit(t, s, &collector.Batch{Records: []collector.Record{row}})
	if data, ok, err := s.Record(t.Context(), row.RecordKey); err != nil || !ok || data == nil || len(data) != 0 {
		t.Errorf("Record: got %#v, %v and %v, want an empty value", data, ok, err)
	}
	for _, got := range gather(t, s.Records(t.Context(), "k", 1, 2, 2)) {
		if got.Data == nil {
			t.Error("Records: got nil, want an empty value, because putting nil deletes")
		}
	}
	if number := commit(t, s, &collector.Batch{Journal: []byte{}}); number != 0 {
		t.Errorf("empty entry: got number %d, want 0", number)
	}
	_, err := s.Commit(t.Context(), &collector.Batch{
		PutIdentities:    []collector.Identity{identity(1, 1)},
		PutInstallations: []collector.Installation{{App: 1, Num: 1}},
	})
	if err == nil || errors.Is(err, collector.ErrUnavailable) {
		t.Errorf("installation without a state: got %v, want a permanent error", err)
	}
	if n := len(gather(t, s.Identities(t.Context()))); n != 0 {
		t.Errorf("after a refused batch: got %d identities, want 0", n)
	}
}

func testOrder(t *testing.T, s collector.Store) {
	// Fields are applied in order: what a batch puts and drops is gone.
	commit(t, s, &collector.Batch{
		PutIdentities:     []collector.Identity{identity(1, 1), identity(1, 2)},
		PutInstallations:  []collector.Installation{installation(1, 1, "s"), installation(1, 2, "s")},
		DropIdentities:    []collector.Key{identity(1, 1).Key},
		DropInstallations: []collector.Installation{installation(1, 1, "")},
	})
	wantInstallations(t, s, installation(1, 2, "s"))
	if got := gather(t, s.Identities(t.Context())); len(got) != 1 || got[0] != identity(1, 2) {
		t.Errorf("got %v, want only the one that was not dropped", got)
	}
}

func testLastWins(t *testing.T, s collector.Store) {
	first, second := identity(1, 2), identity(1, 2)
	second.Num = 1 // first in any order but that of the batch
	key := record("k", 0, 0, "", "").RecordKey
	commit(t, s, &collector.Batch{
		PutIdentities:    []collector.Identity{first, identity(1, 0), second},
		PutInstallations: []collector.Installation{installation(1, 2, "z"), installation(1, 0, "o"), installation(1, 2, "a")},
		Records:          []collector.Record{{RecordKey: key, Data: []byte("z")}, {RecordKey: key}, {RecordKey: key, Data: []byte("a")}},
	})
	if got, err := s.Lookup(t.Context(), []collector.Key{first.Key}); err != nil || len(got) != 1 || got[0] != second {
		t.Errorf("identity put twice: got %v and %v, want %v", got, err, second)
	}
	wantInstallations(t, s, installation(1, 0, "o"), installation(1, 2, "a"))
	if data, _, err := s.Record(t.Context(), key); err != nil || string(data) != "a" {
		t.Errorf("record put, deleted and put: got %q and %v, want a", data, err)
	}
}

func testAllOrNothing(t *testing.T, s collector.Store) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	number, err := s.Commit(ctx, &collector.Batch{
		Journal:          []byte("j"),
		PutIdentities:    []collector.Identity{identity(1, 1)},
		PutInstallations: []collector.Installation{installation(1, 1, "s")},
		Records:          []collector.Record{record("k", 0, 0, "", "d")},
	})
	if !errors.Is(err, context.Canceled) || number != 0 {
		t.Errorf("commit with an ended context: got %d and %v, want 0 and context.Canceled", number, err)
	}
	testEmpty(t, s)
}

func testOwnership(t *testing.T, s collector.Store) {
	b := &collector.Batch{
		Journal:          []byte("journal"),
		PutIdentities:    []collector.Identity{identity(1, 3), identity(1, 1)},
		PutInstallations: []collector.Installation{installation(1, 3, "three"), installation(1, 1, "one")},
		Records:          []collector.Record{record("k", 0, 0, "", "data")},
	}
	commit(t, s, b)
	if b.PutIdentities[0] != identity(1, 3) || b.PutInstallations[0].Num != 3 {
		t.Error("Commit changed the batch")
	}
	clear(b.Journal)
	clear(b.PutInstallations[0].State)
	clear(b.Records[0].Data)
	wantInstallations(t, s, installation(1, 1, "one"), installation(1, 3, "three"))
	wantRecords(t, s.Records(t.Context(), "k", 0, 0, 0), record("k", 0, 0, "", "data"))
	if got := gather(t, s.Journal(t.Context())); len(got) != 1 || string(got[0].Data) != "journal" {
		t.Errorf("got %d journal entries, want the one as it was written", len(got))
	}
}

func testLarge(t *testing.T, s collector.Store) {
	for _, size := range []int{4000, 8 << 10, 8<<10 + 1, 100_000, 5 << 20} {
		data := bytes.Repeat([]byte("0123456789abcde\n"), size/16+1)[:size]
		row := collector.Record{RecordKey: collector.RecordKey{Kind: "large", Name: fmt.Sprint(size)}, Data: data}
		state := collector.Installation{App: 1, Num: 1, State: data}
		number := commit(t, s, &collector.Batch{Journal: data, Records: []collector.Record{row},
			PutInstallations: []collector.Installation{state}})
		if got, ok, err := s.Record(t.Context(), row.RecordKey); err != nil || !ok || !bytes.Equal(got, data) {
			t.Errorf("record of %d bytes: got %d bytes, %v and %v", size, len(got), ok, err)
		}
		if got, ok, err := s.Installation(t.Context(), 1, 1); err != nil || !ok || !bytes.Equal(got.State, data) {
			t.Errorf("installation of %d bytes: got %d bytes, %v and %v", size, len(got.State), ok, err)
		}
		if got := gather(t, s.Journal(t.Context())); len(got) != 1 || !bytes.Equal(got[0].Data, data) {
			t.Errorf("entry of %d bytes: it has changed", size)
		}
		commit(t, s, &collector.Batch{TrimJournal: number})
	}
}

func testMany(t *testing.T, s collector.Store) {
	const n = 7001 // more than a store reads at once
	b := &collector.Batch{}
	for i := range n {
		b.PutIdentities = append(b.PutIdentities, identity(1, i))
		b.PutInstallations = append(b.PutInstallations, installation(1, i, fmt.Sprint(i)))
		b.Records = append(b.Records, record("many", 1, collector.Day(i/10), fmt.Sprintf("%d", i%10), fmt.Sprint(i)))
	}
	inADay := &collector.Batch{}
	for i := range n {
		inADay.Records = append(inADay.Records, record("of a day", 1, 5, fmt.Sprintf("%04d", i), fmt.Sprint(i)))
	}
	commit(t, s, b)
	commit(t, s, inADay)
	if got := sortedIdentities(gather(t, s.Identities(t.Context()))); !slices.Equal(got, sortedIdentities(b.PutIdentities)) {
		t.Errorf("got %d identities, want %d, or they differ", len(got), n)
	}
	wantInstallations(t, s, b.PutInstallations...)
	wantRecords(t, s.Records(t.Context(), "many", 1, 0, n), b.Records...)
	wantRecords(t, s.Records(t.Context(), "many", 1, 100, 199), b.Records[1000:2000]...)
	wantRecords(t, s.RecordsOfDay(t.Context(), "of a day", 1, 5, "0001", "6998"), inADay.Records[1:n-2]...)
	if err := s.Check(t.Context()); err != nil {
		t.Errorf("Check: got %v, want nil", err)
	}
}

func testStopReading(t *testing.T, s collector.Store) {
	b := &collector.Batch{}
	for i := range 10 {
		b.PutIdentities = append(b.PutIdentities, identity(1, i))
		b.PutInstallations = append(b.PutInstallations, installation(1, i, "s"))
		b.Records = append(b.Records, record("k", 0, collector.Day(i), "", "d"))
	}
	commit(t, s, b)
	for range 20 { // more than a store has connections
		for range s.Identities(t.Context()) {
			break
		}
		for range s.Installations(t.Context()) {
			break
		}
		for range s.Journal(t.Context()) {
			break
		}
		for range s.Records(t.Context(), "k", 0, firstDay, lastDay) {
			break
		}
	}
	commit(t, s, &collector.Batch{Journal: []byte("j"), Scrub: true})
}

func testCommitWhileReading(t *testing.T, s collector.Store) {
	b := &collector.Batch{}
	for i := range 5000 {
		b.PutInstallations = append(b.PutInstallations, installation(1, i, "old"))
	}
	commit(t, s, b)
	seen := -1
	for row, err := range s.Installations(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if int(row.Num) != seen+1 {
			t.Fatalf("got installation %d after %d", row.Num, seen)
		}
		seen++
		if seen%500 == 0 {
			commit(t, s, &collector.Batch{Journal: []byte("j"), PutInstallations: []collector.Installation{
				installation(1, seen, "new"), installation(1, 4999, "new")}, Scrub: seen%1000 == 0})
		}
		if text := string(row.State); text != "old" && text != "new" {
			t.Fatalf("got state %q, want old or new", text)
		}
	}
	if seen != 4999 {
		t.Errorf("got installations up to %d, want 4999", seen)
	}
}

func testConcurrent(t *testing.T, s collector.Store) {
	done := make(chan struct{})
	var wg sync.WaitGroup
	for range 6 {
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				// Whoever sees an identity sees its installation afterwards.
				ids, err := s.Lookup(t.Context(), []collector.Key{identity(1, 1).Key, identity(1, 40).Key})
				if err != nil {
					t.Errorf("Lookup: %v", err)
					return
				}
				for _, id := range ids {
					if _, ok, err := s.Installation(t.Context(), id.App, id.Num); err != nil || !ok {
						t.Errorf("installation of identity: got %v and %v, want one", ok, err)
						return
					}
				}
				for _, err := range s.Records(t.Context(), "k", 1, firstDay, lastDay) {
					if err != nil {
						t.Errorf("Records: %v", err)
						return
					}
				}
				if _, err := s.Size(t.Context()); err != nil {
					t.Errorf("Size: %v", err)
					return
				}
			}
		})
	}
	for i := range 60 {
		commit(t, s, &collector.Batch{
			Journal:          []byte("j"),
			PutIdentities:    []collector.Identity{identity(1, i)},
			PutInstallations: []collector.Installation{installation(1, i, "s")},
			Records:          []collector.Record{record("k", 1, collector.Day(i), "", "d")},
		})
	}
	close(done)
	wg.Wait()
}

func testScrub(t *testing.T, s collector.Store) {
	commit(t, s, &collector.Batch{
		Journal:          []byte("j"),
		PutIdentities:    []collector.Identity{identity(1, 1), identity(1, 2)},
		PutInstallations: []collector.Installation{installation(1, 1, "s"), installation(1, 2, "s")},
	})
	number := commit(t, s, &collector.Batch{
		Journal:           []byte("k"),
		DropIdentities:    []collector.Key{identity(1, 1).Key},
		DropInstallations: []collector.Installation{installation(1, 1, "")},
		Scrub:             true,
	})
	if number == 0 {
		t.Error("journal number of a scrubbing batch: got 0")
	}
	commit(t, s, &collector.Batch{Scrub: true})
	wantInstallations(t, s, installation(1, 2, "s"))
	if err := s.Check(t.Context()); err != nil {
		t.Errorf("Check: got %v, want nil", err)
	}
}

func testContext(t *testing.T, s collector.Store) {
	commit(t, s, &collector.Batch{
		Journal: []byte("j"), PutIdentities: []collector.Identity{identity(1, 1)},
		PutInstallations: []collector.Installation{installation(1, 1, "s")},
		Records:          []collector.Record{record("k", 0, 0, "", "d")},
	})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	want := func(method string, err error) {
		t.Helper()
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s with an ended context: got %v, want context.Canceled", method, err)
		}
	}
	_, err := s.Lookup(ctx, []collector.Key{identity(1, 1).Key})
	want("Lookup", err)
	_, _, err = s.Installation(ctx, 1, 1)
	want("Installation", err)
	_, _, err = s.Record(ctx, collector.RecordKey{Kind: "k"})
	want("Record", err)
	want("Identities", failure(s.Identities(ctx)))
	want("Installations", failure(s.Installations(ctx)))
	want("Journal", failure(s.Journal(ctx)))
	want("Records", failure(s.Records(ctx, "k", 0, 0, 0)))
	want("RecordsOfDay", failure(s.RecordsOfDay(ctx, "k", 0, 0, "", "x")))
	want("Check", s.Check(ctx))
	file := filepath.Join(t.TempDir(), "backup")
	want("Backup", s.Backup(ctx, file))
	if entries, err := os.ReadDir(filepath.Dir(file)); err != nil || len(entries) != 0 {
		t.Errorf("after an interrupted backup: got %v and %v, want an empty directory", entries, err)
	}
}

// failure returns the error that the rows end with.
func failure[T any](rows iter.Seq2[T, error]) (failed error) {
	for _, err := range rows {
		failed = err
	}
	return failed
}

func testBackup(t *testing.T, s collector.Store) {
	commit(t, s, &collector.Batch{Records: []collector.Record{record("k", 0, 0, "", "d")}})
	dir := t.TempDir()
	file := filepath.Join(dir, "backup")
	if err := s.Backup(t.Context(), file); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(file)
	if err != nil || info.Size() == 0 || info.Mode() != 0o600 {
		t.Errorf("got %v and %v, want a file with mode 0600", info, err)
	}
	before, _ := os.ReadFile(file)
	if err := s.Backup(t.Context(), file); !errors.Is(err, fs.ErrExist) {
		t.Errorf("existing file: got %v, want fs.ErrExist", err)
	}
	if after, _ := os.ReadFile(file); !bytes.Equal(before, after) {
		t.Error("the existing file has changed")
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("got %v and %v, want one file", entries, err)
	}
	if err := s.Backup(t.Context(), filepath.Join(dir, "missing", "backup")); err == nil {
		t.Error("missing directory: got nil, want an error")
	}
}

func testCheck(t *testing.T, s collector.Store) {
	commit(t, s, &collector.Batch{
		PutIdentities:    []collector.Identity{identity(1, 1)},
		PutInstallations: []collector.Installation{installation(1, 1, "s")},
	})
	if err := s.Check(t.Context()); err != nil {
		t.Errorf("got %v, want nil", err)
	}
	bad := func(what string, b collector.Batch) {
		t.Helper()
		commit(t, s, &b)
		if err := s.Check(t.Context()); err == nil || errors.Is(err, collector.ErrUnavailable) {
			t.Errorf("%s: got %v, want a permanent error", what, err)
		}
	}
	bad("installation without identity", collector.Batch{DropIdentities: []collector.Key{identity(1, 1).Key}})
	bad("identity without installation", collector.Batch{
		PutIdentities:     []collector.Identity{identity(1, 1)},
		DropInstallations: []collector.Installation{installation(1, 1, "")},
	})
	second := identity(1, 2)
	second.Num = 1
	bad("two identities of one installation", collector.Batch{
		PutIdentities:    []collector.Identity{second},
		PutInstallations: []collector.Installation{installation(1, 1, "s")},
	})
	commit(t, s, &collector.Batch{DropIdentities: []collector.Key{second.Key}})
	if err := s.Check(t.Context()); err != nil {
		t.Errorf("after the repair: got %v, want nil", err)
	}
}

func testSize(t *testing.T, s collector.Store) {
	before, err := s.Size(t.Context())
	if err != nil || before < 0 {
		t.Fatalf("got %d and %v", before, err)
	}
	data := make([]byte, 1<<20)
	rand.Read(data) // a store may compress
	commit(t, s, &collector.Batch{Records: []collector.Record{record("k", 0, 0, "", string(data))}})
	after, err := s.Size(t.Context())
	if err != nil || after < 1<<20 { // it may grow by less, because a log can vanish meanwhile
		t.Errorf("after a record of 1 MiB: got %d and %v, want at least %d", after, err, 1<<20)
	}
}
