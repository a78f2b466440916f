package storetest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"os"
	"slices"
	"sync"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
)

// A Memory is a [collector.Store] in memory that can be told to fail and to hang.
// [NewMemory] makes one. It is safe for concurrent use.
type Memory struct {
	mu            sync.Mutex
	identities    map[collector.Key]collector.Identity
	installations map[place][]byte
	records       map[collector.RecordKey][]byte
	journal       []collector.JournalEntry
	last          int64         // number of the latest journal entry ever
	commits       int           // successful ones
	fail          error         // the error of commits
	failAfter     int           // commits that still succeed before they fail
	failReads     error         // the error of everything else
	loses, lost   bool          // the next commit does, or one has: see Lose
	loseWritten   bool          // what the next commit does first
	held          chan struct{} // if not nil, commits wait until it is closed
	closed        bool
	onCommit      func(*collector.Batch) // see OnCommit
}

var _ collector.Store = (*Memory)(nil)

// A place identifies an installation. Installations are sorted by place.
type place struct {
	app collector.AppNum
	num collector.Num
}

func (p place) compare(other place) int {
	return cmp.Or(cmp.Compare(p.app, other.app), cmp.Compare(p.num, other.num))
}

// NewMemory returns an empty store.
func NewMemory() *Memory {
	return &Memory{
		identities:    make(map[collector.Key]collector.Identity),
		installations: make(map[place][]byte),
		records:       make(map[collector.RecordKey][]byte),
	}
}

// Fail makes commits fail with an error, and write nothing, until it is called
// with nil.
func (m *Memory) Fail(err error) { m.FailAfter(0, err) }

// FailAfter is Fail after n more commits.
func (m *Memory) FailAfter(n int, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fail, m.failAfter = err, n
}

// Lose makes the next commit return [collector.ErrLost], after it has written the
// batch or without writing it, and so all commits after it. Clone returns the
// store that is open again.
func (m *Memory) Lose(written bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.loses, m.loseWritten = true, written
}

// FailReads makes all other methods but Close fail with an error, until it is
// called with nil.
func (m *Memory) FailReads(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.failReads = err
}

// OnCommit has a function called at the beginning of each commit, until it is
// called with nil.
func (m *Memory) OnCommit(watch func(*collector.Batch)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.onCommit = watch
}

// Hang makes commits wait until release is called. A commit whose context ends
// first writes nothing. Release may be called more than once.
func (m *Memory) Hang() (release func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	held := make(chan struct{})
	m.held = held
	return sync.OnceFunc(func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		close(held)
		if m.held == held {
			m.held = nil
		}
	})
}

// Commits returns the number of successful commits.
func (m *Memory) Commits() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.commits
}

// Clone returns a store with everything that is committed: what a process finds
// after the one that uses m was killed. It neither fails nor hangs.
func (m *Memory) Clone() *Memory {
	m.mu.Lock()
	defer m.mu.Unlock()
	return &Memory{
		// Commit replaces values and never modifies them.
		identities:    maps.Clone(m.identities),
		installations: maps.Clone(m.installations),
		records:       maps.Clone(m.records),
		journal:       slices.Clone(m.journal),
		last:          m.last,
	}
}

