package jsonedit

import (
	"bytes"
	"fmt"
	"slices"
	"unicode/utf8"
)

// A Change is one edit of one document, worked out and verified.
type Change struct {
	Old  Value  // the value that was replaced
	Data []byte // the edited document

	before []byte
	key    Key
	value  Scalar
}

// Edit sets key to value in data, whatever stood there before. Nothing else
// changes: what is inserted follows the indentation, spacing, line ends and
// trailing commas around it. A missing member becomes the last one of its
// object, and missing objects on the way to it are created, also in place of
// null. If the value is there already, data stays as it is.
//
// The change keeps data, which must not be modified any more. Its result has
// been read again and compared with data. The errors are those of [Scan], and
// one that wraps [ErrNotObject].
func Edit(data []byte, key Key, value Scalar) (*Change, error) {
	doc, err := parse(data, []Key{key})
	if err != nil {
		return nil, err
	}
	splices, err := doc.plan(key, value)
	if err != nil {
		return nil, err
	}
	mark := data[:len(data)-len(doc.text)]
	after := apply(mark, doc.text, splices)
	if len(after) > MaxSize {
		err = ErrTooLarge
	} else {
		err = verify(&doc, after[len(mark):], splices, key, value)
	}
	if err != nil {
		return nil, fmt.Errorf("edit %s: %w", key, err)
	}
	return &Change{Old: doc.at(0), Data: after, before: data, key: key, value: value}, nil
}

// Is reports whether Edit would return this change for the arguments.
func (c *Change) Is(data []byte, key Key, value Scalar) bool {
	return bytes.Equal(c.value.raw, value.raw) && slices.Equal(c.key, key) && bytes.Equal(c.before, data)
}

// A splice is a part of a change: at offset, remove bytes give way to insert.
type splice struct {
	offset int
	remove int
	insert []byte
}

// plan returns the splices of the text that set the only key of the document
// to the value, in the order of their offsets: none, one, or a comma and a
// member.
func (d *document) plan(key Key, value Scalar) ([]splice, error) {
	p := &d.places[0]
	if p.exists {
		if value.is(d.text[p.value:p.valueEnd]) {
			return nil, nil
		}
		return []splice{{p.value, p.valueEnd - p.value, value.raw}}, nil
	}
	switch {
	case d.top.count < 0:
		return nil, fmt.Errorf("top level: %w", ErrNotObject)
	case p.instead > 0 && !d.isNull(p):
		return nil, fmt.Errorf("%s: %w", key[:p.instead], ErrNotObject)
	}
	var names [][]byte
	for _, name := range key[max(p.depth, p.instead):] {
		if !utf8.ValidString(name) {
			return nil, fmt.Errorf("key %q: invalid UTF-8", key.String())
		}
		names = append(names, quoted(name))
	}
	if p.instead > 0 {
		return replacement(d.text, p, &d.top, names, value.raw), nil
	}
	return insertion(d.text, &p.parent, &d.top, names, value.raw), nil
}

// apply returns a copy of text, behind mark, with the splices made.
func apply(mark, text []byte, splices []splice) []byte {
	size := len(mark) + len(text)
	for _, s := range splices {
		size += len(s.insert) - s.remove
	}
	result := append(make([]byte, 0, size), mark...)
	done := 0
	for _, s := range splices {
		result = append(result, text[done:s.offset]...)
		result = append(result, s.insert...)
		done = s.offset + s.remove
	}
	return append(result, text[done:]...)
}
