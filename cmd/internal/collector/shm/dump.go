package shm

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// A row has the values of a row by column. What is null is missing.
type row map[string]string

// A reader reads the rows of some tables from a dump.
type reader struct {
	lexer
	// columns are those of the tables that the dump creates, in their order.
	columns map[string][]string
	// wants reports whether the rows of a table are read, and do is called for each.
	// An error of do is one of the line.
	wants func(table string) bool
	do    func(table string, r row) error
}

// read reads a dump to its end.
func (r *reader) read(ctx context.Context, in io.Reader) error {
	r.in, r.line, r.columns = bufio.NewReaderSize(in, 1<<20), 1, make(map[string][]string)
	switch magic := r.peek(5); {
	case string(magic) == "PGDMP":
		return fmt.Errorf("%w: it is in the custom format of pg_dump, not in plain SQL", ErrInvalid)
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b}):
		return fmt.Errorf("%w: it is compressed", ErrInvalid)
	case bytes.HasPrefix(magic, []byte{0xff, 0xfe}), bytes.HasPrefix(magic, []byte{0xfe, 0xff}):
		return fmt.Errorf("%w: it is in UTF-16, as the redirection of PowerShell writes it; dump with --file", ErrInvalid)
	case bytes.HasPrefix(magic, []byte("\xef\xbb\xbf")):
		r.in.Discard(3)
	}
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		t, err := r.next()
		switch {
		case err != nil:
		case t.kind == eof && r.open:
			return r.fail("the dump ends before the comment that ends dumps, so it is not complete")
		case t.kind == eof:
			return nil
		case t.is("\\"): // a command of psql
			if _, err = r.rest(nil); err == io.EOF {
				err = nil
			}
		case t.is("create"):
			err = r.create()
		case t.is("insert"):
			err = r.insert(ctx)
		case t.is("copy"):
			err = r.copy(ctx)
		default:
			err = r.skip(t)
		}
		if err != nil {
			return err
		}
	}
}

// must returns the next token of a statement, which has not ended.
func (r *reader) must() (token, error) {
	t, err := r.next()
	if err == nil && t.kind == eof {
		err = r.fail("the dump ends within a statement, so it is not complete")
	}
	return t, err
}

// skip skips the rest of a statement after its token t.
func (r *reader) skip(t token) (err error) {
	for err == nil && !t.is(";") {
		t, err = r.must()
	}
	return err
}

// name returns the last part of a name such as public.snapshots, and the token that
// follows.
func (r *reader) name(t token) (name string, after token, err error) {
	for {
		name = t.text
		if after, err = r.must(); err != nil || !after.is(".") {
			return name, after, err
		}
		if t, err = r.must(); err != nil {
			return name, t, err
		}
	}
}

// list returns the words of a list such as (a, b), after its first character.
func (r *reader) list() (names []string, err error) {
	for {
		t, err := r.must()
		switch {
		case err != nil || t.is(")"):
			return names, err
		case t.kind == word:
			names = append(names, t.text)
		}
	}
}

// create reads the columns of a table.
func (r *reader) create() error {
	t, err := r.must()
	for err == nil && (t.is("unlogged") || t.is("foreign")) {
		t, err = r.must()
	}
	if err != nil || !t.is("table") {
		return r.skipAfter(t, err)
	}
	t, err = r.must()
	for err == nil && (t.is("if") || t.is("not") || t.is("exists")) {
		t, err = r.must()
	}
	if err != nil {
		return err
	}
	name, t, err := r.name(t)
	if err != nil || !t.is("(") {
		return r.skipAfter(t, err)
	}
	var columns []string
	for depth, first := 1, true; depth > 0; {
		if t, err = r.must(); err != nil {
			return err
		}
		switch {
		case t.is("("):
			depth++
		case t.is(")"):
			depth--
		case first && t.kind == word && !slices.Contains([]string{"constraint", "primary", "unique", "foreign", "check", "exclude", "like"}, t.text):
			columns = append(columns, t.text)
		}
		first = depth == 1 && t.is(",")
	}
	r.columns[name] = columns
	return r.skip(t)
}

func (r *reader) skipAfter(t token, err error) error {
	if err != nil {
		return err
	}
	return r.skip(t)
}