// Commit implements [collector.Store].
func (m *Memory) Commit(ctx context.Context, b *collector.Batch) (int64, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	m.mu.Lock()
	if watch := m.onCommit; watch != nil {
		m.mu.Unlock()
		watch(b)
		m.mu.Lock()
	}
	defer m.mu.Unlock()
	for m.held != nil {
		held := m.held
		m.mu.Unlock()
		select {
		case <-held:
		case <-ctx.Done():
		}
		m.mu.Lock()
		if err := ctx.Err(); err != nil {
			return 0, err
		}
	}
	switch {
	case m.closed:
		return 0, errClosed
	case m.lost:
		return 0, collector.ErrLost
	case m.fail != nil && m.failAfter == 0:
		return 0, m.fail
	case m.fail != nil:
		m.failAfter--
	}
	if err := b.Validate(); err != nil {
		return 0, err
	}
	if m.loses {
		if m.lost = true; !m.loseWritten {
			return 0, collector.ErrLost
		}
	}

	if b.TrimJournal > 0 {
		kept := func(e collector.JournalEntry) bool { return e.Number > b.TrimJournal }
		if i := slices.IndexFunc(m.journal, kept); i >= 0 {
			m.journal = slices.Clone(m.journal[i:])
		} else {
			m.journal = nil
		}
	}
	var number int64
	if len(b.Journal) > 0 {
		m.last++
		number = m.last
		m.journal = append(m.journal, collector.JournalEntry{Number: number, Data: slices.Clone(b.Journal)})
	}
	for _, row := range b.PutIdentities {
		m.identities[row.Key] = row
	}
	for _, row := range b.PutInstallations {
		m.installations[place{row.App, row.Num}] = slices.Clone(row.State)
	}
	for _, key := range b.DropIdentities {
		delete(m.identities, key)
	}
	for _, row := range b.DropInstallations {
		delete(m.installations, place{row.App, row.Num})
	}
	for _, row := range b.Records {
		if row.Data == nil {
			delete(m.records, row.RecordKey)
		} else {
			m.records[row.RecordKey] = append([]byte{}, row.Data...)
		}
	}
	m.commits++
	if m.lost {
		return 0, collector.ErrLost
	}
	return number, nil
}

var errClosed = errors.New("store is closed")

// lockForReading locks m, unless reads fail. Without an error, the caller must
// unlock.
func (m *Memory) lockForReading(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	err := m.failReads
	if m.closed {
		err = errClosed
	}
	if err != nil {
		m.mu.Unlock()
	}
	return err
}

// Lookup implements [collector.Store].
func (m *Memory) Lookup(ctx context.Context, keys []collector.Key) ([]collector.Identity, error) {
	if err := m.lockForReading(ctx); err != nil {
		return nil, err
	}
	defer m.mu.Unlock()
	var found []collector.Identity
	for _, key := range keys {
		if row, ok := m.identities[key]; ok {
			found = append(found, row)
		}
	}
	return found, nil
}

// Installation implements [collector.Store].
func (m *Memory) Installation(ctx context.Context, app collector.AppNum, num collector.Num) (collector.Installation, bool, error) {
	if err := m.lockForReading(ctx); err != nil {
		return collector.Installation{}, false, err
	}
	defer m.mu.Unlock()
	state, ok := m.installations[place{app, num}]
	if !ok {
		return collector.Installation{}, false, nil
	}
	return collector.Installation{App: app, Num: num, State: slices.Clone(state)}, true, nil
}

// all calls list with the lock held, and yields its rows without it.
func all[T any](ctx context.Context, m *Memory, list func() []T) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var zero T
		if err := m.lockForReading(ctx); err != nil {
			yield(zero, err)
			return
		}
		rows := list()
		m.mu.Unlock()
		for _, row := range rows {
			if err := ctx.Err(); err != nil {
				yield(zero, err)
				return
			}
			if !yield(row, nil) {
				return
			}
		}
	}
}

// Identities implements [collector.Store].
func (m *Memory) Identities(ctx context.Context) iter.Seq2[collector.Identity, error] {
	return all(ctx, m, func() []collector.Identity { return slices.Collect(maps.Values(m.identities)) })
}

// Installations implements [collector.Store].
func (m *Memory) Installations(ctx context.Context) iter.Seq2[collector.Installation, error] {
	return all(ctx, m, func() []collector.Installation {
		rows := make([]collector.Installation, 0, len(m.installations))
		for _, at := range slices.SortedFunc(maps.Keys(m.installations), place.compare) {
			rows = append(rows, collector.Installation{App: at.app, Num: at.num, State: slices.Clone(m.installations[at])})
		}
		return rows
	})
}

