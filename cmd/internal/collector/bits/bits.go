// Package bits has the sets of numbers that the collector counts with: compressed bitmaps in chunks of 65,536 numbers, so
// that what is written after a change is small however large the set is.
package bits

import (
	"encoding/binary"
	"fmt"
	"iter"

	"github.com/RoaringBitmap/roaring/v2"
)

// ChunkBits is the binary logarithm of the numbers in a chunk.
const ChunkBits = 16

// MaxChunkBytes bounds a chunk's encoding: a bitmap of all its numbers and a header.
const MaxChunkBytes = 1<<ChunkBits/8 + 64

// A Set is a set of numbers. The zero value is empty. It is not safe for concurrent use, but for reading.
type Set struct {
	chunks []*roaring.Bitmap // by number >> ChunkBits; nil is empty
	dirty  map[uint32]struct{}
}

func split(n uint32) (chunk uint32, low uint32) { return n >> ChunkBits, n & (1<<ChunkBits - 1) }

func (s *Set) chunk(i uint32) *roaring.Bitmap {
	if s == nil || i >= uint32(len(s.chunks)) {
		return nil
	}
	return s.chunks[i]
}

func (s *Set) grow(i uint32) *roaring.Bitmap {
	for uint32(len(s.chunks)) <= i {
		s.chunks = append(s.chunks, nil)
	}
	if s.chunks[i] == nil {
		s.chunks[i] = roaring.New()
	}
	return s.chunks[i]
}

func (s *Set) touch(i uint32) {
	if s.dirty == nil {
		s.dirty = make(map[uint32]struct{})
	}
	s.dirty[i] = struct{}{}
}

// Add adds n, and tells whether it was not there.
func (s *Set) Add(n uint32) bool {
	i, low := split(n)
	if !s.grow(i).CheckedAdd(low) {
		return false
	}
	s.touch(i)
	return true
}

// AddRange adds the numbers from lo up to and without hi.
func (s *Set) AddRange(lo, hi uint32) {
	for lo < hi {
		i, low := split(lo)
		end := min(uint64(i+1)<<ChunkBits, uint64(hi))
		s.grow(i).AddRange(uint64(low), uint64(low)+end-uint64(lo))
		s.touch(i)
		if end > 1<<32-1 {
			return
		}
		lo = uint32(end)
	}
}

// Remove takes n out, and tells whether it was there.
func (s *Set) Remove(n uint32) bool {
	i, low := split(n)
	c := s.chunk(i)
	if c == nil || !c.CheckedRemove(low) {
		return false
	}
	s.touch(i)
	return true
}

// Has tells whether n is in the set. A nil set is empty.
func (s *Set) Has(n uint32) bool {
	i, low := split(n)
	c := s.chunk(i)
	return c != nil && c.Contains(low)
}

// Count gives how many numbers there are. A nil set has none, here and in what follows.
func (s *Set) Count() uint64 {
	if s == nil {
		return 0
	}
	var n uint64
	for _, c := range s.chunks {
		if c != nil {
			n += c.GetCardinality()
		}
	}
	return n
}

// CountRange gives how many numbers are at least lo and less than hi.
func (s *Set) CountRange(lo, hi uint32) uint64 {
	if s == nil || lo >= hi {
		return 0
	}
	var n uint64
	first, lowFirst := split(lo)
	last, lowLast := split(hi - 1)
	for i := first; i <= last && i < uint32(len(s.chunks)); i++ {
		c := s.chunks[i]
		if c == nil {
			continue
		}
		switch {
		case i == first && i == last:
			n += c.Rank(lowLast)
			if lowFirst > 0 {
				n -= c.Rank(lowFirst - 1)
			}
		case i == first:
			n += c.GetCardinality()
			if lowFirst > 0 {
				n -= c.Rank(lowFirst - 1)
			}
		case i == last:
			n += c.Rank(lowLast)
		default:
			n += c.GetCardinality()
		}
	}
	return n
}

// All gives the numbers in their order.
func (s *Set) All() iter.Seq[uint32] {
	return func(yield func(uint32) bool) {
		if s == nil {
			return
		}
		for i, c := range s.chunks {
			if c == nil {
				continue
			}
			for it := c.Iterator(); it.HasNext(); {
				if !yield(uint32(i)<<ChunkBits | it.Next()) {
					return
				}
			}
		}
	}
}

// Clone gives a copy, of which no chunk is dirty.
func (s *Set) Clone() *Set {
	c := &Set{}
	c.Or(s)
	c.dirty = nil
	return c
}

