package report

import "slices"

// contextCodec is the field of a group's context. Like the facts of a heartbeat, its keys are the host's: what is wrong
// with an entry costs that entry, not the report.
type contextCodec struct{}

const contextBound = "at most 8 entries, each a code of at most 64 characters under a key that the program declared"

func (contextCodec) describe() (string, string) { return typeMap, contextBound }
func (contextCodec) empty(g *Fault) bool        { return len(g.Context) == 0 }

func (contextCodec) append(dst []byte, g *Fault, _ int) []byte {
	var array [MaxContext]string
	keys := array[:0]
	for key := range g.Context {
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
		dst = appendText(dst, g.Context[key])
	}
	return append(dst, '}')
}

func (contextCodec) check(g *Fault) *InvalidError {
	if len(g.Context) > MaxContext {
		return outOfBounds(contextBound)
	}
	for key, value := range g.Context {
		if !ValidName(key) || !ValidCode(value) {
			return outOfBounds(contextBound)
		}
	}
	return nil
}

func (contextCodec) parse(r *reader, g *Fault) *InvalidError {
	if !r.enter('{') {
		return invalid(CodeWrongType)
	}
	for r.more() {
		key := string(r.key())
		value, ok := r.text()
		if !ok {
			r.skip()
		}
		_, twice := g.Context[key]
		switch {
		case twice:
			return invalid(CodeDuplicate)
		case !ok || !ValidName(key) || !ValidCode(string(value)) || len(g.Context) == MaxContext:
			r.dropped.Context++
		default:
			if g.Context == nil {
				g.Context = make(map[string]string, 1)
			}
			g.Context[key] = string(value)
		}
	}
	return nil
}
