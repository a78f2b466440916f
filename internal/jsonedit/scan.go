package jsonedit

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
)

// Scan returns the values at the keys, in their order, after checking all of
// data.
//
// The error is [ErrTooLarge], [ErrEmpty], [ErrTooDeep] or a *[SyntaxError].
func Scan(data []byte, keys []Key) ([]Value, error) {
	doc, err := parse(data, keys)
	if err != nil {
		return nil, err
	}
	values := make([]Value, len(keys))
	for i := range doc.places {
		values[i] = doc.at(i)
	}
	return values, nil
}

// IsTorn reports whether an error of [Scan] or [Edit] may be due to a document
// that another program has not written to its end.
func IsTorn(err error) bool { return asSyntaxError(err) != nil || errors.Is(err, ErrEmpty) }

// IsCutShort reports whether data is empty, or the beginning of a document.
func IsCutShort(data []byte) bool {
	_, err := Scan(data, nil)
	return errors.Is(err, ErrEmpty) || isTruncated(err)
}

// A document has been checked from end to end.
type document struct {
	text   []byte  // without a byte order mark; offsets count from its beginning
	strict []byte  // text itself, or a copy in which comments and trailing commas are blank
	places []place // one for each key
	top    object  // the top level; its count is negative if that is not an object
}

// isStrict reports whether the document has neither comments nor trailing
// commas.
func (d *document) isStrict() bool { return sameSlice(d.strict, d.text) }

// at returns the value of the key with index i.
func (d *document) at(i int) Value {
	p := &d.places[i]
	switch {
	case p.exists:
		return valueOf(d.strict[p.value:p.valueEnd])
	case d.top.count < 0:
		return Value{Kind: Blocked}
	case p.instead > 0:
		if v := valueOf(d.strict[p.value:p.valueEnd]); v.Kind != Null {
			return Value{Kind: Blocked, Text: v.Text, Long: v.Long}
		}
	}
	return Value{}
}

// isNull reports whether null stands in place of an object on the way to a key.
func (d *document) isNull(p *place) bool { return p.instead > 0 && d.strict[p.value] == 'n' }

// A place is where a key is, or would be inserted.
type place struct {
	exists   bool
	instead  int // the number of names that lead to what stands in place of an object; 0 if nothing does
	holder   int // where the name of that begins
	value    int // where its value begins, or what stands in place of an object
	valueEnd int

	// parent is the innermost object that exists on the way to the key, and
	// depth the number of names that lead to it.
	parent object
	depth  int

	// While the document is parsed:
	matched int  // how many names of the key lead to the current offset
	reached int  // the largest value of matched so far
	closed  bool // parent is known
}

// An object is where the members of one object are: as much as it takes to add
// one in the style of the others.
type object struct {
	holder      int // where the name of the member begins whose value it is; 0 for the top level
	open, close int // its braces
	count       int
	first       int // where the name of the first member begins
	previousEnd int // where the value before the last one ends; 0 if there is none
	last        member
}

type member struct{ name, nameEnd, value, valueEnd int }

const byteOrderMark = "\xef\xbb\xbf"

// parse checks data and finds the keys.
func parse(data []byte, keys []Key) (document, error) {
	for _, key := range keys {
		if err := key.Check(); err != nil {
			return document{}, fmt.Errorf("key %q: %w", key.String(), err)
		}
	}
	if len(data) > MaxSize {
		return document{}, ErrTooLarge
	}
	text := bytes.TrimPrefix(data, []byte(byteOrderMark))
	if len(bytes.TrimLeft(text, " \t\r\n")) == 0 {
		return document{}, ErrEmpty
	}
	if bytes.HasPrefix(text, []byte("\xff\xfe")) || bytes.HasPrefix(text, []byte("\xfe\xff")) {
		return document{}, syntaxErrorAt(text, 0, "looks like UTF-16, want UTF-8")
	}
	if strings.HasPrefix(byteOrderMark, string(text[:min(len(text), len(byteOrderMark))])) {
		return document{}, truncatedAt(text, 0, "byte order mark cut off at end of file")
	}

	// The parser sees only what is text, and not too deep. A defect beyond
	// that counts unless the parser finds an error before it.
	limit := firstDefect(text)
	readable := text
	if limit != nil {
		readable = text[:limit.offset]
	}
	doc, err := parseStrict(text, readable, keys)
	if asSyntaxError(err) != nil {
		strict, inComment := blankComments(readable)
		if inComment != nil {
			strict = strict[:inComment.offset]
			if limit == nil || !inComment.truncated {
				limit = inComment
			}
		}
		if !sameSlice(strict, readable) {
			doc, err = parseStrict(text, strict, keys)
		}
	}
	if limit == nil || asSyntaxError(err) != nil && !isTruncated(err) {
		return doc, err
	}
	if limit.cutOff {
		// If no character is allowed there, its missing end is not the mistake.
		whole := append(bytes.Clone(text[:limit.offset]), "\uFFFD"...)
		if _, err := parse(whole, nil); asSyntaxError(err) != nil && !isTruncated(err) {
			return document{}, syntaxErrorAt(text, limit.offset, "invalid UTF-8")
		}
	}
	return document{}, limit.error(text)
}

func sameSlice(a, b []byte) bool { return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0]) }
