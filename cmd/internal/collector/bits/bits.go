// Package bits has the sets of numbers that the collector counts with:
// compressed bitmaps in chunks of 65,536 numbers, so that a change rewrites
// little however large the set is.
package bits

import (
	"bytes"
	"fmt"
	"iter"
	"maps"
	"math/bits"
	"slices"
	"strconv"

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

// All yields the numbers in order. The set must not change meanwhile.
func (s *Set) All() iter.Seq[uint32] {
	return func(yield func(uint32) bool) {
		for i, c := range s.all() {
			for it := c.Iterator(); it.HasNext(); {
				if !yield(i<<ChunkBits | it.Next()) {
					return
				}
			}
		}
	}
}

// Count returns the size of the set.
func (s *Set) Count() uint64 {
	var n uint64
	for _, c := range s.all() {
		n += c.GetCardinality()
	}
	return n
}

// IsEmpty reports whether the set has no number.
func (s *Set) IsEmpty() bool {
	for _, c := range s.all() {
		if !c.IsEmpty() {
			return false
		}
	}
	return true
}

// Last returns the largest number, and whether there is one.
func (s *Set) Last() (uint32, bool) {
	if s == nil {
		return 0, false
	}
	for i, c := range slices.Backward(s.chunks) {
		if c != nil && !c.IsEmpty() {
			return uint32(i)<<ChunkBits | c.Maximum(), true
		}
	}
	return 0, false
}

// Chunks returns the chunks that have a number, in order.
func (s *Set) Chunks() []uint32 {
	var chunks []uint32
	for i, c := range s.all() {
		if !c.IsEmpty() {
			chunks = append(chunks, i)
		}
	}
	return chunks
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

// FirstBoth returns the smallest number that is in both sets, and whether there
// is one.
func FirstBoth(a, b *Set) (uint32, bool) {
	for i, c := range a.all() {
		if o := b.chunk(i); o != nil && c.Intersects(o) {
			return i<<ChunkBits | roaring.And(c, o).Minimum(), true
		}
	}
	return 0, false
}

// CountWithout returns how many numbers are in a but not in b.
func CountWithout(a, b *Set) uint64 { return a.Count() - CountBoth(a, b) }

// Words is a chunk as plain words: number n of the chunk is bit n%64 of word n/64.
// Passes over many sets are quicker with it than with compressed chunks.
type Words [1 << ChunkBits / 64]uint64

// ReadWords sets w to a chunk.
func (s *Set) ReadWords(chunk uint32, w *Words) {
	clear(w[:])
	if c := s.chunk(chunk); c != nil {
		c.WriteDenseTo(w[:])
	}
}

// Up to fewWords numbers are added to a chunk faster one by one.
const fewWords = 512

// OrWords adds a chunk to w.
func (s *Set) OrWords(chunk uint32, w *Words) {
	switch c := s.chunk(chunk); {
	case c == nil || c.IsEmpty():
	case c.GetCardinality() <= fewWords:
		c.Iterate(func(n uint32) bool {
			w[n/64] |= 1 << (n % 64)
			return true
		})
	default:
		var more Words
		c.WriteDenseTo(more[:])
		w.Or(&more)
	}
}

// CountAny returns how many numbers are in any of some sets, and in the set in
// unless that is nil.
func CountAny(in *Set, sets ...*Set) (n uint64) {
	chunks := 0
	for _, s := range sets {
		if s != nil {
			chunks = max(chunks, len(s.chunks))
		}
	}
	var words, inside Words
	for i := range uint32(chunks) {
		clear(words[:])
		for _, s := range sets {
			s.OrWords(i, &words)
		}
		if in == nil {
			n += words.Count()
			continue
		}
		in.ReadWords(i, &inside)
		n += words.CountBoth(&inside)
	}
	return n
}

// A Dense chunk counts the numbers that it shares with many sets, faster than
// words do. It aliases the words that it was made from.
type Dense struct{ chunk *roaring.Bitmap }

// Dense returns w as a chunk.
func (w *Words) Dense() Dense { return Dense{roaring.FromDense(w[:], false)} }

// Count returns how many numbers are in d.
func (d Dense) Count() uint64 { return d.chunk.GetCardinality() }

// CountBoth returns how many numbers are in d and in a chunk of s.
func (d Dense) CountBoth(s *Set, chunk uint32) uint64 {
	if c := s.chunk(chunk); c != nil {
		return d.chunk.AndCardinality(c)
	}
	return 0
}

// And removes from w what is not in other.
func (w *Words) And(other *Words) {
	for i := range w {
		w[i] &= other[i]
	}
}

// Or adds to w what is in other.
func (w *Words) Or(other *Words) {
	for i := range w {
		w[i] |= other[i]
	}
}

// Count returns how many numbers are in w.
func (w *Words) Count() (n uint64) {
	for _, word := range w {
		n += uint64(bits.OnesCount64(word))
	}
	return n
}

// CountBoth returns how many numbers are in both.
func (w *Words) CountBoth(other *Words) (n uint64) {
	for i, word := range w {
		n += uint64(bits.OnesCount64(word & other[i]))
	}
	return n
}

// CountRange returns how many numbers n of the chunk are in w with lo <= n < hi.
func (w *Words) CountRange(lo, hi uint32) (n uint64) {
	if lo >= hi {
		return 0
	}
	first, last := lo/64, (hi-1)/64
	for i := first; i <= last; i++ {
		word := w[i]
		if i == first {
			word &= ^uint64(0) << (lo % 64)
		}
		if i == last {
			word &= ^uint64(0) >> (63 - (hi-1)%64)
		}
		n += uint64(bits.OnesCount64(word))
	}
	return n
}

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

// LastChunkName is the name that no other of a chunk sorts behind.
const LastChunkName = "ffff"

// ParseChunk parses a name that ChunkName returned.
func ParseChunk(name string) (uint32, error) {
	chunk, err := strconv.ParseUint(name, 16, 32-ChunkBits)
	if err != nil || ChunkName(uint32(chunk)) != name {
		return 0, fmt.Errorf("%q does not name a chunk", name)
	}
	return uint32(chunk), nil
}
