package engine

import (
	"encoding/binary"
	"errors"
	"hash/maphash"
	"slices"
	"strings"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/report"
)

// A state is the current values of an installation, as numbers: the row in the store. See [state.encode].
type state struct {
	// first is the number of the first version's value and 1, or 0 for none.
	first uint64
	// pairs are the dimension's and the value's numbers, in the order of dimensions.
	pairs []pair
	// before is the hash of the state before. flips is how often the installation went back to it, in a way that one
	// installation does not, without cloneWindow days between two times, and flipped is the day of the last one.
	before  uint32
	flips   uint8
	flipped collector.Day
}

type pair struct{ dim, value uint32 }

var errState = errors.New("row of an installation cannot be read")

// encode gives the row: first, the number of pairs, the pairs, and the rest if it is not zero.
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
	next := func() (v uint64) {
		v, n := binary.Uvarint(data)
		if n <= 0 {
			err = errState
			data = nil
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
	case len(data) == 5: // without a flip, or of a version that did not keep its day
		s.flips, s.before = data[0], binary.BigEndian.Uint32(data[1:])
	case len(data) == 9 && data[0] != 0:
		s.flips, s.before = data[0], binary.BigEndian.Uint32(data[1:])
		s.flipped = collector.Day(int32(binary.BigEndian.Uint32(data[5:])))
	default:
		return state{}, errState
	}
	return s, nil
}

// A hasher gives the short form in which states are compared. It lasts as long as the process.
var hashSeed = maphash.MakeSeed()

// hash stands for the pairs. It is not 0.
func (s *state) hash() uint64 {
	var buf [256]byte
	return max(1, maphash.Bytes(hashSeed, s.appendPairs(buf[:0])))
}

func (s *state) value(dim uint32) (value uint32, ok bool) {
	i, ok := slices.BinarySearchFunc(s.pairs, dim, func(p pair, d uint32) int { return int(p.dim) - int(d) })
	if !ok {
		return 0, false
	}
	return s.pairs[i].value, true
}

// A labels is the values of a report by dimension, before they have numbers.
type labels []label

type label struct{ dim, value string }

// labelsOf gives what is counted of a heartbeat. What is unknown is left out: it is not reported.
func labelsOf(h *report.Heartbeat, country string, dst labels) labels {
	add := func(dim, value string) {
		if value != "" {
			dst = append(dst, label{dim, value})
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
