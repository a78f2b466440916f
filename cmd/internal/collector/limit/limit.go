// Package limit limits the rate of events for any number of keys in a fixed
// amount of memory. It stores no key, only a keyed hash that is different in each
// process.
package limit

import (
	"context"
	"hash/maphash"
	"net/http"
	"net/netip"
	"sync"
	"time"
)

// A Key stands for what is limited. See [Of], [Prefix], and [Client].
type Key uint64

// seed is random, so that nobody can choose keys that displace others.
var seed = maphash.MakeSeed()

// Of returns the key of a text. Two texts share one with a probability of 2^-64.
func Of(text string) Key { return Key(maphash.String(seed, text)) }

// Prefix returns the key of the network of an address: the address itself for
// IPv4, also if it is mapped into IPv6, and the /64 for IPv6, because that is the
// least that one customer gets. Invalid addresses share a key.
func Prefix(addr netip.Addr) Key {
	addr = addr.Unmap()
	if !addr.IsValid() {
		return Of("")
	}
	bytes := addr.As16()
	if addr.Is6() {
		clear(bytes[8:])
	}
	return Key(maphash.Bytes(seed, bytes[:]))
}

type clientKey struct{}

// WithClient returns a context for a request whose client is known only by a key:
// it came to another replica, which does not pass on addresses.
func WithClient(ctx context.Context, key Key) context.Context {
	return context.WithValue(ctx, clientKey{}, key)
}

// Client returns the key of the client of a request: that of [WithClient], or the
// [Prefix] of its RemoteAddr.
func Client(r *http.Request) Key {
	if key, ok := r.Context().Value(clientKey{}).(Key); ok {
		return key
	}
	addr, _ := netip.ParseAddrPort(r.RemoteAddr)
	return Prefix(addr.Addr())
}

const (
	ways        = 8  // slots that can hold a key
	setsOfShard = 16 // sets under one lock
)

// A Table allows each key a burst of events, and then one event per interval. It
// is safe for concurrent use.
//
// A table with more active keys than slots forgets the key that is nearest to
// having its full burst again. So too many keys make a limit looser, and never
// stricter. An idle key needs no slot.
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

// A slot holds the time at which its key will have its full burst again, in
// nanoseconds since the table was created: virtual scheduling of the generic cell
// rate algorithm.
type slot struct {
	key  Key
	full int64
}

// New returns a table of at least that many slots. Interval and burst are positive.
func New(slots int, interval time.Duration, burst int) *Table {
	shards := max(1, (slots+ways*setsOfShard-1)/(ways*setsOfShard))
	return &Table{int64(interval), int64(interval) * int64(burst), time.Now(), make([]shard, shards)}
}

// Take takes one event of the key. If none is left it takes nothing, and returns
// the wait until the next.
func (t *Table) Take(key Key) (wait time.Duration, ok bool) { return t.check(key, true) }

// Left reports whether the key has an event left, without taking it.
func (t *Table) Left(key Key) (wait time.Duration, ok bool) { return t.check(key, false) }

func (t *Table) check(key Key, take bool) (wait time.Duration, ok bool) {
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
