// Package transfer copies what a store holds to another store, and compares the
// two.
package transfer

import (
	"context"
	"encoding/binary"
	"fmt"
	"hash/maphash"
	"iter"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
)

// A Source yields everything that a store holds, as of one moment. The data of
// identities and installations is valid until the next row.
type Source interface {
	Identities(ctx context.Context) iter.Seq2[collector.Identity, error]
	Installations(ctx context.Context) iter.Seq2[collector.Installation, error]
	Journal(ctx context.Context) iter.Seq2[collector.JournalEntry, error]
	// AllRecords yields the records of all kinds, apps, and days, in any order.
	AllRecords(ctx context.Context) iter.Seq2[collector.Record, error]
}

// A Digest describes what a store holds. Equal stores have equal digests within a
// process, and others almost certainly do not. The numbers of journal entries do
// not count, because each store assigns its own; their order does.
type Digest struct {
	Identities, Installations, Journal, Records int64
	sums                                        [4]uint64
}

// Rows returns the number of rows.
func (d Digest) Rows() int64 { return d.Identities + d.Installations + d.Journal + d.Records }

// Empty reports whether the store holds nothing.
func (d Digest) Empty() bool { return d.Rows() == 0 }

var seed = maphash.MakeSeed()

// add adds a row of a kind. The sum does not depend on the order of the rows.
func (d *Digest) add(kind int, numbers []int64, parts ...[]byte) {
	var h maphash.Hash
	h.SetSeed(seed)
	number := func(n int64) {
		var b [8]byte
		binary.BigEndian.PutUint64(b[:], uint64(n))
		h.Write(b[:])
	}
	for _, n := range numbers {
		number(n)
	}
	for _, part := range parts {
		number(int64(len(part)))
		h.Write(part)
	}
	d.sums[kind] += h.Sum64()
}

func (d *Digest) identity(row collector.Identity) {
	d.Identities++
	d.add(0, []int64{int64(row.App), int64(row.Num)}, row.Key[:])
}

func (d *Digest) installation(row collector.Installation) {
	d.Installations++
	d.add(1, []int64{int64(row.App), int64(row.Num)}, row.State)
}

func (d *Digest) entry(row collector.JournalEntry) {
	d.Journal++
	d.add(2, []int64{d.Journal}, row.Data)
}

func (d *Digest) record(row collector.Record) {
	d.Records++
	d.add(3, []int64{int64(row.App), int64(row.Day)}, []byte(row.Kind), []byte(row.Name), row.Data)
}

// The bounds of a batch.
const (
	rowsPerBatch  = 10_000
	bytesPerBatch = 4 << 20
)

// Copy reads everything and puts it in batches. Put must not keep a batch. Progress, if not nil, is called with the number of rows of each batch.
func Copy(ctx context.Context, from Source, put func(*collector.Batch) error, progress func(rows int)) (Digest, error) {
	var d Digest
	b, rows, bytes := &collector.Batch{}, 0, 0
	flush := func() error {
		if rows == 0 {
			return nil
		}
		if err := put(b); err != nil {
			return fmt.Errorf("write: %w", err)
		}
		if progress != nil {
			progress(rows)
		}
		b, rows, bytes = &collector.Batch{}, 0, 0
		return ctx.Err()
	}
	added := func(size int) error {
		rows++
		if bytes += size; rows >= rowsPerBatch || bytes >= bytesPerBatch {
			return flush()
		}
		return nil
	}
	// Records come first: an interrupted copy that lacks installations is noticed
	// by a check, and one that lacks records is not.
	for row, err := range from.AllRecords(ctx) {
		if err != nil {
			return d, err
		}
		d.record(row)
		if row.Data == nil {
			row.Data = []byte{}
		}
		b.Records = append(b.Records, row)
		if err := added(len(row.Data)); err != nil {
			return d, err
		}
	}
	for row, err := range from.Identities(ctx) {
		if err != nil {
			return d, err
		}
		d.identity(row)
		b.PutIdentities = append(b.PutIdentities, row)
		if err := added(len(row.Key)); err != nil {
			return d, err
		}
	}
	for row, err := range from.Installations(ctx) {
		if err != nil {
			return d, err
		}
		d.installation(row)
		row.State = append([]byte{}, row.State...)
		b.PutInstallations = append(b.PutInstallations, row)
		if err := added(len(row.State)); err != nil {
			return d, err
		}
	}
	if err := flush(); err != nil {
		return d, err
	}
	for row, err := range from.Journal(ctx) {
		if err != nil {
			return d, err
		}
		d.entry(row)
		b.Journal, rows = append([]byte{}, row.Data...), 1
		if err := flush(); err != nil { // a batch has one entry
			return d, err
		}
	}
	return d, nil
}

// Into returns a function that commits batches to a store.
func Into(ctx context.Context, to collector.Store) func(*collector.Batch) error {
	return func(b *collector.Batch) error {
		_, err := to.Commit(ctx, b)
		return err
	}
}

// Read returns the digest of everything.
func Read(ctx context.Context, from Source) (Digest, error) {
	return Copy(ctx, from, func(*collector.Batch) error { return nil }, nil)
}
