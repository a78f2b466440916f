package bits

import (
	"bytes"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// edge has numbers at the ends of chunks, and the largest one.
var edge = []uint32{0, 1, 1<<ChunkBits - 1, 1 << ChunkBits, 1<<ChunkBits + 1, 3 << ChunkBits, 1<<32 - 1<<ChunkBits, 1<<32 - 1}

func number(t *rapid.T) uint32 {
	if rapid.IntRange(0, 3).Draw(t, "edge") == 0 {
		return rapid.SampledFrom(edge[:6]).Draw(t, "number")
	}
	return rapid.Uint32Range(0, 4<<ChunkBits).Draw(t, "number")
}

// numbers lists a set in order.
func numbers(s *Set) []uint32 {
	var all []uint32
	for i, c := range s.chunks {
		if c == nil {
			continue
		}
		for it := c.Iterator(); it.HasNext(); {
			all = append(all, uint32(i)<<ChunkBits|it.Next())
		}
	}
	return all
}

type model map[uint32]bool

func (m model) check(t *rapid.T, s *Set, what string) {
	want := slices.Sorted(maps.Keys(m))
	if got := numbers(s); !slices.Equal(got, want) {
		t.Fatalf("%s: got %v, want %v", what, got, want)
	}
	if s.Count() != uint64(len(m)) {
		t.Fatalf("%s: count %d, want %d", what, s.Count(), len(m))
	}
}

// Sets behave like maps.
func TestSet(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		sets, models := [2]*Set{{}, {}}, [2]model{{}, {}}
		written := map[uint32][]byte{} // the chunks of the first set as of the last Clean
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				i, n := rapid.IntRange(0, 1).Draw(t, "set"), number(t)
				if sets[i].Add(n) == models[i][n] {
					t.Fatalf("Add(%d) returned the wrong result", n)
				}
				models[i][n] = true
			},
			"add range": func(t *rapid.T) {
				i, lo, length := rapid.IntRange(0, 1).Draw(t, "set"), number(t), rapid.Uint32Range(0, 40).Draw(t, "length")
				sets[i].AddRange(lo, lo+length)
				for n := lo; n < lo+length; n++ {
					models[i][n] = true
				}
			},
			"remove": func(t *rapid.T) {
				i, n := rapid.IntRange(0, 1).Draw(t, "set"), number(t)
				if sets[i].Remove(n) != models[i][n] {
					t.Fatalf("Remove(%d) returned the wrong result", n)
				}
				delete(models[i], n)
			},
			"or": func(*rapid.T) { sets[0].Or(sets[1]); maps.Copy(models[0], models[1]) },
			"and not": func(*rapid.T) {
				sets[0].AndNot(sets[1])
				maps.DeleteFunc(models[0], func(n uint32, _ bool) bool { return models[1][n] })
			},
			"write": func(*rapid.T) {
				for _, chunk := range sets[0].Dirty() {
					written[chunk] = sets[0].Encode(chunk)
				}
				sets[0].Clean()
			},
			"": func(t *rapid.T) {
				for i := range sets {
					models[i].check(t, sets[i], "set")
					models[i].check(t, sets[i].Clone(), "clone")
				}
				lo, hi := number(t), number(t)
				var inRange, both uint64
				common, all := model{}, maps.Clone(models[0])
				for n := range models[0] {
					if lo <= n && n < hi {
						inRange++
					}
					if models[1][n] {
						both++
						common[n] = true
					}
				}
				maps.Copy(all, models[1])
				if got := sets[0].CountRange(lo, hi); got != inRange {
					t.Fatalf("%d from %d to %d, want %d", got, lo, hi, inRange)
				}
				if got := CountBoth(sets[0], sets[1]); got != both {
					t.Fatalf("%d in both, want %d", got, both)
				}
				if got := CountWithout(sets[0], sets[1]); got != uint64(len(models[0]))-both {
					t.Fatalf("%d only in the first, want %d", got, uint64(len(models[0]))-both)
				}
				common.check(t, Intersection(sets[0], sets[1]), "intersection")
				all.check(t, Union(sets[0], sets[1]), "union")
				// The dirty chunks and the written ones are the whole set.
				read := &Set{}
				for chunk, data := range written {
					if err := read.Decode(chunk, data); err != nil {
						t.Fatal(err)
					}
				}
				for _, chunk := range sets[0].Dirty() {
					if err := read.Decode(chunk, sets[0].Encode(chunk)); err != nil {
						t.Fatal(err)
					}
				}
				models[0].check(t, read, "written")
			},
		})
	})
}

func TestEdges(t *testing.T) {
	t.Parallel()
	s := &Set{}
	s.AddRange(1<<32-3, 1<<32-1)
	for _, n := range edge {
		s.Add(n)
	}
	if got, want := s.CountRange(0, 1<<32-1), uint64(len(edge)+2-1); got != want {
		t.Errorf("got %d without the largest, want %d", got, want)
	}
	if !s.Has(1<<32-1) || !s.Has(1<<32-3) || s.Has(1<<32-4) {
		t.Error("the largest numbers are wrong")
	}
	var none *Set
	if none.Has(1) || none.Count() != 0 || none.CountRange(0, 5) != 0 || none.Dirty() != nil || none.Encode(0) != nil {
		t.Error("a nil set is not empty")
	}
	if Union(none, s).Count() != s.Count() || Intersection(none, s).Count() != 0 || Intersection(s, none).Count() != 0 || CountBoth(s, none) != 0 {
		t.Error("a nil set is not empty in an operation with another")
	}
}

