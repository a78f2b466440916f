package jsonedit

import (
	"bytes"
	"fmt"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// walker goes through a document once. It looks into the objects on the way to the keys; everything else is checked
// and passed over by the decoder, which builds nothing.
type walker struct {
	dec jsontext.Decoder
	finder
}

// finder keeps what was found on the way through a document.
type finder struct {
	keys   []Key
	doc    document
	notObj error // the first reason to wrap ErrNotObject; a syntax error further on counts more
}

func newFinder(text, std []byte, keys []Key) finder {
	return finder{keys: keys, doc: document{text: text, std: std, places: make([]place, len(keys))}}
}

// walk finds the keys in std, which is strict JSON if it is valid, and reports errors by their line in text.
func walk(text, std []byte, keys []Key) (document, error) {
	w := walker{finder: newFinder(text, std, keys)}
	w.dec.Reset(bytes.NewBuffer(std),
		// Names that occur twice matter only on the way to a key.
		jsontext.AllowDuplicateNames(true),
		// The bytes were checked already. What is left are escapes of lone surrogates, which other readers accept.
		jsontext.AllowInvalidUTF8(true))
	if err := w.document(); err != nil {
		serr, ok := err.(*SyntaxError)
		if !ok {
			serr = syntaxError(text[:len(std)], err)
		}
		return document{}, serr
	}
	return w.doc, w.notObj
}

func (w *walker) document() error {
	if w.dec.PeekKind() == jsontext.KindBeginObject {
		if err := w.object(0, -1, &w.doc.top); err != nil {
			return err
		}
	} else {
		if _, err := w.dec.ReadValue(); err != nil {
			return err
		}
		if len(w.keys) > 0 {
			w.notObj = fmt.Errorf("top level: %w", ErrNotObject)
		}
	}
	rest := bytes.TrimLeft(w.doc.std[w.dec.InputOffset():], " \t\r\n")
	if len(rest) > 0 {
		offset := len(w.doc.std) - len(rest)
		return syntaxErrorAt(w.doc.text, offset, fmt.Sprintf("invalid character %q after top-level value", firstRune(rest)))
	}
	return nil
}

// object reads an object to which depth names lead, and records its members.
func (w *walker) object(depth, holder int, m *members) error {
	if _, err := w.dec.ReadToken(); err != nil {
		return err
	}
	*m = members{holder: holder, open: w.offset() - 1, previousEnd: w.offset()}
	for {
		switch w.dec.PeekKind() {
		case jsontext.KindEndObject:
			if _, err := w.dec.ReadToken(); err != nil {
				return err
			}
			m.close = w.offset() - 1
			w.closeObject(depth, m)
			return nil
		case jsontext.KindString:
		case jsontext.KindInvalid:
			_, err := w.dec.ReadToken()
			return err
		default:
			return w.notName()
		}
		if err := w.member(depth, m); err != nil {
			return err
		}
	}
}

func (w *walker) member(depth int, m *members) error {
	name, err := w.dec.ReadValue()
	if err != nil {
		return err
	}
	if m.count > 0 {
		m.previousEnd = m.last.valueEnd
	}
	m.last.nameEnd = w.offset()
	m.last.name = m.last.nameEnd - len(name)
	if m.count++; m.count == 1 {
		m.first = m.last.name
	}
	matched, further, err := w.match(name, depth, m.last.name)
	if err != nil {
		return err
	}

	kind := kindOf(w.dec.PeekKind())
	if further && kind == Object {
		var inner members
		if err := w.object(depth+1, m.last.name, &inner); err != nil {
			return err
		}
		m.last.value = inner.open
	} else {
		value, err := w.dec.ReadValue()
		if err != nil {
			return err
		}
		m.last.value = w.offset() - len(value)
	}
	m.last.valueEnd = w.offset()
	if matched {
		w.unmatch(depth, kind, m.last)
	}
	return nil
}

// match notes which keys the name leads on to, and whether some of them have further names.
func (f *finder) match(name []byte, depth, offset int) (matched, further bool, err error) {
	for i, key := range f.keys {
		p := &f.doc.places[i]
		if p.matched != depth || len(key) <= depth || !isString(name, key[depth]) {
			continue
		}
		if p.reached > depth {
			return false, false, syntaxErrorAt(f.doc.text, offset, fmt.Sprintf("duplicate member %q", key[depth]))
		}
		p.matched, p.reached = depth+1, depth+1
		matched = true
		further = further || len(key) > depth+1
	}
	return matched, further, nil
}

// unmatch takes back match, behind the value to which the name led.
func (f *finder) unmatch(depth int, kind Kind, m member) {
	for i, key := range f.keys {
		p := &f.doc.places[i]
		if p.matched != depth+1 {
			continue
		}
		p.matched = depth
		switch {
		case len(key) == depth+1:
			p.kind, p.value, p.valueEnd = kind, m.value, m.valueEnd
		case kind != Object && f.notObj == nil:
			f.notObj = fmt.Errorf("%s: %w", key[:depth+1], ErrNotObject)
		}
	}
}

// closeObject records an object as the parent of the keys for which no inner one was found.
func (f *finder) closeObject(depth int, m *members) {
	for i := range f.doc.places {
		if p := &f.doc.places[i]; p.matched == depth && !p.closed {
			p.parent, p.depth, p.closed = *m, depth, true
		}
	}
}

// notName is the error for a member that does not begin with a name, which the decoder would find only after the value
// in its place; and if that is cut off, not at all.
func (w *walker) notName() error {
	rest := bytes.TrimLeft(w.doc.std[w.offset():], ", \t\r\n")
	offset := len(w.doc.std) - len(rest)
	return syntaxErrorAt(w.doc.text, offset, fmt.Sprintf("invalid character %q at start of name", firstRune(rest)))
}

func (w *walker) offset() int { return int(w.dec.InputOffset()) }

func firstRune(text []byte) rune {
	r, _ := utf8.DecodeRune(text)
	return r
}