// insert reads INSERT INTO name [(columns)] VALUES (…), (…);
func (r *reader) insert(ctx context.Context) error {
	t, err := r.must()
	if err == nil && t.is("into") {
		t, err = r.must()
	}
	if err != nil {
		return err
	}
	table, t, err := r.name(t)
	if err != nil || !r.wants(table) {
		return r.skipAfter(t, err)
	}
	columns := r.columns[table]
	if t.is("(") {
		if columns, err = r.list(); err != nil {
			return err
		}
	}
	for err == nil && !t.is("values") {
		if t.is(";") {
			return r.fail("an INSERT into %s has no VALUES", table)
		}
		t, err = r.must()
	}
	if err == nil && columns == nil {
		err = r.fail("the columns of %s are not known; dump with --column-inserts, or not with --data-only", table)
	}
	for err == nil {
		if err = ctx.Err(); err != nil {
			return err
		}
		if t, err = r.must(); err == nil && !t.is("(") {
			err = r.fail("got %q in an INSERT into %s, want the values of a row", t.text, table)
		}
		if err == nil {
			err = r.values(table, columns)
		}
		if err == nil {
			t, err = r.must()
		}
		if err == nil && !t.is(",") {
			return r.skip(t)
		}
	}
	return err
}

// values reads the values of a row, after the first character.
func (r *reader) values(table string, columns []string) error {
	line, found := r.line, make(row, len(columns))
	for n := 0; ; n++ {
		t, err := r.must()
		if err != nil {
			return err
		}
		if n >= len(columns) {
			return r.fail("a row of %s has more than %d values", table, len(columns))
		}
		if t.kind != text && t.kind != number && t.kind != word {
			return r.fail("got %q in a row of %s, want a value", t.text, table)
		}
		if !t.is("null") {
			found[columns[n]] = t.text
		}
		for depth := 0; ; { // a cast may follow
			if t, err = r.must(); err != nil {
				return err
			}
			if depth == 0 && (t.is(",") || t.is(")")) {
				break
			}
			switch {
			case t.is("("):
				depth++
			case t.is(")"):
				depth--
			case t.is(";"):
				return r.fail("a row of %s does not end", table)
			}
		}
		if t.is(")") {
			if n+1 != len(columns) {
				return r.fail("a row of %s has %d values, want %d", table, n+1, len(columns))
			}
			return r.handle(line, table, found)
		}
	}
}

// handle calls do for a row that begins in a line.
func (r *reader) handle(line int, table string, found row) error {
	err := r.do(table, found)
	if errors.Is(err, errWrite) {
		return fmt.Errorf("line %d: table %s: %w", line, table, err)
	}
	if err != nil {
		return fmt.Errorf("%w: line %d: table %s: %w", ErrInvalid, line, table, err)
	}
	return nil
}

// copy reads COPY name (columns) FROM stdin; and the rows that follow.
func (r *reader) copy(ctx context.Context) error {
	t, err := r.must()
	if err != nil {
		return err
	}
	table, t, err := r.name(t)
	if err != nil {
		return err
	}
	columns := r.columns[table]
	if t.is("(") {
		if columns, err = r.list(); err != nil {
			return err
		}
	}
	fromStdin := false
	for !t.is(";") {
		fromStdin = fromStdin || t.is("stdin")
		if t, err = r.must(); err != nil {
			return err
		}
	}
	if !fromStdin {
		return nil
	}
	if _, err := r.rest(nil); err != nil && err != io.EOF {
		return err
	}
	var buf []byte
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		line := r.line
		if buf, err = r.rest(buf[:0]); err == io.EOF {
			return r.fail("the dump ends within the rows of %s, so it is not complete", table)
		}
		switch {
		case err != nil:
			return err
		case string(buf) == `\.`:
			return nil
		case !r.wants(table):
			continue
		}
		values := strings.Split(string(buf), "\t")
		if len(values) != len(columns) {
			return fmt.Errorf("%w: line %d: a row of %s has %d values, want %d", ErrInvalid, line, table, len(values), len(columns))
		}
		found := make(row, len(columns))
		for i, value := range values {
			if value != `\N` {
				found[columns[i]] = uncopied(value)
			}
		}
		if err := r.handle(line, table, found); err != nil {
			return err
		}
	}
}

// uncopied returns what a value of a COPY block stands for.
func uncopied(value string) string {
	if !strings.Contains(value, `\`) {
		return value
	}
	var b strings.Builder
	for i := 0; i < len(value); i++ {
		c := value[i]
		if c == '\\' && i+1 < len(value) {
			i++
			c = unescaped(value[i])
		}
		b.WriteByte(c)
	}
	return b.String()
}
