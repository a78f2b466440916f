package jsonedit

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// What a config may be at most. Beyond that it is refused before it costs more than one look at each of its bytes;
// TestHostileInput shows the bounds.
const (
	// MaxSize is the largest config in bytes.
	MaxSize = 8 << 20

	// MaxDepth is how many objects and arrays may stand inside one another.
	MaxDepth = 1000
)

// Why a config is refused, besides [*SyntaxError].
var (
	// ErrEmpty says that a config has no content: no byte, or only white space or a byte order mark.
	ErrEmpty = errors.New("empty")

	// ErrNotObject says that the top level of a config, or something on the way to a key, is there but cannot hold
	// members. The error that wraps it names which.
	ErrNotObject = errors.New("not an object")

	// ErrTooLarge says that a config is, or would become, larger than [MaxSize].
	ErrTooLarge = fmt.Errorf("larger than %d bytes", MaxSize)

	// ErrTooDeep says that a config is nested deeper than [MaxDepth].
	ErrTooDeep = fmt.Errorf("nested deeper than %d levels", MaxDepth)
)

// SyntaxError says where and why a config cannot be read as JSON with comments and trailing commas, or cannot be read
// in only one way, since a name on the way to the key occurs twice. Its text holds at most one character of the config.
type SyntaxError struct {
	Line   int // from 1
	Column int // from 1, in bytes; a byte order mark is not counted
	Msg    string

	// Truncated says that nothing is wrong but that the end is missing: the config is the beginning of a valid one,
	// as it is when another program has not yet written it to the end.
	Truncated bool
}

func (e *SyntaxError) Error() string {
	return fmt.Sprintf("line %d, column %d: %s", e.Line, e.Column, e.Msg)
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

const msgUnexpectedEnd = "unexpected end of file"

// syntaxError puts what the decoder says about text into our terms. The decoder's own text may quote a part of the
// config (an escape sequence, the names on the way to the error), so only its messages about one character are kept.
func syntaxError(text []byte, err error) *SyntaxError {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return truncatedAt(text, len(text), msgUnexpectedEnd)
	}
	offset, msg := 0, "invalid JSON"
	if e, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		offset = min(int(e.ByteOffset), len(text))
		switch cause := e.Err.Error(); {
		case errors.Is(err, jsontext.ErrNonStringName):
			msg = "name of a member is not a string"
		case strings.HasPrefix(cause, "invalid character "):
			msg = cause
		case strings.HasPrefix(cause, "invalid escape sequence "):
			msg = "invalid escape sequence in string"
		}
	}
	return syntaxErrorAt(text, offset, msg)
}

// fault is a reason to refuse a config that the decoder would not see, or not survive. It counts only if the decoder
// finds nothing wrong before offset.
type fault struct {
	offset    int
	msg       string
	truncated bool
	cutOff    bool // offset is where the last character begins, whose end is missing
	deep      bool
}

func (f *fault) error(text []byte) error {
	switch {
	case f.deep:
		return ErrTooDeep
	case f.truncated:
		return truncatedAt(text, f.offset, f.msg)
	default:
		return syntaxErrorAt(text, f.offset, f.msg)
	}
}

// firstFault finds the first byte of text that makes it no text at all, or too deep. It returns nil if there is none.
func firstFault(text []byte) *fault {
	var first *fault
	sound := text
	if i := bytes.IndexByte(sound, 0); i >= 0 {
		first = &fault{offset: i, msg: "NUL byte: binary, or UTF-16 without a byte order mark"}
		sound = text[:i]
	}
	if !utf8.Valid(sound) {
		i := firstInvalidUTF8(sound)
		first = &fault{offset: i, msg: "invalid UTF-8"}
		if !utf8.FullRune(text[i:]) {
			first = &fault{offset: i, msg: "character cut off at end of file", truncated: true, cutOff: true}
		}
		sound = text[:i]
	}
	// Counting brackets takes a hundredth of the time of following them, and is enough for nearly every config.
	if bytes.Count(sound, []byte("{"))+bytes.Count(sound, []byte("[")) > MaxDepth {
		if i := tooDeepAt(sound); i >= 0 {
			first = &fault{offset: i, deep: true}
		}
	}
	return first
}

func firstInvalidUTF8(text []byte) int {
	for i := 0; i < len(text); {
		r, n := utf8.DecodeRune(text[i:])
		if r == utf8.RuneError && n == 1 {
			return i
		}
		i += n
	}
	return len(text)
}
