package engine

import (
	"cmp"
	"encoding/binary"
	"errors"
	"hash/maphash"
	"slices"
	"strings"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/report"
)

// A state is what a row stores of an installation: its current values, as
// numbers of [dimensions].
type state struct {
	// first is the number of the first version's value, plus 1; 0 is none.
	first uint64
	// pairs are in the order of dimensions.
	pairs []pair
	// before is the hash of the previous values. flips counts how often the
	// installation returned to them in a way that no single installation does,
	// with less than cloneWindow days in between; flipped is the last such day.
	before  uint32
	flips   uint8
	flipped collector.Day
}

// A pair is a value of a dimension.
type pair struct{ dim, value uint32 }

var errState = errors.New("malformed row of an installation")

// encode appends the row: first, the number of pairs, the pairs, and what
// follows if it is not zero.
func (s *state) encode(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, s.first)
	dst = s.appendPairs(dst)
	if s.flips != 0 || s.before != 0 {
		dst = append(dst, s.flips)
		dst = binary.BigEndian.AppendUint32(dst, s.before)
	}
	if s.flips != 0 {
		dst = binary.BigEndian.AppendUint32(dst, uint32(s.flipped))
	}
	return dst
}

func (s *state) appendPairs(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(s.pairs)))
	for _, p := range s.pairs {
		dst = binary.AppendUvarint(dst, uint64(p.dim))
		dst = binary.AppendUvarint(dst, uint64(p.value))
	}
	return dst
}

func decodeState(data []byte) (s state, err error) {
	next := func() uint64 {
		v, n := binary.Uvarint(data)
		if n <= 0 {
			err, data = errState, nil
			return 0
		}
		data = data[n:]
		return v
	}
	s.first = next()
	n := next()
	if err != nil || n > uint64(len(data)) {
		return state{}, errState
	}
	s.pairs = make([]pair, 0, n)
	for range n {
		s.pairs = append(s.pairs, pair{uint32(next()), uint32(next())})
	}
	switch {
	case err != nil:
		return state{}, err
	case len(data) == 0:
	case len(data) == 5: // no flips, or written before the day was kept
		s.flips, s.before = data[0], binary.BigEndian.Uint32(data[1:])
	case len(data) == 9 && data[0] != 0:
		s.flips, s.before = data[0], binary.BigEndian.Uint32(data[1:])
		s.flipped = collector.Day(int32(binary.BigEndian.Uint32(data[5:])))
	default:
		return state{}, errState
	}
	return s, nil
}

// hashSeed makes the hashes of one process differ from another's.
var hashSeed = maphash.MakeSeed()

// hash returns a hash of the pairs that is never 0, to compare states within
// this process.
func (s *state) hash() uint64 {
	var buf [256]byte
	return max(1, maphash.Bytes(hashSeed, s.appendPairs(buf[:0])))
}

// value returns the value of a dimension, if the state has one.
func (s *state) value(dim uint32) (value uint32, ok bool) {
	i, ok := slices.BinarySearchFunc(s.pairs, dim, func(p pair, d uint32) int { return int(p.dim) - int(d) })
	if !ok {
		return 0, false
	}
	return s.pairs[i].value, true
}

func sortPairs(pairs []pair) {
	slices.SortFunc(pairs, func(a, b pair) int { return cmp.Compare(a.dim, b.dim) })
}

// appendLabels appends what is counted of a heartbeat. Unknown values are
// missing ones.
func appendLabels(dst []label, h *report.Heartbeat, country string) []label {
	add := func(dim, text string) {
		if text != "" {
			dst = append(dst, label{dim, collector.Canonical(dim, text)})
		}
	}
	add(collector.DimVersion, h.Version)
	add(collector.DimSystem, h.Platform.System)
	add(collector.DimRelease, h.Platform.Release)
	add(collector.DimMachine, h.Platform.Machine)
	if h.Deployment != report.DeploymentUnknown {
		add(collector.DimDeployment, string(h.Deployment))
	}
	if h.Client.Name != "" {
		add(collector.DimClient, strings.TrimSpace(h.Client.Name+" "+h.Client.Version))
	}
	add(collector.DimCountry, country)
	for _, fact := range h.Facts {
		add(collector.FactDimension+fact.Name, fact.Value)
	}
	return dst
}
