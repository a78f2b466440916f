package sqlite

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
)

// scrub removes deleted data from all files. The caller holds mu.
func (s *Store) scrub(ctx context.Context) error {
	if err := s.checkpoints.empty(ctx); err != nil {
		return err
	}
	if err := s.wipe(ctx); err != nil {
		return err
	}
	s.checkpoints.unscrubbed.Store(false)
	return nil
}

// wipe overwrites the unused parts of pages. SQLite overwrites deleted rows
// (secure_delete), but when it moves rows from one page of a tree to another,
// copies of them can remain in the unused part of the old page and outlive the
// rows.
//
// wipe reads every page, which takes about 0.1 s for a million installations.
// The first time it also writes up to half of the pages, in about 1 s, and later
// only those whose rows have moved since: see TestBytesPerInstallation and
// TestScrub. The log is empty and the caller holds mu, so the file is the whole
// database and does not change.
func (s *Store) wipe(ctx context.Context) error {
	var dirty []int
	zeros := make([]byte, pageSize)
	if err := s.eachPage(ctx, func(number int, page []byte) {
		if from, to, ok := unused(number, page); ok && !bytes.Equal(page[from:to], zeros[:to-from]) {
			dirty = append(dirty, number)
		}
	}); err != nil || len(dirty) == 0 {
		return err
	}
	w, err := s.preparedWriter(ctx)
	if err != nil {
		return err
	}
	for part := range slices.Chunk(dirty, wipeAtOnce) { // so that the log stays short
		if err := s.wipePages(ctx, w, part); err != nil {
			s.dropUnlessIdle(ctx, w)
			return err
		}
		if err := s.checkpoints.empty(ctx); err != nil {
			return err
		}
	}
	return nil
}

// wipeAtOnce is how many pages one transaction wipes: 16 MiB.
const wipeAtOnce = 4096

func (s *Store) wipePages(ctx context.Context, w *writer, numbers []int) error {
	if _, err := w.begin.ExecContext(ctx); err != nil {
		return err
	}
	page := make([]byte, pageSize)
	for _, number := range numbers {
		if _, err := s.raw.ReadAt(page, int64(number-1)*pageSize); err != nil {
			return err
		}
		from, to, ok := unused(number, page)
		if !ok {
			return fmt.Errorf("page %d has changed", number)
		}
		clear(page[from:to])
		if _, err := w.putPage.ExecContext(ctx, page, int64(number)); err != nil {
			return err
		}
	}
	_, err := w.commit.ExecContext(ctx)
	return err
}

// eachPage calls f with each page of the file, which is valid during the call.
func (s *Store) eachPage(ctx context.Context, f func(number int, page []byte)) error {
	chunk := make([]byte, 256*pageSize)
	for number := 1; ; {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := s.raw.ReadAt(chunk, int64(number-1)*pageSize)
		for at := 0; at+pageSize <= n; at += pageSize {
			f(number, chunk[at:at+pageSize])
			number++
		}
		if errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// unused returns the part of a page of a tree between its list of rows and its
// rows, which has no meaning in the file format
// (https://www.sqlite.org/fileformat2.html#b_tree_pages). Pages of other kinds
// begin with a page number, and so with a zero byte if the file is smaller than
// 128 GiB. Beyond that they could be mistaken for pages of a tree, so none is
// wiped there.
func unused(number int, page []byte) (from, to int, ok bool) {
	header := 0
	if number == 1 {
		header = 100 // of the file
	}
	if number >= 2<<24 {
		return 0, 0, false
	}
	switch page[header] {
	case 2, 5:
		from = header + 12 // inner page
	case 10, 13:
		from = header + 8 // leaf
	default:
		return 0, 0, false
	}
	from += 2 * int(binary.BigEndian.Uint16(page[header+3:]))
	to = int(binary.BigEndian.Uint16(page[header+5:]))
	return from, to, from <= to && to <= len(page)
}