// Or adds all of other.
func (s *Set) Or(other *Set) {
	if other == nil {
		return
	}
	for i, o := range other.chunks {
		if o == nil || o.IsEmpty() {
			continue
		}
		s.grow(uint32(i)).Or(o)
		s.touch(uint32(i))
	}
}

// AndNot takes all of other out.
func (s *Set) AndNot(other *Set) {
	for i, c := range s.chunks {
		if o := other.chunk(uint32(i)); c != nil && o != nil && c.Intersects(o) {
			c.AndNot(o)
			s.touch(uint32(i))
		}
	}
}

// Union gives a new set with all numbers of the sets, of which no chunk is dirty.
func Union(sets ...*Set) *Set {
	u := &Set{}
	for _, s := range sets {
		u.Or(s)
	}
	u.dirty = nil
	return u
}

// Intersection gives a new set with the numbers that are in both.
func Intersection(a, b *Set) *Set {
	s := &Set{}
	if a == nil {
		return s
	}
	for i, c := range a.chunks {
		o := b.chunk(uint32(i))
		if c == nil || o == nil {
			s.chunks = append(s.chunks, nil)
			continue
		}
		s.chunks = append(s.chunks, roaring.And(c, o))
	}
	return s
}

// CountBoth gives how many numbers are in both.
func CountBoth(a, b *Set) uint64 {
	if a == nil {
		return 0
	}
	var n uint64
	for i, c := range a.chunks {
		if o := b.chunk(uint32(i)); c != nil && o != nil {
			n += c.AndCardinality(o)
		}
	}
	return n
}

// CountWithout gives how many numbers are in a and not in b.
func CountWithout(a, b *Set) uint64 { return a.Count() - CountBoth(a, b) }

// Dirty gives the chunks that changed since they were last clean, in any order.
func (s *Set) Dirty() []uint32 {
	if s == nil {
		return nil
	}
	chunks := make([]uint32, 0, len(s.dirty))
	for i := range s.dirty {
		chunks = append(chunks, i)
	}
	return chunks
}

// Clean says that all chunks are written.
func (s *Set) Clean() { s.dirty = nil }

// Chunks gives the chunks that are not empty.
func (s *Set) Chunks() []uint32 {
	var chunks []uint32
	if s == nil {
		return nil
	}
	for i, c := range s.chunks {
		if c != nil && !c.IsEmpty() {
			chunks = append(chunks, uint32(i))
		}
	}
	return chunks
}

// Encode gives a chunk's bytes, nil when it is empty.
func (s *Set) Encode(chunk uint32) []byte {
	c := s.chunk(chunk)
	if c == nil || c.IsEmpty() {
		return nil
	}
	c = c.Clone() // others may read it
	c.RunOptimize()
	data, err := c.ToBytes()
	if err != nil {
		panic(err) // it writes to memory
	}
	return data
}

// Decode replaces a chunk by what Encode gave. The data is not kept.
func (s *Set) Decode(chunk uint32, data []byte) error {
	c := roaring.New()
	if len(data) > 0 {
		if len(data) > MaxChunkBytes {
			return fmt.Errorf("chunk %d has %d bytes", chunk, len(data))
		}
		if _, err := c.FromUnsafeBytes(append([]byte(nil), data...)); err != nil {
			return fmt.Errorf("chunk %d: %w", chunk, err)
		}
		if err := c.Validate(); err != nil {
			return fmt.Errorf("chunk %d: %w", chunk, err)
		}
		if !c.IsEmpty() && c.Maximum()>>ChunkBits != 0 {
			return fmt.Errorf("chunk %d holds numbers of another", chunk)
		}
	}
	if c.IsEmpty() {
		c = nil
	}
	for uint32(len(s.chunks)) <= chunk {
		s.chunks = append(s.chunks, nil)
	}
	s.chunks[chunk] = c
	return nil
}

// ChunkName gives a chunk a name whose order is that of the chunks, and ChunkOf reads it.
func ChunkName(chunk uint32) string {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], chunk)
	return fmt.Sprintf("%x", b[2:])
}

// ChunkOf reads what ChunkName gave.
func ChunkOf(name string) (uint32, error) {
	var chunk uint32
	if _, err := fmt.Sscanf(name, "%04x", &chunk); err != nil || ChunkName(chunk) != name {
		return 0, fmt.Errorf("%q does not name a chunk", name)
	}
	return chunk, nil
}
