package jsonedit

import (
	"bytes"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/rollcall-dev/rollcall/internal/jsonscan"
)

// The limits of a document. Beyond them it is refused before it costs more
// than one look at each of its bytes; TestHostileInput shows the bounds.
const (
	// MaxSize is the size in bytes of the largest document.
	MaxSize = 8 << 20

	// MaxDepth is how deep objects and arrays may be nested.
	MaxDepth = 1000
)

// Why a document is refused, besides [*SyntaxError].
var (
	// ErrEmpty means that the document has no content: no byte, or only white
	// space or a byte order mark.
	ErrEmpty = errors.New("empty")

	// ErrNotObject means that the top level, or something but null on the way
	// to a key, exists but cannot hold members. The error of [Edit] that wraps
	// it names which.
	ErrNotObject = errors.New("not an object")

	// ErrTooLarge means that the document is, or would become, larger than
	// [MaxSize].
	ErrTooLarge = fmt.Errorf("larger than %d bytes", MaxSize)

	// ErrTooDeep means that the document is nested deeper than [MaxDepth].
	ErrTooDeep = fmt.Errorf("nested deeper than %d levels", MaxDepth)
)

// A SyntaxError says where and why a document is not JSON with comments and
// trailing commas, or is ambiguous, because a name on the way to the key
// occurs twice. Its text quotes at most one character of the document.
type SyntaxError struct {
	Line   int // from 1
	Column int // from 1, in bytes; a byte order mark is not counted
	Msg    string

	// Truncated means that only the end is missing: the document is the
	// beginning of a valid one, such as a file that another program has not
	// written to its end.
	Truncated bool
}

func (e *SyntaxError) Error() string {
	return fmt.Sprintf("line %d, column %d: %s", e.Line, e.Column, e.Msg)
}

// asSyntaxError returns the SyntaxError in the tree of err, or nil.
func asSyntaxError(err error) *SyntaxError {
	if err == nil {
		return nil
	}
	var e *SyntaxError
	errors.As(err, &e)
	return e
}

func isTruncated(err error) bool {
	e := asSyntaxError(err)
	return e != nil && e.Truncated
}

func syntaxErrorAt(text []byte, offset int, msg string) *SyntaxError {
	before := text[:offset]
	return &SyntaxError{
		Line:   1 + bytes.Count(before, []byte("\n")),
		Column: offset - bytes.LastIndexByte(before, '\n'),
		Msg:    msg,
	}
}

func truncatedAt(text []byte, offset int, msg string) *SyntaxError {
	err := syntaxErrorAt(text, offset, msg)
	err.Truncated = true
	return err
}

// syntaxError puts a failure into words.
func (p *parser) syntaxError(failure int) *SyntaxError {
	offset, why := jsonscan.DecodeFailure(failure)
	text := p.doc.strict
	if offset >= len(text) {
		return truncatedAt(p.doc.text, len(text), "unexpected end of file")
	}
	r, _ := utf8.DecodeRune(text[offset:])
	msg := fmt.Sprintf("invalid character %q ", r)
	switch why {
	case jsonscan.WantValue:
		msg += "at start of value"
	case jsonscan.WantName:
		msg += "at start of name"
	case jsonscan.WantColon:
		msg += "after object name (expecting ':')"
	case jsonscan.WantCommaOrBrace:
		msg += "after object value (expecting ',' or '}')"
	case jsonscan.WantCommaOrBracket:
		msg += "after array element (expecting ',' or ']')"
	case jsonscan.WantDigit:
		msg += "in number (expecting digit)"
	case jsonscan.WantLiteral:
		msg += "in literal " + wantedLiteral(text[:offset])
	case jsonscan.WantPlain:
		msg += "in string (expecting non-control character)"
	case jsonscan.WantEnd:
		msg += "after top-level value"
	case jsonscan.BadEscape:
		msg = "invalid escape sequence in string"
	case jsonscan.DuplicateName:
		msg = fmt.Sprintf("duplicate member %q", p.duplicate)
	}
	return syntaxErrorAt(p.doc.text, offset, msg)
}

// wantedLiteral describes the literal with whose beginning text ends.
func wantedLiteral(text []byte) string {
	for _, literal := range []string{"true", "false", "null"} {
		for n := 1; n < len(literal); n++ {
			if bytes.HasSuffix(text, []byte(literal[:n])) {
				return fmt.Sprintf("%s (expecting %q)", literal, literal[n])
			}
		}
	}
	return ""
}

// A defect is a reason to refuse a document that the parser would not see, or
// not survive. It counts only if the parser finds no error before offset.
type defect struct {
	offset    int
	msg       string
	truncated bool
	cutOff    bool // offset is where the last character begins, whose end is missing
	deep      bool
}

func (d *defect) error(text []byte) error {
	switch {
	case d.deep:
		return ErrTooDeep
	case d.truncated:
		return truncatedAt(text, d.offset, d.msg)
	default:
		return syntaxErrorAt(text, d.offset, d.msg)
	}
}

// firstDefect finds the first byte that makes text no text at all, or too deep.
// It returns nil if there is none.
func firstDefect(text []byte) *defect {
	var first *defect
	sound := text
	if i := bytes.IndexByte(sound, 0); i >= 0 {
		first = &defect{offset: i, msg: "NUL byte: binary, or UTF-16 without a byte order mark"}
		sound = text[:i]
	}
	if !utf8.Valid(sound) {
		i := firstInvalidUTF8(sound)
		first = &defect{offset: i, msg: "invalid UTF-8"}
		if !utf8.FullRune(text[i:]) {
			first = &defect{offset: i, msg: "character cut off at end of file", truncated: true, cutOff: true}
		}
		sound = text[:i]
	}
	// Counting brackets takes a hundredth of the time of following them, and
	// is enough for nearly every config.
	if bytes.Count(sound, []byte("{"))+bytes.Count(sound, []byte("[")) > MaxDepth {
		if i := tooDeepAt(sound); i > 0 {
			first = &defect{offset: i, deep: true}
		}
	}
	return first
}

// firstInvalidUTF8 returns the offset of the first byte that makes text invalid.
func firstInvalidUTF8(text []byte) int {
	for i := 0; ; {
		r, n := utf8.DecodeRune(text[i:])
		if r == utf8.RuneError && n == 1 {
			return i
		}
		i += n
	}
}
