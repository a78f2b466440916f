package report

import "slices"

// faultsCodec is the codec of the list of faults.
type faultsCodec struct{}

const faultsBound = "1 to 25 faults, no two with the same codes"

func (faultsCodec) describe() (string, string) { return typeList, faultsBound }
func (faultsCodec) empty(h *HealthReport) bool { return len(h.Faults) == 0 }

func (faultsCodec) append(dst []byte, h *HealthReport, schema int) []byte {
	dst = append(dst, '[')
	for i := range h.Faults {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = faultSpecs.append(dst, &h.Faults[i], schema)
	}
	return append(dst, ']')
}

func (faultsCodec) check(h *HealthReport) *InvalidError {
	if len(h.Faults) > MaxFaults {
		return outOfBounds(faultsBound)
	}
	for i := range h.Faults {
		f := &h.Faults[i]
		if err := faultSpecs.check(f); err != nil {
			return inElement(err)
		}
		if f.Last.Before(f.First) {
			return inElement(outOfBounds("not before first").in("last"))
		}
		same := func(other Fault) bool { return other.Key() == f.Key() }
		if slices.ContainsFunc(h.Faults[:i], same) {
			return invalid(CodeDuplicate)
		}
	}
	return nil
}

func (faultsCodec) parse(r *reader, h *HealthReport) *InvalidError {
	if !r.enter('[') {
		return invalid(CodeWrongType)
	}
	for r.more() {
		if len(h.Faults) == MaxFaults {
			return outOfBounds(faultsBound)
		}
		h.Faults = append(h.Faults, Fault{})
		if err := faultSpecs.parse(r, &h.Faults[len(h.Faults)-1]); err != nil {
			return inElement(err)
		}
	}
	return nil
}

// inElement returns the error of a fault as one of the list. A non-object
// element is an error of the list itself.
func inElement(err *InvalidError) *InvalidError {
	if err.Field != "" {
		err.Field = "[]." + err.Field
	}
	return err
}

// contextCodec is the codec of a fault's context. Like those of facts, its
// keys are the host's: a malformed entry is dropped and counted.
type contextCodec struct{}

const contextBound = "at most 8 entries, each a code of at most 64 characters under a key that the program declared"

func (contextCodec) describe() (string, string) { return typeMap, contextBound }
func (contextCodec) empty(f *Fault) bool        { return len(f.Context) == 0 }

func (contextCodec) append(dst []byte, f *Fault, _ int) []byte {
	var array [MaxContext]string
	keys := array[:0]
	for key := range f.Context {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	dst = append(dst, '{')
	for i, key := range keys {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendText(dst, key)
		dst = append(dst, ':')
		dst = appendText(dst, f.Context[key])
	}
	return append(dst, '}')
}

func (contextCodec) check(f *Fault) *InvalidError {
	if len(f.Context) > MaxContext {
		return outOfBounds(contextBound)
	}
	for key, value := range f.Context {
		if !ValidName(key) || !ValidCode(value) {
			return outOfBounds(contextBound)
		}
	}
	return nil
}

func (contextCodec) parse(r *reader, f *Fault) *InvalidError {
	if !r.enter('{') {
		return invalid(CodeWrongType)
	}
	for r.more() {
		key := string(r.key())
		value, ok := r.text()
		if !ok {
			r.next()
		}
		_, twice := f.Context[key]
		switch {
		case twice:
			return invalid(CodeDuplicate)
		case !ok || !ValidName(key) || !ValidCode(string(value)) || len(f.Context) == MaxContext:
			r.dropped.Context++
		default:
			if f.Context == nil {
				f.Context = make(map[string]string, 1)
			}
			f.Context[key] = string(value)
		}
	}
	return nil
}
