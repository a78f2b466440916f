package engine

import "slices"

// A queue holds the entries of a full table in the order of their eviction: the
// one with the least support first. It is made when a table is full
// and lasts until the next checkpoint, because strangers may send many entries
// that find no place. An entry whose support has fallen meanwhile keeps its place
// until then.
type queue[T any] struct {
	waiting []queued[T]
	made    bool
}

type queued[T any] struct {
	entry   T
	support support
}

// add adds an entry that was given a place.
func (q *queue[T]) add(entry T, s support) {
	if !q.made {
		return
	}
	after := func(one queued[T], s support) int {
		if one.support.compare(s) <= 0 {
			return -1
		}
		return 1
	}
	i, _ := slices.BinarySearchFunc(q.waiting, s, after)
	q.waiting = slices.Insert(q.waiting, i, queued[T]{entry, s})
}

// next takes the entry that makes way for one with a support, if there is one. All
// returns the entries that may make way, and now the support of one of them, and
// whether it still may.
func (q *queue[T]) next(s support, all func() []queued[T], now func(T) (support, bool)) (entry T, ok bool) {
	for made := false; ; {
		if !q.made || len(q.waiting) == 0 {
			if made {
				return entry, false
			}
			q.waiting = all()
			slices.SortStableFunc(q.waiting, func(a, b queued[T]) int { return a.support.compare(b.support) })
			q.made, made = true, true
			continue
		}
		least := q.waiting[0]
		if s.compare(least.support) <= 0 {
			return entry, false
		}
		current, may := now(least.entry)
		if may && !made && current.compare(least.support) > 0 {
			q.made = false
			continue
		}
		q.waiting = q.waiting[1:]
		if may {
			return least.entry, true
		}
	}
}
