package engine

// A numbered holds items by number. Numbers are small, unless strangers have
// invented many names.
type numbered[T any] struct {
	low  []*T
	high map[uint32]*T
}

// lowNumbers is how many numbers have a place in the slice.
const lowNumbers = 4096

// at returns the item with a number, or nil.
func (n *numbered[T]) at(number uint32) *T {
	if number < uint32(len(n.low)) {
		return n.low[number]
	}
	return n.high[number]
}

// put makes an item the one with a number; nil removes it.
func (n *numbered[T]) put(number uint32, item *T) {
	switch {
	case number < lowNumbers:
		for uint32(len(n.low)) <= number {
			n.low = append(n.low, nil)
		}
		n.low[number] = item
	case item == nil:
		delete(n.high, number)
	default:
		if n.high == nil {
			n.high = make(map[uint32]*T)
		}
		n.high[number] = item
	}
}
