package limit

import "sync"

// A Gate bounds what is going on at once: in total, and of each key. The zero
// value lets nothing in. It is safe for concurrent use.
type Gate struct {
	// Total and PerKey are the bounds.
	Total, PerKey int

	mu    sync.Mutex
	total int
	keys  map[Key]int
}

// Enter lets one more of a key in, unless that is too many. Whoever was let in
// has to Leave.
func (g *Gate) Enter(key Key) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.total >= g.Total || g.keys[key] >= g.PerKey {
		return false
	}
	if g.keys == nil {
		g.keys = make(map[Key]int)
	}
	g.total++
	g.keys[key]++
	return true
}

// Leave undoes one Enter.
func (g *Gate) Leave(key Key) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.total--
	if g.keys[key]--; g.keys[key] == 0 {
		delete(g.keys, key)
	}
}
