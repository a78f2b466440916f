package engine

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"maps"
	"slices"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
)

// The journal makes a bit durable without writing its bitmap. A commit appends
// one entry with what it changes of bits and counters; a checkpoint later
// writes what changed as records, and trims the journal. At start the remaining
// entries are replayed on top of the records. The commit itself writes rows,
// dimensions and faults.
//
// An entry has a section for each app that changes: the version, the app, the
// day, how many numbers are assigned, the other numbers that are active, the
// clones, the keys of in-memory IDs and of excluded ones, the fault marks, and
// the counters as JSON. Numbers are varints.

// journalVersion 2 has the version with each fault mark.
const journalVersion = 2

var errJournal = errors.New("malformed journal entry")

func (ft *fleetTx) appendJournal(dst []byte) []byte {
	dst = append(dst, journalVersion)
	dst = binary.AppendUvarint(dst, uint64(ft.f.num))
	dst = binary.AppendVarint(dst, int64(ft.f.today))
	dst = binary.AppendUvarint(dst, uint64(len(ft.identities)))
	dst = appendNums(dst, slices.Sorted(maps.Keys(ft.active)))
	dst = appendNums(dst, slices.Sorted(slices.Values(ft.clones)))
	dst = appendKeys(dst, ft.memory)
	dst = appendKeys(dst, ft.excluded)
	dst = binary.AppendUvarint(dst, uint64(len(ft.marks)))
	for _, m := range ft.marks {
		dst = appendBytes(dst, []byte(m.fault))
		dst = binary.AppendUvarint(dst, uint64(m.num))
		dst = binary.AppendUvarint(dst, m.more)
		dst = appendBytes(dst, []byte(m.version))
	}
	counters, err := json.Marshal(&ft.counters)
	if err != nil {
		panic(err) // numbers can be encoded
	}
	return appendBytes(dst, counters)
}

// appendNums appends sorted numbers as differences.
func appendNums(dst []byte, nums []collector.Num) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(nums)))
	var last collector.Num
	for _, num := range nums {
		dst = binary.AppendUvarint(dst, uint64(num-last))
		last = num
	}
	return dst
}

func appendKeys(dst []byte, keys map[collector.Key]struct{}) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(keys)))
	for key := range keys {
		dst = append(dst, key[:]...)
	}
	return dst
}

func appendBytes(dst, data []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(data)))
	return append(dst, data...)
}

// A journalReader decodes an entry. After an error all its results are zero.
type journalReader struct {
	data []byte
	err  error
}

func (r *journalReader) fail() { r.data, r.err = nil, errJournal }

func (r *journalReader) uvarint() uint64 {
	v, n := binary.Uvarint(r.data)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.data = r.data[n:]
	return v
}

func (r *journalReader) varint() int64 {
	v, n := binary.Varint(r.data)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.data = r.data[n:]
	return v
}

// length reads the number of elements, of at least size bytes each.
func (r *journalReader) length(size int) int {
	n := r.uvarint()
	if n > uint64(len(r.data)/size) {
		r.fail()
		return 0
	}
	return int(n)
}

func (r *journalReader) bytes(n int) []byte {
	if n > len(r.data) {
		r.fail()
		return nil
	}
	b := r.data[:n]
	r.data = r.data[n:]
	return b
}

func (r *journalReader) nums() []collector.Num {
	nums := make([]collector.Num, r.length(1))
	var last collector.Num
	for i := range nums {
		last += collector.Num(r.uvarint())
		nums[i] = last
	}
	return nums
}

func (r *journalReader) keys(into map[collector.Key]struct{}) {
	const size = len(collector.Key{})
	for range r.length(size) {
		into[collector.Key(r.bytes(size))] = struct{}{}
	}
}

// replay applies an entry to the fleets.
func (e *Engine) replay(data []byte) error {
	r := &journalReader{data: data}
	for len(r.data) > 0 {
		v := r.bytes(1)
		if v == nil || v[0] < 1 || v[0] > journalVersion {
			return errJournal
		}
		f := e.fleets[collector.AppNum(r.uvarint())]
		if f == nil || collector.Day(r.varint()) != f.today {
			return errJournal
		}
		assigned := r.uvarint()
		if assigned > uint64(maxNum-f.next) {
			return errJournal
		}
		f.assign(int(assigned))
		f.activate(slices.Values(r.nums()))
		for _, num := range r.nums() {
			f.clones.Add(uint32(num))
		}
		r.keys(f.memory)
		r.keys(f.excluded)
		for range r.length(3) {
			m := faultMark{fault: string(r.bytes(r.length(1))), num: collector.Num(r.uvarint()), more: r.uvarint()}
			if v[0] > 1 {
				m.version = string(r.bytes(r.length(1)))
			}
			f.faults.mark(f.today, m)
		}
		var counters dayCounters
		encoded := r.bytes(r.length(1))
		if r.err != nil || json.Unmarshal(encoded, &counters) != nil {
			return errJournal
		}
		f.open.add(&counters)
	}
	return r.err
}
