package report

// A spec declares a field of T: its key, what operators read about it, and how
// it is read, written and checked. [Field] is the public part of it.
type spec[T any] struct {
	key      string
	since    int
	optional bool
	reason   string // empty for an object, whose fields have reasons
	codec    codec[T]
}

// A codec reads, writes and checks a field of T.
type codec[T any] interface {
	// describe returns the type and the bound in words.
	describe() (kind, bound string)
	// empty reports whether there is nothing to send.
	empty(t *T) bool
	// append appends the value, without the fields that are newer than the
	// schema.
	append(dst []byte, t *T, schema int) []byte
	// check checks a value that is not empty.
	check(t *T) *InvalidError
	// parse reads the value and checks its type and size. check does the rest.
	parse(r *reader, t *T) *InvalidError
}

// specs are the fields of an object, at most 64, in the order that they are
// written in.
type specs[T any] []spec[T]

// append appends the object. Fields that are newer than the schema are
// withheld: the operator was not asked about them.
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

// validate is check with an error that is nil if there is none.
func (s specs[T]) validate(t *T) error {
	if err := s.check(t); err != nil {
		return err
	}
	return nil
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

// parse reads the object. It leaves a required field that is empty to check.
func (s specs[T]) parse(r *reader, t *T) *InvalidError {
	if !r.enter('{') {
		return invalid(CodeWrongType)
	}
	var seen uint64
	for r.more() {
		i := s.index(r.key())
		if i < 0 {
			r.next()
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

// list appends the fields to dst, their names after the outer one.
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
