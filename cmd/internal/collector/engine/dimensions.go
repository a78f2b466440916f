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
// consist of these numbers; a number is not reused while an installation has
// the value.
//
// A value is added when a report first has it, and becomes durable with the
// commit of that report. If that fails, [dimensions.reclaim] removes it.
type dimensions struct {
	byName map[string]int
	list   []*dimension // by number
	// dirty are the dimensions that differ from their records.
	dirty map[int]struct{}
}

// A dimension is one property of installations.
type dimension struct {
	name string
	// texts are the values by number; "" is a free number.
	texts  []string
	byText map[string]int
	// sets are the installations with the value, by number.
	sets []*bits.Set
	// truncated means that values were left out because of the limit.
	truncated bool
}

// A dimensionRecord is what is stored of a dimension.
type dimensionRecord struct {
	Number    int      `json:"number"`
	Values    []string `json:"values"`
	Truncated bool     `json:"truncated,omitzero"`
}

func newDimensions() dimensions {
	return dimensions{byName: make(map[string]int), dirty: make(map[int]struct{})}
}

func newDimension(name string) *dimension {
	return &dimension{name: name, byText: make(map[string]int)}
}

func (d *dimensions) put(number int, dim *dimension) {
	for len(d.list) <= number {
		d.list = append(d.list, newDimension(""))
	}
	d.list[number] = dim
	d.byName[dim.name] = number
}

func (d *dimension) put(number int, text string) {
	for len(d.texts) <= number {
		d.texts = append(d.texts, "")
		d.sets = append(d.sets, &bits.Set{})
	}
	d.texts[number] = text
	if text != "" {
		d.byText[text] = number
	}
}

// get returns the dimension of that name, or nil.
func (d *dimensions) get(name string) *dimension {
	if i, ok := d.byName[name]; ok {
		return d.list[i]
	}
	return nil
}

// full reports whether the dimension has reached its limit, Other aside.
func (d *dimension) full() bool {
	limit := collector.MaxValues
	if isVersion(d.name) {
		limit = collector.MaxVersions
	}
	n := len(d.byText)
	if _, ok := d.byText[collector.Other]; ok {
		n--
	}
	return n >= limit
}

// facts counts the dimensions that are facts.
func (d *dimensions) facts() (n int) {
	for name := range d.byName {
		if strings.HasPrefix(name, collector.FactDimension) {
			n++
		}
	}
	return n
}

// find returns the numbers of a label, if it needs no new ones.
func (d *dimensions) find(l label) (pair, bool) {
	dim, ok := d.byName[l.dim]
	if !ok {
		return pair{}, false
	}
	list := d.list[dim]
	value, ok := list.byText[l.text]
	if !ok && list.truncated && list.full() {
		value, ok = list.byText[collector.Other]
	}
	return pair{uint32(dim), uint32(value)}, ok
}

// add returns the numbers of a label, and assigns them if need be: the value
// Other if there are too many values, none if there are too many facts.
func (d *dimensions) add(l label) (pair, bool) {
	if p, ok := d.find(l); ok {
		return p, true
	}
	dim, ok := d.byName[l.dim]
	if !ok {
		if strings.HasPrefix(l.dim, collector.FactDimension) && d.facts() >= collector.MaxFacts {
			return pair{}, false
		}
		dim = len(d.list)
		d.put(dim, newDimension(l.dim))
	}
	list := d.list[dim]
	d.dirty[dim] = struct{}{}
	if l.text != collector.Other && list.full() {
		list.truncated = true
		return d.add(label{l.dim, collector.Other})
	}
	value := slices.Index(list.texts, "")
	if value < 0 {
		value = len(list.texts)
	}
	list.put(value, l.text)
	return pair{uint32(dim), uint32(value)}, true
}

// has reports whether p is a value. Only a corrupt row has others.
func (d *dimensions) has(p pair) bool {
	return int(p.dim) < len(d.list) && int(p.value) < len(d.list[p.dim].texts)
}

// text returns the text of a value.
func (d *dimensions) text(p pair) string {
	if !d.has(p) {
		return ""
	}
	return d.list[p.dim].texts[p.value]
}

// textIn returns the text of a state's value of the named dimension.
func (d *dimensions) textIn(s *state, name string) string {
	dim, ok := d.byName[name]
	if !ok {
		return ""
	}
	value, ok := s.value(uint32(dim))
	if !ok {
		return ""
	}
	return d.text(pair{uint32(dim), value})
}

