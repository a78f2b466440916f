package engine

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/bits"
)

// dimensions are the values that installations have now, by dimension: an index from each value to the installations.
// Names and values have numbers, which never change while an installation has them, and which the rows of the
// installations are made of.
type dimensions struct {
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
	// truncated says that there were more values than MaxValues, or MaxVersions.
	truncated bool
}

// A dimensionRecord is what is kept of a dimension.
type dimensionRecord struct {
	Number    int      `json:"number"`
	Values    []string `json:"values"`
	Truncated bool     `json:"truncated,omitzero"`
}

// get gives the dimension of that name, or nil.
func (d *dimensions) get(name string) *dimension {
	if i, ok := d.byName[name]; ok {
		return d.dims[i]
	}
	return nil
}

// put adds a dimension that was read, or a new one.
func (d *dimensions) put(number int, dim *dimension) {
	if d.byName == nil {
		d.byName = make(map[string]int)
	}
	for len(d.dims) <= number {
		d.dims = append(d.dims, nil)
	}
	d.dims[number] = dim
	d.byName[dim.name] = number
}

func newDimension(name string) *dimension {
	return &dimension{name: name, byText: make(map[string]int)}
}

func (d *dimension) put(number int, text string) {
	for len(d.values) <= number {
		d.values = append(d.values, "")
		d.sets = append(d.sets, &bits.Set{})
	}
	d.values[number] = text
	if text != "" {
		d.byText[text] = number
	}
}

// limit is how many values there can be, Other aside.
func (d *dimension) limit() int {
	switch d.name {
	case collector.DimVersion, collector.DimFirstVersion:
		return collector.MaxVersions
	}
	return collector.MaxValues
}

// free gives the number for one more value, or false when there are too many. The numbers in taken are not free.
func (d *dimension) free(taken map[int]string) (number int, ok bool) {
	used := len(d.byText)
	if _, has := d.byText[collector.Other]; has {
		used--
	}
	if used+len(taken) >= d.limit() {
		return 0, false
	}
	for i, text := range d.values {
		if _, is := taken[i]; text == "" && !is {
			return i, true
		}
	}
	number = len(d.values)
	for {
		if _, is := taken[number]; !is {
			return number, true
		}
		number++
	}
}

func (d *dimension) record(number int) dimensionRecord {
	return dimensionRecord{Number: number, Values: d.values, Truncated: d.truncated}
}

// read takes in what was kept.
func (d *dimensions) read(r collector.Record) error {
	var kept dimensionRecord
	if err := json.Unmarshal(r.Data, &kept); err != nil || kept.Number < 0 || kept.Number > 2*collector.MaxFacts {
		return fmt.Errorf("read dimension %q: its record is broken", r.Name)
	}
	dim := newDimension(r.Name)
	dim.truncated = kept.Truncated
	for i, text := range kept.Values {
		dim.put(i, text)
	}
	d.put(kept.Number, dim)
	return nil
}

// set says that an installation has the values of s now, and had those of old.
func (d *dimensions) set(num collector.Num, old, s *state) {
	if old != nil {
		for _, p := range old.pairs {
			if v, same := s.value(p.dim); !same || v != p.value {
				d.remove(num, p)
			}
		}
	}
	for _, p := range s.pairs {
		d.add(num, p)
	}
	if s.first > 0 {
		if i, ok := d.byName[collector.DimFirstVersion]; ok {
			d.add(num, pair{uint32(i), uint32(s.first - 1)})
		}
	}
}

func (d *dimensions) add(num collector.Num, p pair) {
	if int(p.dim) < len(d.dims) && d.dims[p.dim] != nil && int(p.value) < len(d.dims[p.dim].sets) {
		d.dims[p.dim].sets[p.value].Add(uint32(num))
	}
}

func (d *dimensions) remove(num collector.Num, p pair) {
	if int(p.dim) < len(d.dims) && d.dims[p.dim] != nil && int(p.value) < len(d.dims[p.dim].sets) {
		d.dims[p.dim].sets[p.value].Remove(uint32(num))
	}
}

// clear takes an installation out of all dimensions.
func (d *dimensions) clear(num collector.Num) {
	for _, dim := range d.dims {
		if dim == nil {
			continue
		}
		for _, set := range dim.sets {
			set.Remove(uint32(num))
		}
	}
}

// texts gives the values of a state by dimension.
func (d *dimensions) texts(s *state) map[string]string {
	texts := make(map[string]string, len(s.pairs)+1)
	put := func(p pair) {
		if int(p.dim) < len(d.dims) && d.dims[p.dim] != nil && int(p.value) < len(d.dims[p.dim].values) {
			texts[d.dims[p.dim].name] = d.dims[p.dim].values[p.value]
		}
	}
	for _, p := range s.pairs {
		put(p)
	}
	if i, ok := d.byName[collector.DimFirstVersion]; ok && s.first > 0 {
		put(pair{uint32(i), uint32(s.first - 1)})
	}
	return texts
}

// reclaim frees the values that no installation has any more, and gives the dimensions in which that changed something.
func (d *dimensions) reclaim() (changed []int) {
	for number, dim := range d.dims {
		if dim == nil {
			continue
		}
		before := len(dim.byText)
		for i, text := range dim.values {
			if text != "" && dim.sets[i].Count() == 0 {
				dim.values[i] = ""
				delete(dim.byText, text)
			}
		}
		if len(dim.byText) != before {
			dim.truncated = dim.truncated && len(dim.byText) >= dim.limit()
			changed = append(changed, number)
		}
	}
	return changed
}

