package shm

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
)

// maxToken bounds a value of a dump, and a row of a COPY block, in bytes.
const maxToken = 16 << 20

// A kind is what a token is.
type kind int

const (
	eof    kind = iota
	word        // an identifier or a keyword, in lower case unless it is quoted
	text        // a string
	number      // of any form
	symbol      // one character
)

type token struct {
	kind kind
	text string
}

func (t token) is(text string) bool { return t.text == text && (t.kind == word || t.kind == symbol) }

// A lexer reads the SQL that pg_dump writes.
type lexer struct {
	in   *bufio.Reader
	line int // of the character that is read next
	// open is set between the comments that begin and end a dump.
	open bool
	buf  []byte
}

// fail returns an error at the current line.
func (l *lexer) fail(format string, args ...any) error {
	return fmt.Errorf("%w: line %d: %w", ErrInvalid, l.line, fmt.Errorf(format, args...))
}

// get returns the next character, and 0 at the end.
func (l *lexer) get() (byte, error) {
	c, err := l.in.ReadByte()
	switch {
	case err == io.EOF:
		return 0, nil
	case err != nil:
		return 0, fmt.Errorf("read dump: %w", err)
	case c == 0:
		return 0, l.fail("it has a zero byte, so this is no dump in plain SQL")
	case c == '\n':
		l.line++
	}
	return c, nil
}

func (l *lexer) peek(n int) []byte {
	b, _ := l.in.Peek(n) // what get is to report
	return b
}

// next returns the next token. Comments are none.
func (l *lexer) next() (token, error) {
	for {
		c, err := l.get()
		switch ahead := l.peek(1); {
		case err != nil || c == 0:
			return token{}, err
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
		case c == '-' && string(ahead) == "-":
			comment, err := l.rest(nil)
			if err != nil && err != io.EOF {
				return token{}, err
			}
			switch string(comment) {
			case "- PostgreSQL database dump":
				l.open = true
			case "- PostgreSQL database dump complete":
				l.open = false
			}
		case c == '/' && string(ahead) == "*":
			if _, err := l.until("*/"); err != nil {
				return token{}, err
			}
		case (c == 'e' || c == 'E') && string(ahead) == "'":
			l.in.Discard(1)
			s, err := l.quoted('\'', true)
			return token{text, s}, err
		case c == '\'':
			s, err := l.quoted(c, false)
			return token{text, s}, err
		case c == '"':
			s, err := l.quoted(c, false)
			return token{word, s}, err
		case c == '$' && len(ahead) > 0 && (ahead[0] == '$' || isWord(ahead[0]) && !isDigit(ahead[0])):
			return l.dollar()
		case isDigit(c) || c == '-' && len(ahead) > 0 && isDigit(ahead[0]):
			s, err := l.run(c, func(c byte) bool { return isWord(c) || c == '.' || c == '+' || c == '-' })
			return token{number, s}, err
		case isWord(c):
			s, err := l.run(c, func(c byte) bool { return isWord(c) || isDigit(c) || c == '$' })
			return token{word, strings.ToLower(s)}, err
		default:
			return token{symbol, string(rune(c))}, nil
		}
	}
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
func isWord(c byte) bool {
	return isDigit(c) || c == '_' || 'a' <= c|0x20 && c|0x20 <= 'z' || c >= 0x80
}

func (l *lexer) run(first byte, in func(byte) bool) (string, error) {
	l.buf = append(l.buf[:0], first)
	for {
		ahead := l.peek(1)
		if len(ahead) == 0 || !in(ahead[0]) {
			return string(l.buf), nil
		}
		if err := l.add(ahead[0]); err != nil {
			return "", err
		}
		l.in.Discard(1)
	}
}

func (l *lexer) add(c byte) error {
	if l.buf = append(l.buf, c); len(l.buf) > maxToken {
		return l.fail("a value has more than %d bytes", maxToken)
	}
	return nil
}

// quoted returns what is in quotes, after the first. With escapes, backslashes
// have the meaning that they have in E'…'.
func (l *lexer) quoted(quote byte, escapes bool) (string, error) {
	start := l.line
	l.buf = l.buf[:0]
	for {
		c, err := l.get()
		switch {
		case err != nil:
			return "", err
		case c == 0:
			return "", l.fail("the dump ends within a text that begins in line %d, so it is not complete", start)
		case c == quote:
			if string(l.peek(1)) != string(rune(quote)) {
				return string(l.buf), nil
			}
			l.in.Discard(1)
		case c == '\\' && escapes:
			if c, err = l.get(); err != nil {
				return "", err
			}
			c = unescaped(c)
		}
		if err := l.add(c); err != nil {
			return "", err
		}
	}
}

// unescaped returns what a character stands for after a backslash. pg_dump writes
// no numeric escapes.
func unescaped(c byte) byte {
	switch c {
	case 'b':
		return '\b'
	case 'f':
		return '\f'
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	case 'v':
		return '\v'
	}
	return c
}

// dollar returns a text such as $tag$…$tag$, after the first character.
func (l *lexer) dollar() (token, error) {
	var tag strings.Builder
	tag.WriteByte('$')
	for {
		c, err := l.get()
		if err != nil {
			return token{}, err
		}
		if c != '$' && !isWord(c) {
			return token{symbol, "$"}, nil // of an expression, which is not read
		}
		tag.WriteByte(c)
		if c == '$' {
			break
		}
		if tag.Len() > 64 {
			return token{}, l.fail("a name between dollar signs has more than 63 bytes")
		}
	}
	s, err := l.until(tag.String())
	return token{text, s}, err
}

// until returns what comes before an end, and skips both.
func (l *lexer) until(end string) (string, error) {
	start := l.line
	l.buf = l.buf[:0]
	for !bytes.HasSuffix(l.buf, []byte(end)) {
		c, err := l.get()
		if err == nil && c == 0 {
			err = l.fail("the dump ends within a text that begins in line %d, so it is not complete", start)
		}
		if err == nil {
			err = l.add(c)
		}
		if err != nil {
			return "", err
		}
	}
	return string(l.buf[:len(l.buf)-len(end)]), nil
}

// rest appends the rest of the line to buf, without its end. The error is io.EOF at
// the end of the dump.
func (l *lexer) rest(buf []byte) ([]byte, error) {
	for {
		piece, err := l.in.ReadSlice('\n')
		buf = append(buf, piece...)
		switch {
		case len(buf) > maxToken:
			return nil, l.fail("a row has more than %d bytes", maxToken)
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case err == io.EOF && len(buf) > 0:
			return buf, nil
		case err != nil:
			return nil, err
		}
		l.line++
		return bytes.TrimSuffix(buf[:len(buf)-1], []byte{'\r'}), nil
	}
}
