package engine

import (
	"sync"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
)

// A ref is the installation that a key stands for.
type ref struct {
	app collector.AppNum
	num collector.Num
}

// An index maps keys to installations, as far as they have been read from the
// store. It is safe for concurrent use.
type index struct {
	mu   sync.RWMutex
	refs map[collector.Key]ref
	// complete means that all identities of the store have been read. Until
	// then dropped holds the keys that were dropped, so that reading does not
	// restore them.
	complete bool
	dropped  map[collector.Key]struct{}
}

func newIndex() *index {
	return &index{refs: make(map[collector.Key]ref), dropped: make(map[collector.Key]struct{})}
}

// get returns the installation with a key. If it is not found, complete reports
// whether that is final.
func (x *index) get(key collector.Key) (r ref, found, complete bool) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	r, found = x.refs[key]
	return r, found, x.complete
}

// put adds identities that were committed.
func (x *index) put(identities ...collector.Identity) {
	if len(identities) == 0 {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, id := range identities {
		x.refs[id.Key] = ref{id.App, id.Num}
	}
}

// read adds identities that were read from the store.
func (x *index) read(identities []collector.Identity) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, id := range identities {
		if _, dropped := x.dropped[id.Key]; !dropped {
			x.refs[id.Key] = ref{id.App, id.Num}
		}
	}
}

// drop removes keys.
func (x *index) drop(keys ...collector.Key) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, key := range keys {
		delete(x.refs, key)
		if !x.complete {
			x.dropped[key] = struct{}{}
		}
	}
}

// finish declares that all identities of the store have been read.
func (x *index) finish() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.complete, x.dropped = true, nil
}

// identities returns the identities of an app with matching numbers. It scans
// all keys.
func (x *index) identities(app collector.AppNum, match func(collector.Num) bool) []collector.Identity {
	x.mu.RLock()
	defer x.mu.RUnlock()
	var found []collector.Identity
	for key, r := range x.refs {
		if r.app == app && match(r.num) {
			found = append(found, collector.Identity{Key: key, App: app, Num: r.num})
		}
	}
	return found
}
