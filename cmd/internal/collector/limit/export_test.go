package limit

// Slots returns the number of keys that the table can hold.
func (t *Table) Slots() int { return len(t.shards) * setsOfShard * ways }
