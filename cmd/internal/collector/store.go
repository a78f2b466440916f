package collector

import (
	"context"
	"errors"
	"fmt"
	"iter"
)

// A Key identifies an installation: the first 16 bytes of an HMAC-SHA-256,
// under the collector's secret, of the app and the installation ID. Keys of
// different apps differ, and so do those of an app under different numbers.
type Key [16]byte

// A Num is the number of an installation within its app, in order of first
// sight, from 0. It is never reused.
type Num uint32

// An AppNum is the number of an app within the collector, from 1. It is never
// reused. An import gives an app another one.
type AppNum uint16

// An Identity maps a key to an installation.
type Identity struct {
	Key Key
	App AppNum
	Num Num
}

// An Installation is the current row of one installation.
type Installation struct {
	App AppNum
	Num Num
	// State is never empty. Its form is the engine's; a store does not parse it.
	State []byte
}

// A RecordKey names one record. Records of a kind are ordered by App, Day and
// Name.
type RecordKey struct {
	// Kind is a short constant such as "total".
	Kind string
	// App is 0 for records of the whole collector.
	App AppNum
	// Day is 0 for records that belong to no day.
	Day Day
	// Name distinguishes records of the same kind, app and day. It may be empty.
	Name string
}

// A Record is a value under a key: totals, bits, apps, tokens, faults and
// settings are all records.
type Record struct {
	RecordKey
	// Data is never parsed by a store. In a [Batch], nil deletes the record.
	Data []byte
}

// A Batch is one transaction: all of it is written, or nothing. Its fields are
// applied in order. Putting a row replaces the one with the same key; deleting
// a row that does not exist is no error.
type Batch struct {
	// TrimJournal, if positive, removes the journal entries up to and including
	// that number.
	TrimJournal int64
	// Journal, if not empty, is appended to the journal as one entry.
	Journal []byte
	// PutIdentities and PutInstallations add or replace rows.
	PutIdentities    []Identity
	PutInstallations []Installation
	// DropIdentities and DropInstallations delete rows; the State of the latter
	// is ignored.
	DropIdentities    []Key
	DropInstallations []Installation
	// Records are put, or deleted where Data is nil.
	Records []Record
	// Scrub makes sure that nothing the batch removed or replaced can be found
	// afterwards, as far as the store's [Erasure] goes. It takes longer.
	Scrub bool
}

// Validate returns an error if the batch is not one that a store takes.
func (b *Batch) Validate() error {
	for _, row := range b.PutInstallations {
		if len(row.State) == 0 {
			return fmt.Errorf("installation %d of app %d has an empty state", row.Num, row.App)
		}
	}
	return nil
}

// A JournalEntry is one entry of the journal. Numbers are positive and grow
// from entry to entry.
type JournalEntry struct {
	Number int64
	Data   []byte
}

// A Store keeps what the engine must not lose. Only one goroutine at a time
// calls Commit; all other methods are safe for concurrent use, also during a
// Commit. Errors that may go away by themselves (busy, full, unreachable) are
// ErrUnavailable. An error of Commit means that nothing was written, and that
// nothing will be, unless it is ErrLost.
//
// Package storetest holds a store to this.
type Store interface {
	// Commit writes the batch in one transaction. When it returns nil, the
	// batch is durable: it survives a power cut. The result is the number of
	// the journal entry that the batch added, or 0.
	Commit(ctx context.Context, b *Batch) (journal int64, err error)
	// Lookup returns the identities of those keys that exist, in any order.
	Lookup(ctx context.Context, keys []Key) ([]Identity, error)
	// Installation returns the current row, and whether it exists.
	Installation(ctx context.Context, app AppNum, num Num) (Installation, bool, error)
	// Identities and Installations yield all rows; Installations in the order
	// of App and Num. Rows written meanwhile may or may not appear. Yielded
	// data is valid until the next row.
	Identities(ctx context.Context) iter.Seq2[Identity, error]
	Installations(ctx context.Context) iter.Seq2[Installation, error]
	// Journal yields all entries in the order of their numbers.
	Journal(ctx context.Context) iter.Seq2[JournalEntry, error]
	// Record returns one record, and whether it exists.
	Record(ctx context.Context, key RecordKey) (data []byte, ok bool, err error)
	// Records yields the records of a kind and app with from <= Day <= to, in
	// order. The caller owns the yielded data.
	Records(ctx context.Context, kind string, app AppNum, from, to Day) iter.Seq2[Record, error]
	// RecordsOfDay yields the records of a kind, app, and day with first <= Name <=
	// last, as Records does, without reading others.
	RecordsOfDay(ctx context.Context, kind string, app AppNum, day Day, first, last string) iter.Seq2[Record, error]
	// Backup writes a consistent copy of the store to a new file, while commits
	// continue. It fails if the file exists.
	Backup(ctx context.Context, file string) error
	// Check verifies that the store is intact, which may take long.
	Check(ctx context.Context) error
	// Size returns the bytes that the store occupies on disk.
	Size(ctx context.Context) (int64, error)
	// Erases returns how far a deletion reaches with Scrub.
	Erases() Erasure
	// Close ends the store. No method may be called afterwards.
	Close() error
}

// Erasure is how far a deletion reaches.
type Erasure string

// The values of [Erasure].
const (
	// ErasedFromFiles means that no file of the store holds what was deleted.
	ErasedFromFiles Erasure = "files"
	// ErasedFromAnswers means that no answer of the store and no new backup holds
	// it. The files of its server may, until they are scrubbed, and so may the
	// server's logs, standbys, archives, and snapshots, until they expire.
	ErasedFromAnswers Erasure = "answers"
)

// ErrLost means that a Commit may have been written or not, or that another
// process writes to the store now. All further commits fail. What the caller has
// in memory may differ from the store, so it must open it again.
var ErrLost = errors.New("connection to the store is lost")

// ErrUnavailable means that the store cannot read or write now but may be able
// to later: its disk is full, it is locked, or it cannot be reached.
var ErrUnavailable = errors.New("store is not available")
