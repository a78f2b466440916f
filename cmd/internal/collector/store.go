package collector

import (
	"context"
	"errors"
	"iter"
)

// A Key is what the collector knows an installation by: the first 16 bytes of an HMAC-SHA-256 under the collector's
// secret of the app and the installation ID. Keys of different apps differ.
type Key [16]byte

// A Num stands for an installation within its app, in the order of first sight from 0. It is never given twice.
type Num uint32

// An AppNum stands for an app within the collector, from 1. It is never given twice.
type AppNum uint16

// An Identity is what the index from keys to numbers holds.
type Identity struct {
	Key Key
	App AppNum
	Num Num
}

// An Installation is the current row of one installation.
type Installation struct {
	App AppNum
	Num Num
	// State is in the form that the collector chose; a store does not look into it. It is not empty.
	State []byte
}

// A RecordKey names one record. Records of a kind are ordered by App, Day and Name.
type RecordKey struct {
	// Kind is a short constant such as "total".
	Kind string
	// App is 0 for records of the whole collector.
	App AppNum
	// Day is 0 for records that belong to no day.
	Day Day
	// Name tells records of the same kind, app and day apart. It may be empty.
	Name string
}

// A Record is a value under a key: totals, bits, apps, tokens, faults and settings are all records.
type Record struct {
	RecordKey
	// Data is in the form that the collector chose. Nil in a [Batch] deletes the record.
	Data []byte
}

// A Batch is what one transaction writes: all of it or nothing. The fields are applied in their order. What is put
// replaces what is there; deleting what is not there is no error.
type Batch struct {
	// TrimJournal, if positive, removes all journal entries up to and with that number.
	TrimJournal int64
	// Journal, if not empty, is added to the journal as an entry of its own.
	Journal []byte
	// PutIdentities and PutInstallations add or replace rows.
	PutIdentities    []Identity
	PutInstallations []Installation
	// DropIdentities and DropInstallations delete rows; of the latter only App and Num count.
	DropIdentities    []Key
	DropInstallations []Installation
	// Records are put, or deleted where Data is nil.
	Records []Record
	// Scrub asks that nothing of what the batch removed or replaced can be found in the store's files afterwards. It
	// takes longer.
	Scrub bool
}

// A JournalEntry is one entry of the journal. Numbers grow from entry to entry and are positive.
type JournalEntry struct {
	Number int64
	Data   []byte
}

// A Store keeps what a [Engine] must not lose. Commit is called by one goroutine at a time; all other methods are safe
// for concurrent use, beside Commit too. Errors that pass by themselves (busy, full, unreachable) are ErrUnavailable;
// any other error of Commit also means that nothing of the batch was written.
//
// Package storetest holds a store to this.
type Store interface {
	// Commit writes the batch in one transaction. When it returns nil the batch is durable: it survives a power cut.
	// The number is that of the journal entry which the batch added, or 0.
	Commit(ctx context.Context, b *Batch) (journal int64, err error)
	// Lookup finds identities by their keys. Keys that are not there are left out; the order is any.
	Lookup(ctx context.Context, keys []Key) ([]Identity, error)
	// Installation gives the current row, and whether there is one.
	Installation(ctx context.Context, app AppNum, num Num) (Installation, bool, error)
	// Identities and Installations give all rows; Installations in the order of App and Num. Rows that are written
	// meanwhile may be given or not. Data that is yielded is valid until the next one.
	Identities(ctx context.Context) iter.Seq2[Identity, error]
	Installations(ctx context.Context) iter.Seq2[Installation, error]
	// Journal gives all entries in the order of their numbers.
	Journal(ctx context.Context) iter.Seq2[JournalEntry, error]
	// Record gives one record, and whether there is one.
	Record(ctx context.Context, key RecordKey) (data []byte, ok bool, err error)
	// Records gives the records of a kind and app with from <= Day <= to, in order. Data that is yielded is the
	// caller's.
	Records(ctx context.Context, kind string, app AppNum, from, to Day) iter.Seq2[Record, error]
	// Backup writes a consistent copy of the store to a new file; it fails when the file exists. Commits go on
	// meanwhile.
	Backup(ctx context.Context, file string) error
	// Check looks whether the store is whole, which may take long. Nil means that it found nothing.
	Check(ctx context.Context) error
	// Size gives the bytes that the store takes on disk.
	Size(ctx context.Context) (int64, error)
	// Close ends the store. No other method is called afterwards.
	Close() error
}

// ErrUnavailable says that the store cannot write or read now and may be able to later: its disk is full, it is locked,
// or it cannot be reached.
var ErrUnavailable = errors.New("store is not available")
