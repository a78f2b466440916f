package jsonedit

import (
	"bytes"
	"strings"
)

// A layout is how a new member is written, so that it looks like its
// surroundings.
type layout struct {
	before string // between the member and what it follows, or its comma
	behind string // between the member and what follows it

	colon         string // the colon and the blanks around it
	padding       string // inside the braces of an object on one line
	lines         bool   // each member has a line of its own; only then the next three are used
	newline       string // LF or CR LF
	indent        string // of the member
	unit          string // what indents one more level
	trailingComma bool   // the last member of each object has a comma
}

// insertion returns the splices that add a member to an object. The member is
// made of names, which are quoted: the last one has the value, and the others
// lead to it.
func insertion(text []byte, parent, top *object, names [][]byte, value []byte) []splice {
	if parent.count == 0 {
		at, l := layoutInEmpty(text, parent, top)
		return []splice{{offset: at, insert: l.write(names, value)}}
	}
	at, l := layoutAfterLast(text, parent, top)
	insert := l.write(names, value)
	if l.trailingComma {
		return []splice{{offset: at, insert: append(insert, ',')}}
	}
	return []splice{{offset: parent.last.valueEnd, insert: []byte{','}}, {offset: at, insert: insert}}
}

// replacement returns the splices that put an object in place of the null on
// the way to a key. It has one member, as an empty object would after
// insertion.
func replacement(text []byte, null *place, top *object, names [][]byte, value []byte) []splice {
	with := bytes.Clone(text)
	copy(with[null.value:null.valueEnd], "{}  ") // as long, so that the offsets stay
	empty := object{holder: null.holder, open: null.value, close: null.value + 1}
	_, l := layoutInEmpty(with, &empty, top)
	insert := append(append([]byte{'{'}, l.write(names, value)...), '}')
	return []splice{{null.value, null.valueEnd - null.value, insert}}
}

// layoutAfterLast returns where and how a member is added after the last one:
// behind the comments on the same line, which belong to that one, and before
// any others.
func layoutAfterLast(text []byte, parent, top *object) (at int, l layout) {
	last := parent.last
	l = layoutOf(text, parent, top)
	at = last.valueEnd
	if comma := commaAt(text, at); comma > 0 {
		at = comma + 1
		l.trailingComma = true
	}
	comment, end := lastComment(text, at, false)
	l.lines = ownLine(text, last.name)
	if comment > 0 {
		at = end
		l.before = " "
		l.lines = l.lines || text[comment+1] == '/'
	}
	if l.lines {
		l.newline = newlineAt(text, at)
		l.indent = lead(text, last.name)
		if lineStart(text, last.name) <= parent.open {
			l.indent += l.unit
		}
		l.before = l.newline + l.indent
		return at, l
	}

	switch between := string(text[parent.previousEnd:last.name]); {
	case l.before != "":
	case between == ",", between == ", ":
		l.before = between[1:]
	case strings.HasSuffix(l.colon, " "):
		l.before = " "
	}
	if text[parent.open+1] == ' ' && parent.first == parent.open+2 {
		l.padding = " "
	}
	return at, l
}

// layoutInEmpty returns where and how a member is added to an empty object:
// behind all comments.
func layoutInEmpty(text []byte, parent, top *object) (at int, l layout) {
	l = layoutOf(text, parent, top)
	at = parent.open + 1
	comment, end := lastComment(text, at, true)
	if comment > 0 {
		at = end
	}
	rest := string(text[at:parent.close])
	switch {
	case strings.Contains(rest, "\n") || comment > 0 && ownLine(text, comment):
		l.lines = true
	case comment > 0:
		l.before = " "
	case rest != "":
		l.before = rest
		l.padding = rest
	case parent.holder > 0:
		l.lines = ownLine(text, parent.holder)
	}
	if !l.lines {
		return at, l
	}
	l.newline = newlineAt(text, at)
	l.indent = lead(text, parent.open) + l.unit
	if comment > 0 && ownLine(text, comment) {
		l.indent = lead(text, comment)
	}
	l.before = l.newline + l.indent
	if !strings.Contains(rest, "\n") {
		l.behind = l.newline + lead(text, parent.open)
	}
	return at, l
}

// layoutOf returns the parts of a layout that do not depend on where in the
// object the member is added.
func layoutOf(text []byte, parent, top *object) layout {
	l := layout{colon: ": ", unit: "  "}
	for _, m := range []*object{top, parent} {
		switch colon := string(text[m.last.nameEnd:m.last.value]); colon {
		case ":", ": ", " :", " : ":
			l.colon = colon
		}
		inner, outer := lead(text, m.first), lead(text, m.open)
		if unit, ok := strings.CutPrefix(inner, outer); ok && unit != "" && ownLine(text, m.first) {
			l.unit = unit
		}
	}
	return l
}

// write returns the member and the text around it.
func (l *layout) write(names [][]byte, value []byte) []byte {
	b := []byte(l.before)
	for i, name := range names {
		if i > 0 {
			b = append(b, '{')
			b = l.appendGap(b, i)
		}
		b = append(b, name...)
		b = append(b, l.colon...)
	}
	b = append(b, value...)
	for i := len(names) - 2; i >= 0; i-- {
		if l.lines && l.trailingComma {
			b = append(b, ',')
		}
		b = l.appendGap(b, i)
		b = append(b, '}')
	}
	return append(b, l.behind...)
}

// appendGap appends the white space between a brace and a member, level levels
// further in than the new member.
func (l *layout) appendGap(b []byte, level int) []byte {
	if !l.lines {
		return append(b, l.padding...)
	}
	b = append(b, l.newline...)
	b = append(b, l.indent...)
	return append(b, strings.Repeat(l.unit, level)...)
}

// commaAt returns the offset of the comma at i, or behind white space and
// comments there, or 0.
func commaAt(text []byte, i int) int {
	for {
		switch text[i] {
		case ' ', '\t', '\r', '\n':
			i++
		case '/':
			i, _ = skipComment(text, i)
		case ',':
			return i
		default:
			return 0
		}
	}
}

// lastComment returns where the last comment at i begins and ends; start is 0
// if there is none. White space may be between comments. Only those on the line
// of i count unless all is set.
func lastComment(text []byte, i int, all bool) (start, end int) {
	for {
		switch text[i] {
		case '\n':
			if !all {
				return start, end
			}
			i++
		case ' ', '\t', '\r':
			i++
		case '/':
			start = i
			i, _ = skipComment(text, i)
			end = i
		default:
			return start, end
		}
	}
}

func lineStart(text []byte, i int) int { return 1 + bytes.LastIndexByte(text[:i], '\n') }

// lead returns the white space with which the line of i begins.
func lead(text []byte, i int) string {
	line := text[lineStart(text, i):i]
	return string(line[:len(line)-len(bytes.TrimLeft(line, " \t"))])
}

// ownLine reports whether i, which is inside an object, is the first thing on
// its line.
func ownLine(text []byte, i int) bool { return lineStart(text, i)+len(lead(text, i)) == i }

// newlineAt returns how the line of i ends, or the line before it, or LF if the
// text is one line.
func newlineAt(text []byte, i int) string {
	line, _, found := bytes.Cut(text[i:], []byte("\n"))
	if !found {
		line = text[:max(0, bytes.LastIndexByte(text[:i], '\n'))]
	}
	if bytes.HasSuffix(line, []byte("\r")) {
		return "\r\n"
	}
	return "\n"
}
