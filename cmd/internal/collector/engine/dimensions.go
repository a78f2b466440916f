package engine

import (
	"cmp"
	"errors"
	"hash/fnv"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/bits"
)

// A dimensions is an index from each value of each dimension to the
// installations that have it now. Dimensions and values are numbered, and rows
// consist of these numbers. No number is ever used twice: a row whose value has
// lost its place counts as Other, and one whose dimension has, as reporting
// nothing. So a place can be taken without touching a row.
//
// A name or value is admitted when a report has it; see admission.go. It becomes
// durable with the commit of that report. If that fails, [dimensions.undo]
// restores what was before.
type dimensions struct {
	byName  map[string]*dimension
	numbers numbered[dimension]
	next    uint32 // the number of the next dimension
	// dirty are the names of dimensions that differ from their records.
	dirty map[string]struct{}
	// undone are what the tx has to undo if it fails, in order.
	undone []func()
	// gone are the versions that have lost their place since the last commit.
	gone  []string
	queue queue[*dimension] // the facts
}

// A dimension is one property of installations.
type dimension struct {
	name   string
	number uint32
	byText map[string]*value
	values numbered[value]
	next   uint32 // the number of the next value
	queue  queue[*value]
}

// A value is one value of a dimension.
type value struct {
	number uint32
	text   string
	set    *bits.Set // the installations that have it
	// added is the day it was added; 0 if that was before the start.
	added collector.Day
}

// A dimensionRecord is what is stored of a dimension. The one without a name
// has the number of the next dimension.
type dimensionRecord struct {
	Number uint32 `json:"number"`
	// Next is the number of the next value, and Texts are the values by number.
	Next  uint32            `json:"next,omitzero"`
	Texts map[uint32]string `json:"texts,omitempty"`
	// Values stand for Texts in a store of version 1, where "" was a free number.
	Values []string `json:"values,omitempty"`
}

// dimensionCounter is the name of the record with the next number.
const dimensionCounter = ""

func newDimensions() dimensions {
	return dimensions{byName: make(map[string]*dimension), dirty: make(map[string]struct{})}
}

func newDimension(name string, number uint32) *dimension {
	return &dimension{name: name, number: number, byText: make(map[string]*value)}
}

func (d *dimensions) put(dim *dimension) {
	d.byName[dim.name] = dim
	d.numbers.put(dim.number, dim)
	d.next = max(d.next, dim.number+1)
}

func (d *dimensions) drop(dim *dimension) {
	delete(d.byName, dim.name)
	d.numbers.put(dim.number, nil)
}

func (d *dimension) put(v *value) {
	d.byText[v.text] = v
	d.values.put(v.number, v)
	d.next = max(d.next, v.number+1)
}

func (d *dimension) drop(v *value) {
	delete(d.byText, v.text)
	d.values.put(v.number, nil)
}

// get returns the dimension of that name, or nil.
func (d *dimensions) get(name string) *dimension { return d.byName[name] }

// sorted returns the dimensions in the order of their names.
func (d *dimensions) sorted() []*dimension {
	return slices.SortedFunc(maps.Values(d.byName), func(a, b *dimension) int { return cmp.Compare(a.name, b.name) })
}

// find returns the numbers of a label that has a place.
func (d *dimensions) find(l label) (pair, bool) {
	dim := d.byName[l.dim]
	if dim == nil {
		return pair{}, false
	}
	v := dim.byText[l.text]
	if v == nil {
		return pair{}, false
	}
	return pair{dim.number, v.number}, true
}

// at returns the value that rows with a number have: Other if the value has
// lost its place, and nil if there is none, or only a corrupt row has the number.
func (d *dimension) at(number uint32) *value {
	if v := d.values.at(number); v != nil || number >= d.next {
		return v
	}
	return d.byText[collector.Other]
}

// text returns the text of a value.
func (d *dimensions) text(p pair) string {
	dim := d.numbers.at(p.dim)
	switch {
	case dim == nil || p.value >= dim.next:
		return ""
	case dim.values.at(p.value) == nil:
		return collector.Other
	}
	return dim.values.at(p.value).text
}

