package collector

import "github.com/rollcall-dev/rollcall/collector/internal/bits"

// dimensions are the values that installations have now, by dimension: an index from each value to the installations.
// Names and values have numbers, which never change, and which the rows of the installations are made of.
type dimensions struct {
	names  []string
	byName map[string]int
	dims   []*dimension
}

// A dimension is one property of an installation.
type dimension struct {
	name string
	// values are the texts by their number; "" is a number that is free again.
	values []string
	byText map[string]int
	// sets are the installations with the value, by its number.
	sets []*bits.Set
	// truncated says that there were more values than MaxValues.
	truncated bool
}

// get gives the dimension of that name, or nil.
func (d *dimensions) get(name string) *dimension {
	if i, ok := d.byName[name]; ok {
		return d.dims[i]
	}
	return nil
}
