package engine

import (
	"slices"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
)

const (
	// sharedPrefixes is how many address prefixes in a day make an ID a shared
	// one: an installation that moves, or changes its address with each
	// connection, reports once a day.
	sharedPrefixes = 10
	// maxWatched bounds the installations whose prefixes are watched on a day.
	// Only those that report more than once are.
	maxWatched = 4096
)

// senders are the address prefixes, as hashes, of installations that report more
// than once a day.
type senders map[collector.Num][]uint64

// add adds a prefix, and reports whether the installation's ID is probably
// shared.
func (s senders) add(num collector.Num, prefix uint64) bool {
	seen, watched := s[num]
	if slices.Contains(seen, prefix) {
		return false
	}
	if !watched && len(s) >= maxWatched {
		s.evict()
	}
	s[num] = append(seen, prefix)
	return len(s[num]) >= sharedPrefixes
}

// evict drops one of few installations: the one with the fewest prefixes. So
// forged repetitions displace each other rather than an ID that is shared.
func (s senders) evict() {
	const few = 16
	var fewest collector.Num
	i := 0
	for num, seen := range s {
		if i == 0 || len(seen) < len(s[fewest]) {
			fewest = num
		}
		if i++; i == few {
			break
		}
	}
	delete(s, fewest)
}

// watch notes the prefix of an installation that has reported again today.
func (ft *fleetTx) watch(num collector.Num, prefix uint64, again bool) {
	if prefix == 0 || !again || ft.f.shared.Has(uint32(num)) || slices.Contains(ft.shared, num) {
		return
	}
	if ft.f.senders.add(num, prefix) {
		ft.shared = append(ft.shared, num)
	}
}

// sharedRecords returns the records of the IDs that are shared from now on.
func (ft *fleetTx) sharedRecords() []collector.Record {
	if len(ft.shared) == 0 {
		return nil
	}
	shared := ft.f.shared.Clone()
	for _, num := range ft.shared {
		shared.Add(uint32(num))
	}
	return chunkRecords(ft.f.recordKey(kindEver, 0, "shared/"), shared)
}
