// Package limit says how often something may happen for each of any number of keys, in a memory that is fixed when a
// [Table] is made. It keeps no key, only a keyed hash that lasts as long as the process.
package limit

import (
	"hash/maphash"
	"net/netip"
	"sync"
	"time"
)

// A Key stands for what is limited. See [Of] and [Prefix].
type Key uint64

// seed is new in each process, so that nobody can choose keys that displace others.
var seed = maphash.MakeSeed()

// Of gives the key of a text. Two texts have the same key with a probability of 2^-64.
func Of(text string) Key { return Key(maphash.String(seed, text)) }

// Prefix gives the key of the network that an address is taken for: the address itself for IPv4, and its /64 for IPv6,
// since that is what one customer gets at least. An IPv4 address that is written as IPv6 counts as what it is.
func Prefix(addr netip.Addr) Key {
	addr = addr.Unmap()
	bytes := addr.As16()
	if addr.Is6() {
		clear(bytes[8:])
	}
	return Key(maphash.Bytes(seed, bytes[:]))
}

const (
	ways        = 8  // slots among which a key can lie
	setsOfShard = 16 // sets under one lock
)

// A Table allows each key a burst of events at once, and one more each interval. It is safe for concurrent use.
//
// A table that has more active keys than slots forgets the key that is nearest to having its whole burst again. So too
// many keys make a limit looser, and never stricter. An idle key needs no slot.
type Table struct {
	interval int64 // nanoseconds
	burst    int64 // nanoseconds: that many intervals
	start    time.Time
	shards   []shard
}

type shard struct {
	mu   sync.Mutex
	sets [setsOfShard][ways]slot
}

// A slot says when its key will have its whole burst again, in nanoseconds since the table was made (the virtual
// scheduling of the generic cell rate algorithm).
type slot struct {
	key  Key
	full int64
}

// SlotBytes is what a slot takes.
const SlotBytes = 16

// New makes a table with at least that many slots. Burst is at least 1, and interval positive.
func New(slots int, interval time.Duration, burst int) *Table {
	shards := max(1, (slots+ways*setsOfShard-1)/(ways*setsOfShard))
	return &Table{
		interval: int64(interval),
		burst:    int64(interval) * int64(burst),
		start:    time.Now(),
		shards:   make([]shard, shards),
	}
}

// Slots gives how many keys the table can hold.
func (t *Table) Slots() int { return len(t.shards) * setsOfShard * ways }

// Take takes one event of the key. If there is none left it takes nothing, and wait is how long it is until the next.
func (t *Table) Take(key Key) (wait time.Duration, ok bool) { return t.look(key, true) }

// Left tells whether the key has an event left, without taking it.
func (t *Table) Left(key Key) (wait time.Duration, ok bool) { return t.look(key, false) }

func (t *Table) look(key Key, take bool) (wait time.Duration, ok bool) {
	now := int64(time.Since(t.start))
	s := &t.shards[(uint64(key)>>32)%uint64(len(t.shards))]
	s.mu.Lock()
	defer s.mu.Unlock()
	set := &s.sets[uint64(key)%setsOfShard]
	found := &set[0]
	for i := range set {
		if set[i].key == key {
			found = &set[i]
			break
		}
		if set[i].full < found.full {
			found = &set[i]
		}
	}
	full := now
	if found.key == key {
		full = max(now, found.full)
	}
	if over := full + t.interval - now - t.burst; over > 0 {
		return time.Duration(over), false
	}
	if take {
		*found = slot{key, full + t.interval}
	}
	return 0, true
}