// textIn returns the text of a state's value of the named dimension.
func (d *dimensions) textIn(s *state, name string) string {
	dim := d.byName[name]
	if dim == nil {
		return ""
	}
	number, ok := s.value(dim.number)
	if !ok {
		return ""
	}
	return d.text(pair{dim.number, number})
}

// firstVersion returns the value that a state has of the first version.
func (d *dimensions) firstVersion(s *state) (pair, bool) {
	dim := d.byName[collector.DimFirstVersion]
	if dim == nil || s.first == 0 {
		return pair{}, false
	}
	return pair{dim.number, uint32(s.first - 1)}, true
}

// all returns the pairs of a state, with the first version.
func (d *dimensions) all(s *state) []pair {
	if p, ok := d.firstVersion(s); ok {
		return append(slices.Clip(s.pairs), p)
	}
	return s.pairs
}

// texts returns the values of a state by dimension.
func (d *dimensions) texts(s *state) map[string]string {
	texts := make(map[string]string, len(s.pairs)+1)
	for _, p := range d.all(s) {
		if text := d.text(p); text != "" {
			texts[d.numbers.at(p.dim).name] = text
		}
	}
	return texts
}

// hash returns a hash of a state's texts that is never 0. Unlike numbers and
// [state.hash], it stays the same when the process restarts.
func (d *dimensions) hash(s *state) uint32 {
	h := fnv.New32a()
	for _, p := range s.pairs {
		name := ""
		if dim := d.numbers.at(p.dim); dim != nil {
			name = dim.name
		}
		io.WriteString(h, name+"\x00"+d.text(p)+"\x00")
	}
	return max(1, h.Sum32())
}

// update gives an installation the values of s in place of those of old, which
// is nil for a new one.
func (d *dimensions) update(num collector.Num, old, s *state) {
	if old != nil {
		for _, p := range old.pairs {
			if v, ok := s.value(p.dim); ok && v == p.value {
				continue
			}
			if dim := d.numbers.at(p.dim); dim != nil {
				if v := dim.at(p.value); v != nil {
					v.set.Remove(uint32(num))
				}
			}
		}
	}
	for _, p := range d.all(s) {
		dim := d.numbers.at(p.dim)
		if dim == nil || p.value >= dim.next {
			continue
		}
		v := dim.at(p.value)
		if v == nil {
			v = d.other(dim)
		}
		v.set.Add(uint32(num))
	}
}

// other returns the value Other of a dimension, which it adds if need be.
func (d *dimensions) other(dim *dimension) *value {
	if v := dim.byText[collector.Other]; v != nil {
		return v
	}
	return d.addValue(dim, collector.Other)
}

// ensure returns a value of a dimension. It adds both if need be, whatever their
// number.
func (d *dimensions) ensure(name, text string) *value {
	dim := d.byName[name]
	if dim == nil {
		dim = d.addDimension(name)
	}
	if v := dim.byText[text]; v != nil {
		return v
	}
	return d.addValue(dim, text)
}

// addValue adds a value to a dimension.
func (d *dimensions) addValue(dim *dimension, text string) *value {
	v := &value{number: dim.next, text: text, set: &bits.Set{}}
	dim.put(v)
	d.change(dim, func() { dim.drop(v) })
	return v
}

// addDimension adds a dimension.
func (d *dimensions) addDimension(name string) *dimension {
	dim := newDimension(name, d.next)
	d.put(dim)
	d.dirty[dimensionCounter] = struct{}{}
	d.change(dim, func() { d.drop(dim) })
	return dim
}

// evict makes the installations with a value count as Other.
func (d *dimensions) evict(dim *dimension, v *value) {
	other := d.other(dim)
	d.dropValue(dim, v)
	other.set.Or(v.set)
	d.change(dim, func() {
		other.set.AndNot(v.set)
		dim.put(v)
	})
}

// evictDimension removes a dimension: nobody reports it any more.
func (d *dimensions) evictDimension(dim *dimension) {
	d.drop(dim)
	d.change(dim, func() { d.put(dim) })
}