// firstVersion returns the value that a state has of the first version.
func (d *dimensions) firstVersion(s *state) (pair, bool) {
	dim, ok := d.byName[collector.DimFirstVersion]
	if !ok || s.first == 0 {
		return pair{}, false
	}
	return pair{uint32(dim), uint32(s.first - 1)}, true
}

// texts returns the values of a state by dimension.
func (d *dimensions) texts(s *state) map[string]string {
	texts := make(map[string]string, len(s.pairs)+1)
	pairs := slices.Clone(s.pairs)
	if p, ok := d.firstVersion(s); ok {
		pairs = append(pairs, p)
	}
	for _, p := range pairs {
		if d.has(p) {
			texts[d.list[p.dim].name] = d.text(p)
		}
	}
	return texts
}

// hash returns a hash of a state's texts that is never 0. Unlike numbers and
// [state.hash], it stays the same when the process restarts and numbers are
// reused.
func (d *dimensions) hash(s *state) uint32 {
	h := fnv.New32a()
	for _, p := range s.pairs {
		name := ""
		if d.has(p) {
			name = d.list[p.dim].name
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
			if v, ok := s.value(p.dim); (!ok || v != p.value) && d.has(p) {
				d.list[p.dim].sets[p.value].Remove(uint32(num))
			}
		}
	}
	pairs := s.pairs
	if p, ok := d.firstVersion(s); ok {
		pairs = append(slices.Clip(pairs), p)
	}
	for _, p := range pairs {
		if d.has(p) {
			d.list[p.dim].sets[p.value].Add(uint32(num))
		}
	}
}

// remove removes an installation from all values.
func (d *dimensions) remove(num collector.Num) {
	for _, dim := range d.list {
		for _, set := range dim.sets {
			set.Remove(uint32(num))
		}
	}
}

// reclaim frees the values that no installation has.
func (d *dimensions) reclaim() {
	for number, dim := range d.list {
		before := len(dim.byText)
		for i, text := range dim.texts {
			if text != "" && dim.sets[i].Count() == 0 {
				dim.texts[i] = ""
				delete(dim.byText, text)
			}
		}
		if len(dim.byText) != before {
			dim.truncated = dim.truncated && dim.full()
			d.dirty[number] = struct{}{}
		}
	}
}

// records returns the records of the dirty dimensions.
func (d *dimensions) records(app collector.AppNum) []collector.Record {
	var records []collector.Record
	for _, i := range slices.Sorted(maps.Keys(d.dirty)) {
		dim := d.list[i]
		key := collector.RecordKey{Kind: kindDims, App: app, Name: dim.name}
		records = append(records, jsonRecord(key, dimensionRecord{Number: i, Values: dim.texts, Truncated: dim.truncated}))
	}
	return records
}

// read adds a dimension that was stored.
func (d *dimensions) read(r collector.Record) error {
	var stored dimensionRecord
	if err := decodeRecord(r, &stored); err != nil {
		return err
	}
	if stored.Number < 0 || stored.Number > 2*collector.MaxFacts {
		return describe(r.RecordKey, errors.New("number is out of range"))
	}
	dim := newDimension(r.Name)
	dim.truncated = stored.Truncated
	for i, text := range stored.Values {
		dim.put(i, text)
	}
	d.put(stored.Number, dim)
	return nil
}

func isVersion(dimension string) bool {
	return dimension == collector.DimVersion || dimension == collector.DimFirstVersion
}

// A label is the text of one value, before it has a number.
type label struct{ dim, text string }

// state returns the state that labels describe. Values that have no number yet
// get one.
func (f *fleet) state(labels []label) state {
	s := state{pairs: make([]pair, 0, len(labels))}
	for _, l := range labels {
		if p, ok := f.number(l); ok {
			s.pairs = append(s.pairs, p)
		}
	}
	slices.SortFunc(s.pairs, func(a, b pair) int { return cmp.Compare(a.dim, b.dim) })
	return s
}

// number returns the numbers of a label. Only the writer calls it, so it needs
// the lock just to add one.
func (f *fleet) number(l label) (pair, bool) {
	p, ok := f.dims.find(l)
	if !ok {
		f.mu.Lock()
		p, ok = f.dims.add(l)
		f.mu.Unlock()
	}
	return p, ok
}
