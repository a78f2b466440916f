package engine

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"maps"
	"slices"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
)

// The journal is how a bit becomes durable without its bitmap being written: a commit adds one entry with what it changes
// of the bits and the counters, and a checkpoint later writes what changed of them as records and trims the journal. At
// the start the entries that are there are applied to the records once more. Rows of identities and installations, and
// faults, are written by the commit itself.
//
// An entry is a section for each app that changes: the app, the day, how many numbers were given, the other numbers that
// are active, those that are clones, the keys of IDs in memory and of excluded ones, what was reported of faults, and the
// counters as JSON. Numbers are varints.

const journalVersion = 1

var errJournal = errors.New("entry of the journal cannot be read")

func (fs *fleetStage) appendJournal(dst []byte) []byte {
	dst = append(dst, journalVersion)
	dst = binary.AppendUvarint(dst, uint64(fs.f.num))
	dst = binary.AppendVarint(dst, int64(fs.f.today))
	dst = binary.AppendUvarint(dst, uint64(len(fs.identities)))
	dst = appendNums(dst, slices.Sorted(maps.Keys(fs.active)))
	dst = appendNums(dst, slices.Sorted(slices.Values(fs.clones)))
	dst = appendKeys(dst, fs.memory)
	dst = appendKeys(dst, fs.excluded)
	dst = binary.AppendUvarint(dst, uint64(len(fs.marks)))
	for _, m := range fs.marks {
		dst = appendBytes(dst, []byte(m.fault))
		dst = binary.AppendUvarint(dst, uint64(m.num))
		dst = binary.AppendUvarint(dst, m.more)
	}
	counters, err := json.Marshal(&fs.counters)
	if err != nil {
		panic(err) // numbers can be encoded
	}
	return appendBytes(dst, counters)
}

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

// A journalReader reads an entry. After an error all that it gives is zero.
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

// count reads a number of things, each of at least size bytes.
func (r *journalReader) count(size int) int {
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
	nums := make([]collector.Num, r.count(1))
	var last collector.Num
	for i := range nums {
		last += collector.Num(r.uvarint())
		nums[i] = last
	}
	return nums
}

func (r *journalReader) keys(into map[collector.Key]struct{}) {
	for range r.count(len(collector.Key{})) {
		into[collector.Key(r.bytes(len(collector.Key{})))] = struct{}{}
	}
}

// replay applies an entry to what the records say.
func (c *Engine) replay(data []byte) error {
	r := &journalReader{data: data}
	for len(r.data) > 0 {
		if v := r.bytes(1); v == nil || v[0] != journalVersion {
			return errJournal
		}
		f := c.fleets[collector.AppNum(r.uvarint())]
		if f == nil || collector.Day(r.varint()) != f.today {
			return errJournal
		}
		given := r.uvarint()
		if given > uint64(maxNum-f.next) {
			return errJournal
		}
		f.give(int(given))
		f.activate(slices.Values(r.nums()))
		for _, num := range r.nums() {
			f.clones.Add(uint32(num))
		}
		r.keys(f.memory)
		r.keys(f.excluded)
		for range r.count(3) {
			m := faultMark{fault: string(r.bytes(r.count(1))), num: collector.Num(r.uvarint()), more: r.uvarint()}
			f.faults.mark(f.today, m)
		}
		var counters dayCounters
		if counted := r.bytes(r.count(1)); r.err != nil || json.Unmarshal(counted, &counters) != nil {
			return errJournal
		}
		f.open.add(&counters)
	}
	return r.err
}