func (d *dimensions) change(dim *dimension, undo func()) {
	d.dirty[dim.name] = struct{}{}
	d.undone = append(d.undone, undo)
}

// dropValue removes a value from its dimension.
func (d *dimensions) dropValue(dim *dimension, v *value) {
	dim.drop(v)
	d.dirty[dim.name] = struct{}{}
	if dim.name == collector.DimVersion {
		d.gone = append(d.gone, v.text)
	}
}

// committed declares the changes durable.
func (d *dimensions) committed() {
	clear(d.dirty)
	d.undone, d.gone = nil, nil
}

// undo undoes what a failed tx has changed.
func (d *dimensions) undo() {
	for _, undo := range slices.Backward(d.undone) {
		undo()
	}
	d.undone = nil
	d.gone = slices.DeleteFunc(d.gone, func(text string) bool { return d.has(collector.DimVersion, text) })
}

// has reports whether a dimension has a value.
func (d *dimensions) has(name, text string) bool {
	_, ok := d.find(label{name, text})
	return ok
}

// remove removes installations from all values. Values and facts that nobody has
// any more lose their place.
func (d *dimensions) remove(nums *bits.Set) {
	for _, dim := range d.sorted() {
		for _, v := range dim.byText {
			if _, has := bits.FirstBoth(v.set, nums); !has {
				continue
			}
			if v.set.AndNot(nums); v.set.IsEmpty() {
				d.free(dim, v)
			}
		}
	}
}

// free removes a value that nobody has, and the dimension if it was its last.
func (d *dimensions) free(dim *dimension, v *value) {
	d.dropValue(dim, v)
	if len(dim.byText) == 0 && isFact(dim.name) {
		d.drop(dim)
	}
}

// reclaim frees the values and facts that nobody has.
func (d *dimensions) reclaim() {
	for _, dim := range d.sorted() {
		for _, v := range dim.byText {
			if v.set.IsEmpty() {
				d.free(dim, v)
			}
		}
	}
}

// records returns the records of the dirty dimensions.
func (d *dimensions) records(app collector.AppNum) []collector.Record {
	var records []collector.Record
	for _, name := range slices.Sorted(maps.Keys(d.dirty)) {
		key := collector.RecordKey{Kind: kindDims, App: app, Name: name}
		dim := d.byName[name]
		switch {
		case name == dimensionCounter:
			records = append(records, jsonRecord(key, dimensionRecord{Number: d.next}))
		case dim == nil:
			records = append(records, collector.Record{RecordKey: key})
		default:
			stored := dimensionRecord{Number: dim.number, Next: dim.next, Texts: make(map[uint32]string, len(dim.byText))}
			for text, v := range dim.byText {
				stored.Texts[v.number] = text
			}
			records = append(records, jsonRecord(key, stored))
		}
	}
	return records
}

// read adds a dimension that was stored.
func (d *dimensions) read(r collector.Record) error {
	var stored dimensionRecord
	if err := decodeRecord(r, &stored); err != nil {
		return err
	}
	if r.Name == dimensionCounter {
		d.next = max(d.next, stored.Number)
		return nil
	}
	dim := newDimension(r.Name, stored.Number)
	dim.next = max(stored.Next, uint32(len(stored.Values)))
	for i, text := range stored.Values {
		if text != "" {
			dim.put(&value{number: uint32(i), text: text, set: &bits.Set{}})
		}
	}
	for number, text := range stored.Texts {
		dim.put(&value{number: number, text: text, set: &bits.Set{}})
	}
	if d.numbers.at(dim.number) != nil {
		return describe(r.RecordKey, errors.New("another dimension has the number"))
	}
	d.put(dim)
	return nil
}

func isVersion(dimension string) bool {
	return dimension == collector.DimVersion || dimension == collector.DimFirstVersion
}

func isFact(dimension string) bool { return strings.HasPrefix(dimension, collector.FactDimension) }

// A label is the text of one value, before it has a number.
type label struct{ dim, text string }