// An interner gives numbers to the labels of reports, new ones for the time being: they become the dimensions' own with
// merge, when they are durable.
type interner struct {
	dims *dimensions
	// names are the new dimensions by name, and values the new values by dimension.
	names     map[string]int
	values    map[int]map[int]string
	byText    map[int]map[string]int
	truncated map[int]bool
	tooMany   bool // facts
}

// find gives the number of a dimension, if it has one.
func (n *interner) find(name string) (int, bool) {
	if i, ok := n.dims.byName[name]; ok {
		return i, true
	}
	i, ok := n.names[name]
	return i, ok
}

// name gives the name of the dimension with a number, empty if there is none.
func (n *interner) name(number int) string {
	if number < len(n.dims.dims) && n.dims.dims[number] != nil {
		return n.dims.dims[number].name
	}
	for name, i := range n.names {
		if i == number {
			return name
		}
	}
	return ""
}

// dim gives the number of a dimension, or false when there are too many.
func (n *interner) dim(name string) (int, bool) {
	if i, ok := n.find(name); ok {
		return i, true
	}
	if strings.HasPrefix(name, collector.FactDimension) {
		facts := 0
		for _, d := range n.dims.dims {
			if d != nil && strings.HasPrefix(d.name, collector.FactDimension) {
				facts++
			}
		}
		for other := range n.names {
			if strings.HasPrefix(other, collector.FactDimension) {
				facts++
			}
		}
		if facts >= collector.MaxFacts {
			n.tooMany = true
			return 0, false
		}
	}
	if n.names == nil {
		n.names = make(map[string]int)
	}
	i := len(n.dims.dims) + len(n.names)
	n.names[name] = i
	return i, true
}

// value gives the number of a value of a dimension; that of Other when there are too many.
func (n *interner) value(dim int, text string) int {
	var d *dimension
	if dim < len(n.dims.dims) {
		d = n.dims.dims[dim]
	}
	if d == nil {
		d = newDimension(n.nameOf(dim))
	}
	if i, ok := d.byText[text]; ok {
		return i
	}
	if i, ok := n.byText[dim][text]; ok {
		return i
	}
	i, ok := d.free(n.values[dim])
	if !ok {
		if n.truncated == nil {
			n.truncated = make(map[int]bool)
		}
		if !d.truncated {
			n.truncated[dim] = true
		}
		if text != collector.Other {
			return n.value(dim, collector.Other)
		}
		i = len(d.values)
		for n.values[dim][i] != "" {
			i++
		}
	}
	if n.values == nil {
		n.values, n.byText = make(map[int]map[int]string), make(map[int]map[string]int)
	}
	if n.values[dim] == nil {
		n.values[dim], n.byText[dim] = make(map[int]string), make(map[string]int)
	}
	n.values[dim][i], n.byText[dim][text] = text, i
	return i
}

func (n *interner) nameOf(dim int) string {
	for name, i := range n.names {
		if i == dim {
			return name
		}
	}
	return ""
}

// state gives the state that the labels make.
func (n *interner) state(ls labels) state {
	s := state{pairs: make([]pair, 0, len(ls))}
	for _, l := range ls {
		if dim, ok := n.dim(l.dim); ok {
			s.pairs = append(s.pairs, pair{uint32(dim), uint32(n.value(dim, l.value))})
		}
	}
	slices.SortFunc(s.pairs, func(a, b pair) int { return cmp.Compare(a.dim, b.dim) })
	return s
}

// firstVersion gives what a new installation's row says of its version.
func (n *interner) firstVersion(version string) uint64 {
	if version == "" {
		return 0
	}
	dim, _ := n.dim(collector.DimFirstVersion)
	return uint64(n.value(dim, version)) + 1
}

// records gives what has to be kept of what is new.
func (n *interner) records(app collector.AppNum) []collector.Record {
	changed := make(map[int]bool)
	for _, i := range n.names {
		changed[i] = true
	}
	for i := range n.values {
		changed[i] = true
	}
	for i := range n.truncated {
		changed[i] = true
	}
	var records []collector.Record
	for i := range changed {
		kept := dimensionRecord{Number: i, Truncated: n.truncated[i]}
		name := n.nameOf(i)
		if i < len(n.dims.dims) && n.dims.dims[i] != nil {
			d := n.dims.dims[i]
			kept.Values, name = slices.Clone(d.values), d.name
			kept.Truncated = kept.Truncated || d.truncated
		}
		for v, text := range n.values[i] {
			for len(kept.Values) <= v {
				kept.Values = append(kept.Values, "")
			}
			kept.Values[v] = text
		}
		records = append(records, jsonRecord(collector.RecordKey{Kind: kindDims, App: app, Name: name}, kept))
	}
	return records
}

// merge makes all that is new part of the dimensions.
func (n *interner) merge() {
	for name, i := range n.names {
		n.dims.put(i, newDimension(name))
	}
	for i, values := range n.values {
		for v, text := range values {
			n.dims.dims[i].put(v, text)
		}
	}
	for i := range n.truncated {
		n.dims.dims[i].truncated = true
	}
}
