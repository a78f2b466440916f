package jsonedit

import "github.com/rollcall-dev/rollcall/internal/jsonscan"

// A parser goes through a document once. It looks into the objects on the way
// to the keys and skips everything else.
//
// Its methods take and return offsets as the skip functions do.
type parser struct {
	keys      []Key
	doc       document
	duplicate string // the name that is there twice, after such a failure
}

// parseStrict finds the keys in strict, which is text or its beginning, without
// comments and trailing commas. It is valid UTF-8 and at most MaxDepth deep. The
// error is a *SyntaxError.
func parseStrict(text, strict []byte, keys []Key) (document, error) {
	p := parser{keys: keys, doc: document{text: text, strict: strict, places: make([]place, len(keys))}}
	if end := p.document(); jsonscan.Failed(end) {
		return document{}, p.syntaxError(end)
	}
	return p.doc, nil
}

func (p *parser) document() int {
	text := p.doc.strict
	i := jsonscan.SkipSpace(text, 0)
	if jsonscan.ByteAt(text, i) == '{' {
		i = p.object(i, 0, 0, &p.doc.top)
	} else {
		i = jsonscan.SkipValue(text, i)
		p.doc.top.count = -1
	}
	if jsonscan.Failed(i) {
		return i
	}
	if i = jsonscan.SkipSpace(text, i); i < len(text) {
		return jsonscan.Failure(i, jsonscan.WantEnd)
	}
	return i
}

// object reads an object to which depth names lead, and records where it is.
func (p *parser) object(i, depth, holder int, o *object) int {
	text := p.doc.strict
	*o = object{holder: holder, open: i}
	i = jsonscan.SkipSpace(text, i+1)
	for more := jsonscan.ByteAt(text, i) != '}'; more; {
		if i = p.member(i, depth, o); jsonscan.Failed(i) {
			return i
		}
		i = jsonscan.SkipSpace(text, i)
		if more = jsonscan.ByteAt(text, i) == ','; more {
			i = jsonscan.SkipSpace(text, i+1)
		}
	}
	if jsonscan.ByteAt(text, i) != '}' {
		return jsonscan.Failure(i, jsonscan.WantCommaOrBrace)
	}
	o.close = i
	p.leaveObject(depth, o)
	return i + 1
}

func (p *parser) member(i, depth int, o *object) int {
	text := p.doc.strict
	o.previousEnd = o.last.valueEnd
	o.last.name = i
	if i = jsonscan.SkipName(text, i); jsonscan.Failed(i) {
		return i
	}
	o.last.nameEnd = i
	if o.count++; o.count == 1 {
		o.first = o.last.name
	}
	matched, duplicate := p.match(text[o.last.name:i], depth)
	if duplicate {
		return jsonscan.Failure(o.last.name, jsonscan.DuplicateName)
	}
	if i = jsonscan.SkipColon(text, i); jsonscan.Failed(i) {
		return i
	}
	o.last.value = i
	isObject := jsonscan.ByteAt(text, i) == '{'
	if matched && isObject {
		var inner object
		i = p.object(i, depth+1, o.last.name, &inner)
	} else {
		i = jsonscan.SkipValue(text, i)
	}
	if jsonscan.Failed(i) {
		return i
	}
	o.last.valueEnd = i
	if matched {
		p.unmatch(depth, isObject, o.last)
	}
	return i
}

// match records which keys a name at this depth continues, and reports whether
// there are any, and whether the name is a duplicate.
func (p *parser) match(name []byte, depth int) (matched, duplicate bool) {
	for i, key := range p.keys {
		at := &p.doc.places[i]
		if at.matched != depth || len(key) <= depth || !isString(name, key[depth]) {
			continue
		}
		if at.reached > depth {
			p.duplicate = key[depth]
			return false, true
		}
		at.matched, at.reached = depth+1, depth+1
		matched = true
	}
	return matched, false
}

// unmatch reverts match after the value of the member has been read.
func (p *parser) unmatch(depth int, isObject bool, m member) {
	for i, key := range p.keys {
		at := &p.doc.places[i]
		if at.matched != depth+1 {
			continue
		}
		at.matched = depth
		switch {
		case len(key) == depth+1:
			at.exists, at.value, at.valueEnd = true, m.value, m.valueEnd
		case !isObject:
			at.instead, at.holder, at.value, at.valueEnd = depth+1, m.name, m.value, m.valueEnd
		}
	}
}

// leaveObject records an object as the parent of the keys for which no inner
// one was found.
func (p *parser) leaveObject(depth int, o *object) {
	for i := range p.doc.places {
		if at := &p.doc.places[i]; at.matched == depth && !at.closed {
			at.parent, at.depth, at.closed = *o, depth, true
		}
	}
}
