package jsonedit

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
)

// Scan returns what stands at each of the keys, in their order, after checking all of data in one pass.
//
// The error is ErrTooLarge, ErrEmpty, ErrTooDeep or a *SyntaxError, and then there are no values; or it wraps
// ErrNotObject, and then the values of the keys that it does not concern are returned with it.
func Scan(data []byte, keys []Key) ([]Value, error) {
	doc, err := parse(data, keys)
	if doc.places == nil {
		return nil, err
	}
	values := make([]Value, len(keys))
	for i, p := range doc.places {
		if p.kind != Absent {
			values[i] = newValue(p.kind, doc.std[p.value:p.valueEnd])
		}
	}
	return values, err
}

// document is a config that was checked from end to end.
type document struct {
	text   []byte  // the config without a byte order mark; offsets count from its beginning
	std    []byte  // the same as strict JSON: text itself, or a copy in which comments and trailing commas are blank
	places []place // one for each key
	top    members // of the top level, if that is an object
}

// strict reports whether the config has neither comments nor trailing commas.
func (d *document) strict() bool { return sameSlice(d.std, d.text) }

// place is where one key stands or would stand.
type place struct {
	kind     Kind // Absent if it does not stand anywhere
	value    int  // where its value begins
	valueEnd int

	// parent is the innermost object that exists on the way to the key, and depth the number of names that lead to it.
	parent members
	depth  int

	matched int  // how many names of the key lead to where the walker is
	reached int  // how many it has ever matched
	closed  bool // parent is known
}

// members is where the members of one object stand: enough to add one in the way of those that are there.
type members struct {
	holder      int // where the name of the member begins whose value this object is; -1 for the top level
	open, close int // its braces
	count       int
	first       int // where the name of the first member begins
	previousEnd int // where the value before the last one ends
	last        member
}

type member struct{ name, nameEnd, value, valueEnd int }

const byteOrderMark = "\xef\xbb\xbf"

// parse checks data and finds the keys. If an error wraps ErrNotObject, the document is complete.
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

	f := firstFault(text)
	if f == nil {
		if doc, ok, notObj := quickWalk(text, keys); ok {
			return doc, notObj
		}
	}
	sound := text
	if f != nil {
		sound = text[:f.offset]
	}
	doc, err := walk(text, sound, keys)
	if isSyntaxError(err) {
		std, inComment := blank(sound)
		if inComment != nil {
			std = std[:inComment.offset]
			if f == nil || !inComment.truncated {
				f = inComment
			}
		}
		if !sameSlice(std, sound) {
			doc, err = walk(text, std, keys)
		}
	}
	if f == nil || isSyntaxError(err) && !isTruncated(err) {
		return doc, err
	}
	if f.cutOff {
		// Where a whole character could not stand either, the end of the file is not what is wrong.
		whole := append(bytes.Clone(text[:f.offset]), "\uFFFD"...)
		if _, err := parse(whole, nil); isSyntaxError(err) && !isTruncated(err) {
			return document{}, syntaxErrorAt(text, f.offset, "invalid UTF-8")
		}
	}
	return document{}, f.error(text)
}

func isSyntaxError(err error) bool {
	_, ok := errors.AsType[*SyntaxError](err)
	return ok
}

func isTruncated(err error) bool {
	e, ok := errors.AsType[*SyntaxError](err)
	return ok && e.Truncated
}

// IsTorn reports whether an error of [Scan] or [Edit] may come from a document
// that another program is just writing.
func IsTorn(err error) bool { return isSyntaxError(err) || errors.Is(err, ErrEmpty) }

// IsCutShort reports whether data is empty, or a document without its end.
func IsCutShort(data []byte) bool {
	_, err := Scan(data, nil)
	return errors.Is(err, ErrEmpty) || isTruncated(err)
}

func sameSlice(a, b []byte) bool { return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0]) }
