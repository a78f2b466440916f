package report

// A spec is the one declaration of a field of T: its key, what operators read about it, and how it is read, written and
// checked. [Field] is its public face.
type spec[T any] struct {
	key      string
	since    int
	optional bool
	reason   string // empty for an object, whose fields have their own
	codec    codec[T]
}

// A codec is what a field of T is made of.
type codec[T any] interface {
	// describe gives the type and the bound in words.
	describe() (kind, bound string)
	// empty tells whether there is nothing to send.
	empty(t *T) bool
	// append writes the value, as far as it belongs to the schema.
	append(dst []byte, t *T, schema int) []byte
	// check looks at a value that is not empty.
	check(t *T) *InvalidError
	// parse reads the value and looks at its type and size; check does the rest.
	parse(r *reader, t *T) *InvalidError
}

// specs are the fields of an object, at most 64, in the order in which they are written.
type specs[T any] []spec[T]

// append writes the object. What came after the schema is withheld: nobody agreed to it.
func (s specs[T]) append(dst []byte, t *T, schema int) []byte {
	dst = append(dst, '{')
	first := true
	for i := range s {
		f := &s[i]
		if f.since > schema || f.optional && f.codec.empty(t) {
			continue
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = append(dst, '"')
		dst = append(dst, f.key...)
		dst = append(dst, '"', ':')
		dst = f.codec.append(dst, t, schema)
	}
	return append(dst, '}')
}

func (s specs[T]) check(t *T) *InvalidError {
	for i := range s {
		f := &s[i]
		if f.codec.empty(t) {
			if !f.optional {
				return invalid(CodeMissing).in(f.key)
			}
			continue
		}
		if err := f.codec.check(t); err != nil {
			return err.in(f.key)
		}
	}
	return nil
}

// parse reads the object. A required field that is empty is left to check.
func (s specs[T]) parse(r *reader, t *T) *InvalidError {
	if !r.enter('{') {
		return invalid(CodeWrongType)
	}
	var seen uint64
	for r.more() {
		i := s.index(r.key())
		if i < 0 {
			r.skip()
			r.dropped.Fields++
			continue
		}
		if seen&(1<<i) != 0 {
			return invalid(CodeDuplicate).in(s[i].key)
		}
		seen |= 1 << i
		if err := s[i].codec.parse(r, t); err != nil {
			return err.in(s[i].key)
		}
	}
	for i := range s {
		if !s[i].optional && seen&(1<<i) == 0 {
			return invalid(CodeMissing).in(s[i].key)
		}
	}
	return nil
}

func (s specs[T]) index(key []byte) int {
	for i := range s {
		if s[i].key == string(key) {
			return i
		}
	}
	return -1
}

// list adds the fields to those in dst, with their outer name before them.
func (s specs[T]) list(dst []Field, outer string) []Field {
	for _, f := range s {
		if o, ok := f.codec.(object[T]); ok {
			dst = specs[T](o).list(dst, outer+f.key+".")
			continue
		}
		kind, bound := f.codec.describe()
		dst = append(dst, Field{outer + f.key, kind, f.since, bound, f.reason, f.optional})
	}
	return dst
}
