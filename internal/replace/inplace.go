package replace

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/rollcall-dev/rollcall/internal/fsys"
)

// pageSize is the part of a file that one write changes as a whole, in the
// eyes of every reader and of a kill: a page of the page cache. Larger pages
// consist of such ones.
const pageSize = 4096

// writeInPlace changes the content without replacing the file. Spaces are
// first appended, which changes nothing for a reader, and then one write
// within one page makes the change. So the content is whole at every moment.
// The disk is asked to write the page at once too, which makes a tear by a
// power cut unlikely, but no disk promises it. A save that is cut off between
// the two writes leaves the spaces behind.
//
// No other program may write at the same time, since the two could mix. So a
// write is made only while nobody else has the file open or can open it; where
// the system cannot ensure that, nothing is written ([ErrNotInPlace]).
func (f *File) writeInPlace(ctx context.Context, s *Snapshot, data []byte) error {
	from, to, ok := changedRange(s.Data, data)
	if !ok {
		return ErrNotInPlace
	}
	s.Close() // which would count as open
	now := *s // as it is after each step
	if f.lostPages {
		// Written again, though with what they hold, they reach the disk.
		if err := f.amend(ctx, &now, 0, s.Data); err != nil {
			return err
		}
	}
	if len(data) > len(s.Data) {
		spaces := bytes.Repeat([]byte(" "), len(data)-len(s.Data))
		if err := f.amend(ctx, &now, len(s.Data), spaces); err != nil {
			return err
		}
		now.Data = append(bytes.Clone(s.Data), spaces...)
	}
	if err := f.amend(ctx, &now, from, data[from:to]); err != nil {
		return err
	}
	// Another program may have put another file there, or other content.
	now.Data = data
	written, err := now.reopen(ctx)
	if err != nil {
		return err
	}
	return written.Close()
}

// amend writes b at an offset, durably, if the file is still what s says.
func (f *File) amend(ctx context.Context, s *Snapshot, at int, b []byte) error {
	file, err := s.amend(ctx, at, b)
	if err != nil {
		return err
	}
	defer file.Close()
	err = file.Sync()
	f.lostPages = err != nil
	if err != nil {
		return fmt.Errorf("sync: %w", err)
	}
	return nil
}

// amend writes b at an offset if the file is still what s says, and returns
// the file, which is open.
func (s *Snapshot) amend(ctx context.Context, at int, b []byte) (fsys.File, error) {
	if err := cmp.Or(ctx.Err(), sameAs(s.fs, s.name, s.info)); err != nil {
		return nil, err
	}
	file, err := s.fs.OpenFile(s.name, os.O_RDWR|fsys.NoFollow, 0)
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err == nil && !s.fs.SameFile(info, s.info) {
		err = ErrChanged
	}
	if err == nil {
		err = amendAlone(ctx, file, s.Data, b, at)
	}
	if err != nil {
		file.Close()
		return nil, err
	}
	return file, nil
}

// amendAlone writes b at an offset of a file that holds old, while nobody else
// has it open. It waits for that up to writersWait.
func amendAlone(ctx context.Context, file fsys.File, old, b []byte, at int) error {
	for deadline := time.Now().Add(writersWait); ctx.Err() == nil; sleep(ctx, time.Millisecond) {
		switch err := file.Amend(old, b, int64(at)); {
		case errors.Is(err, fsys.ErrInUse):
			if !time.Now().Before(deadline) {
				return ErrChanging
			}
		case errors.Is(err, fsys.ErrDiffers):
			return ErrChanged
		case errors.Is(err, errors.ErrUnsupported):
			return fmt.Errorf("%w, since another program may be writing to it: %w", ErrNotInPlace, err)
		case err != nil:
			return fmt.Errorf("write in place: %w", err)
		default:
			return nil
		}
	}
	return ctx.Err()
}

// changedRange returns the part of data that differs from old, padded with
// spaces to the same length. ok reports whether it lies in one page and data
// is not shorter than old.
func changedRange(old, data []byte) (from, to int, ok bool) {
	if len(data) < len(old) {
		return 0, 0, false
	}
	was := func(i int) byte {
		if i < len(old) {
			return old[i]
		}
		return ' '
	}
	for from < len(data) && data[from] == was(from) {
		from++
	}
	for to = len(data); to > from && data[to-1] == was(to-1); {
		to--
	}
	return from, to, from == to || from/pageSize == (to-1)/pageSize
}
