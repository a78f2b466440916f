package secret

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
)

// Prefixes hash the networks of addresses under a key that all owners of a secret
// share for one day of UTC. On the next day nobody can link the hashes to it. Create
// them with [Secret.Prefixes]. They are safe for concurrent use.
type Prefixes struct {
	secret *Secret
	today  atomic.Pointer[dayKey]
}

type dayKey struct {
	day  collector.Day
	macs sync.Pool
}

// Prefixes returns hashes of networks.
func (s *Secret) Prefixes() *Prefixes { return &Prefixes{secret: s} }

// Hash returns the hash of an address's network: the address itself for IPv4, also
// if it is mapped into IPv6, and the /64 for IPv6. Invalid addresses share a hash.
func (p *Prefixes) Hash(addr netip.Addr) uint64 {
	key := p.today.Load()
	if day := collector.DayOf(time.Now()); key == nil || key.day != day {
		seed := p.secret.Derive("prefixes of " + day.String())
		key = &dayKey{day: day}
		key.macs.New = func() any { return hmac.New(sha256.New, seed) }
		p.today.Store(key)
	}
	addr = addr.Unmap()
	text := [17]byte{1}
	if addr.IsValid() {
		bytes := addr.As16()
		if addr.Is6() {
			clear(bytes[8:])
		}
		text[0] = 2
		copy(text[1:], bytes[:])
	}
	mac := key.macs.Get().(hash.Hash)
	mac.Reset()
	mac.Write(text[:])
	var sum [sha256.Size]byte
	mac.Sum(sum[:0])
	key.macs.Put(mac)
	return binary.BigEndian.Uint64(sum[:])
}
