// Package bits has the sets of numbers that the collector counts with:
// compressed bitmaps in chunks of 65,536 numbers, so that a change rewrites
// little however large the set is.
package bits

import (
	"bytes"
	"fmt"
	"iter"
	"maps"
	"slices"

	"github.com/RoaringBitmap/roaring/v2"
)

// ChunkBits is the binary logarithm of the numbers in a chunk.
const ChunkBits = 16

// maxChunkBytes bounds an encoded chunk: a full bitmap and a header.
const maxChunkBytes = 1<<ChunkBits/8 + 64

// A Set is a set of numbers. The zero value is empty, and so is a nil *Set, for
// every method that only reads. Reading is safe for concurrent use; writing is
// not.
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

// all yields the chunks that exist.
func (s *Set) all() iter.Seq2[uint32, *roaring.Bitmap] {
	return func(yield func(uint32, *roaring.Bitmap) bool) {
		if s == nil {
			return
		}
		for i, c := range s.chunks {
			if c != nil && !yield(uint32(i), c) {
				return
			}
		}
	}
}

func (s *Set) reserve(i uint32) {
	for uint32(len(s.chunks)) <= i {
		s.chunks = append(s.chunks, nil)
	}
}

func (s *Set) writable(i uint32) *roaring.Bitmap {
	s.reserve(i)
	if s.chunks[i] == nil {
		s.chunks[i] = roaring.New()
	}
	return s.chunks[i]
}

func (s *Set) markDirty(i uint32) {
	if s.dirty == nil {
		s.dirty = make(map[uint32]struct{})
	}
	s.dirty[i] = struct{}{}
}

// Add adds n and reports whether it was missing.
func (s *Set) Add(n uint32) bool {
	i, low := split(n)
	if !s.writable(i).CheckedAdd(low) {
		return false
	}
	s.markDirty(i)
	return true
}

// AddRange adds the numbers n with lo <= n < hi.
func (s *Set) AddRange(lo, hi uint32) {
	for lo < hi {
		i, low := split(lo)
		n := min(1<<ChunkBits-low, hi-lo)
		s.writable(i).AddRange(uint64(low), uint64(low+n))
		s.markDirty(i)
		lo += n
	}
}

// Remove removes n and reports whether it was present.
func (s *Set) Remove(n uint32) bool {
	i, low := split(n)
	c := s.chunk(i)
	if c == nil || !c.CheckedRemove(low) {
		return false
	}
	s.markDirty(i)
	return true
}

// Has reports whether n is in the set.
func (s *Set) Has(n uint32) bool {
	i, low := split(n)
	c := s.chunk(i)
	return c != nil && c.Contains(low)
}

// Count returns the size of the set.
func (s *Set) Count() uint64 {
	var n uint64
	for _, c := range s.all() {
		n += c.GetCardinality()
	}
	return n
}

// CountRange returns how many numbers n are in the set with lo <= n < hi.
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
		if i == last {
			n += c.Rank(lowLast)
		} else {
			n += c.GetCardinality()
		}
		if i == first && lowFirst > 0 {
			n -= c.Rank(lowFirst - 1)
		}
	}
	return n
}

// Clone returns a copy without dirty chunks.
func (s *Set) Clone() *Set { return Union(s) }

// Or adds all numbers of other.
func (s *Set) Or(other *Set) {
	for i, o := range other.all() {
		if !o.IsEmpty() {
			s.writable(i).Or(o)
			s.markDirty(i)
		}
	}
}

// AndNot removes all numbers of other.
func (s *Set) AndNot(other *Set) {
	for i, c := range s.all() {
		if o := other.chunk(i); o != nil && c.Intersects(o) {
			c.AndNot(o)
			s.markDirty(i)
		}
	}
}

// Union returns a new set with the numbers of all sets, without dirty chunks.
func Union(sets ...*Set) *Set {
	u := &Set{}
	for _, s := range sets {
		u.Or(s)
	}
	u.dirty = nil
	return u
}

// Intersection returns a new set with the numbers in both, without dirty chunks.
func Intersection(a, b *Set) *Set {
	s := &Set{}
	for i, c := range a.all() {
		if o := b.chunk(i); o != nil {
			s.reserve(i)
			s.chunks[i] = roaring.And(c, o)
		}
	}
	return s
}

// CountBoth returns how many numbers are in both sets.
func CountBoth(a, b *Set) uint64 {
	var n uint64
	for i, c := range a.all() {
		if o := b.chunk(i); o != nil {
			n += c.AndCardinality(o)
		}
	}
	return n
}

// CountWithout returns how many numbers are in a but not in b.
func CountWithout(a, b *Set) uint64 { return a.Count() - CountBoth(a, b) }

// Dirty returns the chunks that changed since the last Clean, in any order.
func (s *Set) Dirty() []uint32 {
	if s == nil {
		return nil
	}
	return slices.Collect(maps.Keys(s.dirty))
}

// Clean declares all chunks written.
func (s *Set) Clean() { s.dirty = nil }

// Encode encodes a chunk; nil if it is empty.
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

// Decode replaces a chunk with what Encode returned. It does not keep data.
func (s *Set) Decode(chunk uint32, data []byte) error {
	c := roaring.New()
	if len(data) > 0 {
		if len(data) > maxChunkBytes {
			return fmt.Errorf("chunk %d has %d bytes", chunk, len(data))
		}
		if _, err := c.FromUnsafeBytes(bytes.Clone(data)); err != nil {
			return fmt.Errorf("chunk %d: %w", chunk, err)
		}
		if err := c.Validate(); err != nil {
			return fmt.Errorf("chunk %d: %w", chunk, err)
		}
		if !c.IsEmpty() && c.Maximum()>>ChunkBits != 0 {
			return fmt.Errorf("chunk %d has numbers of another", chunk)
		}
	}
	if c.IsEmpty() {
		c = nil
	}
	s.reserve(chunk)
	s.chunks[chunk] = c
	return nil
}

// ChunkName returns the name of a chunk. Names sort in the order of chunks.
func ChunkName(chunk uint32) string { return fmt.Sprintf("%04x", chunk) }

// ParseChunk parses a name that ChunkName returned.
func ParseChunk(name string) (uint32, error) {
	var chunk uint32
	if _, err := fmt.Sscanf(name, "%04x", &chunk); err != nil || ChunkName(chunk) != name {
		return 0, fmt.Errorf("%q does not name a chunk", name)
	}
	return chunk, nil
}
