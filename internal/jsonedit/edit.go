package jsonedit

import (
	"fmt"

	"github.com/go-json-experiment/json/jsontext"
)

// splice is one change of a config: at offset, remove bytes give way to insert.
type splice struct {
	offset int
	remove int
	insert []byte
}

// Edit returns data with the value at key, whatever stood there before. Nothing else changes, not one byte:
// what is inserted follows the indentation, spacing, line ends and trailing commas around it. A missing member becomes
// the last one of its object, and missing objects on the way to it are made. A value that is there already leaves data
// as it is.
//
// The result was read again and compared with data before it is returned; what cannot be changed safely is an error
// and never a wrong result. The errors are those of scan, and none of them leaves a result.
func Edit(data []byte, key Key, value Scalar) ([]byte, error) {
	_, _, after, err := plan(data, key, value)
	return after, err
}

// apply returns data, which it leaves alone, with splices made. They must come from plan for the same data.
func apply(data []byte, splices []splice) []byte {
	size := len(data)
	for _, s := range splices {
		size += len(s.insert) - s.remove
	}
	result := make([]byte, 0, size)
	done := 0
	for _, s := range splices {
		result = append(result, data[done:s.offset]...)
		result = append(result, s.insert...)
		done = s.offset + s.remove
	}
	return append(result, data[done:]...)
}

// plan returns the changes that edit makes, in the order of their offsets: none, one, or a comma and a member; what stands
// at the key now; and the result.
func plan(data []byte, key Key, value Scalar) (splices []splice, now Value, after []byte, err error) {
	doc, err := parse(data, []Key{key})
	if err != nil {
		return nil, Value{}, nil, err
	}

	p := doc.places[0]
	if p.kind != Absent {
		now = newValue(p.kind, doc.std[p.value:p.valueEnd])
	}
	switch {
	case p.kind != Absent && value.is(doc.text[p.value:p.valueEnd]):
	case p.kind != Absent:
		splices = []splice{{p.value, p.valueEnd - p.value, value.raw}}
	default:
		names := make([][]byte, 0, len(key)-p.depth)
		for _, name := range key[p.depth:] {
			quotedName, err := jsontext.AppendQuote(nil, name)
			if err != nil {
				return nil, Value{}, nil, fmt.Errorf("key %q: invalid UTF-8", key.String())
			}
			names = append(names, quotedName)
		}
		splices = insertion(doc.text, &p.parent, &doc.top, names, value.raw)
	}

	mark := len(data) - len(doc.text)
	for i := range splices {
		splices[i].offset += mark
	}
	after = apply(data, splices)
	if err := verify(data, after, splices, key, value); err != nil {
		return nil, Value{}, nil, fmt.Errorf("edit %s: %w", key, err)
	}
	return splices, now, after, nil
}