// Journal implements [collector.Store].
func (m *Memory) Journal(ctx context.Context) iter.Seq2[collector.JournalEntry, error] {
	return all(ctx, m, func() []collector.JournalEntry {
		entries := make([]collector.JournalEntry, 0, len(m.journal))
		for _, e := range m.journal {
			entries = append(entries, collector.JournalEntry{Number: e.Number, Data: slices.Clone(e.Data)})
		}
		return entries
	})
}

// Record implements [collector.Store].
func (m *Memory) Record(ctx context.Context, key collector.RecordKey) ([]byte, bool, error) {
	if err := m.lockForReading(ctx); err != nil {
		return nil, false, err
	}
	defer m.mu.Unlock()
	data, ok := m.records[key]
	if !ok {
		return nil, false, nil
	}
	return append([]byte{}, data...), true, nil
}

// Records implements [collector.Store].
func (m *Memory) Records(ctx context.Context, kind string, app collector.AppNum, from, to collector.Day) iter.Seq2[collector.Record, error] {
	return m.recordsThat(ctx, kind, app, func(key collector.RecordKey) bool { return from <= key.Day && key.Day <= to })
}

// RecordsOfDay implements [collector.Store].
func (m *Memory) RecordsOfDay(ctx context.Context, kind string, app collector.AppNum, day collector.Day, first, last string) iter.Seq2[collector.Record, error] {
	return m.recordsThat(ctx, kind, app, func(key collector.RecordKey) bool { return key.Day == day && first <= key.Name && key.Name <= last })
}

func (m *Memory) recordsThat(ctx context.Context, kind string, app collector.AppNum, wanted func(collector.RecordKey) bool) iter.Seq2[collector.Record, error] {
	return all(ctx, m, func() []collector.Record {
		var rows []collector.Record
		for key, data := range m.records {
			if key.Kind == kind && key.App == app && wanted(key) {
				rows = append(rows, collector.Record{RecordKey: key, Data: append([]byte{}, data...)})
			}
		}
		slices.SortFunc(rows, func(a, b collector.Record) int {
			return cmp.Or(cmp.Compare(a.Day, b.Day), cmp.Compare(a.Name, b.Name))
		})
		return rows
	})
}

// Backup implements [collector.Store]. Only people can read what it writes.
func (m *Memory) Backup(ctx context.Context, file string) error {
	if err := m.lockForReading(ctx); err != nil {
		return err
	}
	defer m.mu.Unlock()
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(f, "%v\n%v\n%v\n%v\n", m.identities, m.installations, m.records, m.journal)
	return errors.Join(err, f.Close())
}

// Check implements [collector.Store]: each identity has one installation, and
// each installation has one identity.
func (m *Memory) Check(ctx context.Context) error {
	if err := m.lockForReading(ctx); err != nil {
		return err
	}
	defer m.mu.Unlock()
	named := make(map[place]bool, len(m.identities))
	for _, row := range m.identities {
		at := place{row.App, row.Num}
		if named[at] {
			return fmt.Errorf("installation %d of app %d has two identities", at.num, at.app)
		}
		if named[at] = true; m.installations[at] == nil {
			return fmt.Errorf("installation %d of app %d has an identity and no row", at.num, at.app)
		}
	}
	for at := range m.installations {
		if !named[at] {
			return fmt.Errorf("installation %d of app %d has a row and no identity", at.num, at.app)
		}
	}
	return nil
}

// Size implements [collector.Store]: the bytes of keys and values.
func (m *Memory) Size(ctx context.Context) (int64, error) {
	if err := m.lockForReading(ctx); err != nil {
		return 0, err
	}
	defer m.mu.Unlock()
	size := len(m.identities) * 22
	for _, state := range m.installations {
		size += 6 + len(state)
	}
	for key, data := range m.records {
		size += len(key.Kind) + len(key.Name) + 6 + len(data)
	}
	for _, e := range m.journal {
		size += 8 + len(e.Data)
	}
	return int64(size), nil
}

// Erases implements [collector.Store].
func (m *Memory) Erases() collector.Erasure { return collector.ErasedFromFiles }

// Close implements [collector.Store].
func (m *Memory) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	return nil
}
