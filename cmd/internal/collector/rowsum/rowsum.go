// Package rowsum has the checksums of a store's rows. A disk that changes a byte
// would otherwise change a figure.
//
// Every row has a CRC-32C over its key and its value. Rows of identities have it
// in a column of its own; elsewhere it is the end of the value ("sealed"), which
// costs no column.
package rowsum

import (
	"encoding/binary"
	"hash/crc32"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
)

// Len is by how many bytes a sealed value is longer.
const Len = 4

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// A Sum computes the checksum of a row from its parts. The zero value is that of
// no parts.
type Sum struct{ crc uint32 }

// Bytes adds a part.
func (s *Sum) Bytes(b []byte) {
	s.Number(int64(len(b)))
	s.crc = crc32.Update(s.crc, castagnoli, b)
}

// Number adds a part.
func (s *Sum) Number(n int64) {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], uint64(n))
	s.crc = crc32.Update(s.crc, castagnoli, b[:])
}

// Text adds a part. It counts as its bytes do.
func (s *Sum) Text(text string) { s.Bytes([]byte(text)) }

// Value returns the checksum of the parts so far.
func (s Sum) Value() uint32 { return s.crc }

// Place returns the number under which stores keep an installation. The places
// of an app are adjacent, in the order of their numbers.
func Place(app collector.AppNum, num collector.Num) int64 { return int64(app)<<32 | int64(num) }

// AtPlace returns the app and the number of a place.
func AtPlace(place int64) (collector.AppNum, collector.Num) {
	return collector.AppNum(place >> 32), collector.Num(place)
}

// Identity returns the checksum of an identity.
func Identity(row collector.Identity) (s Sum) {
	s.Bytes(row.Key[:])
	s.Number(int64(row.App))
	s.Number(int64(row.Num))
	return s
}

// Installation returns the checksum of an installation's state.
func Installation(place int64, state []byte) (s Sum) {
	s.Number(place)
	s.Bytes(state)
	return s
}

// Record returns the checksum of a record.
func Record(key collector.RecordKey, data []byte) (s Sum) {
	s.Text(key.Kind)
	s.Number(int64(key.App))
	s.Number(int64(key.Day))
	s.Text(key.Name)
	s.Bytes(data)
	return s
}

// Journal returns the checksum of an entry of the journal.
func Journal(data []byte) (s Sum) {
	s.Bytes(data)
	return s
}

// Seal returns a value with its checksum at the end.
func Seal(value []byte, sum Sum) []byte {
	sealed := make([]byte, 0, len(value)+Len)
	return binary.BigEndian.AppendUint32(append(sealed, value...), sum.crc)
}

// Unseal returns the value of a sealed one, and whether it has the checksum that
// sum computes.
func Unseal(sealed []byte, sum func(value []byte) Sum) (value []byte, ok bool) {
	n := len(sealed) - Len
	if n < 0 {
		return nil, false
	}
	value = sealed[:n:n]
	return value, sum(value).crc == binary.BigEndian.Uint32(sealed[n:])
}