// Names sort in the order of chunks, and no other text is a name.
func TestChunkNames(t *testing.T) {
	t.Parallel()
	last := ""
	for chunk := range uint32(1 << 16) {
		name := ChunkName(chunk)
		if got, err := ParseChunk(name); err != nil || got != chunk || name <= last {
			t.Fatalf("chunk %d is %q after %q, which reads as %d, %v", chunk, name, last, got, err)
		}
		last = name
	}
	for _, bad := range []string{"", "1", "00001", "xyz1", "00 1", "ABCD", "-001"} {
		if got, err := ParseChunk(bad); err == nil {
			t.Errorf("%q reads as %d", bad, got)
		}
	}
}

// Whatever a store holds, decoding it returns an error or a chunk that can be
// used and written again.
func FuzzDecode(f *testing.F) {
	s := &Set{}
	s.AddRange(100, 40_000)
	s.Add(65_000)
	f.Add(s.Encode(0))
	s.Add(7)
	f.Add(s.Encode(0))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		set := &Set{}
		if err := set.Decode(1, data); err != nil {
			return
		}
		again := &Set{}
		encoded := set.Encode(1)
		if err := again.Decode(1, encoded); err != nil || again.Count() != set.Count() || !bytes.Equal(again.Encode(1), encoded) {
			t.Errorf("%x: %d numbers, written again %d, %v", data, set.Count(), again.Count(), err)
		}
		for _, n := range numbers(set) {
			if n>>ChunkBits != 1 || !set.Has(n) {
				t.Fatalf("%x holds %d", data, n)
			}
		}
	})
}

// TestWords compares the plain form of chunks with the sets.
func TestWords(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(7, 7))
	for range 50 {
		a, b := &Set{}, &Set{}
		for range random.IntN(3000) {
			a.Add(1<<ChunkBits + uint32(random.IntN(1<<(4+random.IntN(13)))))
		}
		lo := uint32(random.IntN(1 << ChunkBits))
		b.AddRange(1<<ChunkBits+lo, 2<<ChunkBits)
		var x, y Words
		x[3] = 1 // is overwritten
		a.ReadWords(1, &x)
		b.ReadWords(1, &y)
		if x.Count() != a.Count() || x.CountBoth(&y) != CountBoth(a, b) {
			t.Fatalf("got %d and %d, want %d and %d", x.Count(), x.CountBoth(&y), a.Count(), CountBoth(a, b))
		}
		hi := lo + uint32(random.IntN(1<<ChunkBits+1-int(lo)))
		if got, want := x.CountRange(lo, hi), a.CountRange(1<<ChunkBits+lo, 1<<ChunkBits+hi); got != want {
			t.Fatalf("%d to %d: got %d, want %d", lo, hi, got, want)
		}
		both, either := x, x
		both.And(&y)
		either.Or(&y)
		more := x
		b.OrWords(1, &more)
		b.OrWords(7, &more) // there is no such chunk
		if both.Count() != CountBoth(a, b) || either.Count() != Union(a, b).Count() || more != either {
			t.Fatal("the operations differ from those of sets")
		}
	}
}

// The counts of several sets, and of a chunk as words, equal a count number by
// number, for chunks that are empty, sparse, dense, and full.
func TestCountAny(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	const chunks = 5
	sets := []*Set{nil, {}}
	for _, share := range []float64{0.0005, 0.02, 0.5, 1} {
		s := &Set{}
		for n := range uint32(chunks << ChunkBits) {
			if n>>ChunkBits != uint32(len(sets)) && random.Float64() < share {
				s.Add(n)
			}
		}
		sets = append(sets, s)
	}
	for i, in := range sets {
		for _, some := range [][]*Set{nil, sets[:2], sets[:3], sets[2:4], sets} {
			var want uint64
			for n := range uint32(chunks << ChunkBits) {
				if (in == nil || in.Has(n)) && slices.ContainsFunc(some, func(s *Set) bool { return s.Has(n) }) {
					want++
				}
			}
			if got := CountAny(in, some...); got != want {
				t.Errorf("set %d and any of %d: got %d, want %d", i, len(some), got, want)
			}
		}
		for _, other := range sets {
			var count, both uint64
			for chunk := range uint32(chunks) {
				var words Words
				in.ReadWords(chunk, &words)
				count += words.Dense().Count()
				both += words.Dense().CountBoth(other, chunk)
			}
			if count != in.Count() || both != CountBoth(in, other) {
				t.Errorf("set %d: got %d and %d numbers, want %d and %d", i, count, both, in.Count(), CountBoth(in, other))
			}
		}
	}
}
