package replace

import (
	"bytes"
	"context"
	"fmt"
	"os"
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
// If another program writes between the last comparison and the second write,
// or while that hangs, the change is written into its content, and nothing can
// undo it. On one machine, though, the kernel lets no other program write to,
// or truncate, a file to which a write hangs.
func (f *File) writeInPlace(ctx context.Context, s *Snapshot, data []byte) error {
	from, to, ok := changedRange(s.Data, data)
	if !ok {
		return ErrNotInPlace
	}
	file, err := s.fence(ctx)
	if err != nil {
		return err
	}
	if err := file.Close(); err != nil {
		return err
	}
	now := *s // as it is after each step
	if f.lostPages {
		// Written again, though with what they hold, they reach the disk.
		if err := f.writeInto(ctx, &now, 0, s.Data); err != nil {
			return err
		}
	}
	if len(data) > len(s.Data) {
		spaces := bytes.Repeat([]byte(" "), len(data)-len(s.Data))
		if err := f.writeInto(ctx, &now, atEnd, spaces); err != nil {
			return err
		}
		now.Data = append(bytes.Clone(s.Data), spaces...)
	}
	if err := f.writeInto(ctx, &now, from, data[from:to]); err != nil {
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

// atEnd is the offset of what is appended: wherever the file ends by then, so
// that spaces follow what another program has made of it meanwhile.
const atEnd = -1

// writeInto writes b at an offset, durably, if the file is still what s says.
func (f *File) writeInto(ctx context.Context, s *Snapshot, at int, b []byte) error {
	flag := os.O_WRONLY
	if at == atEnd {
		flag |= os.O_APPEND
	}
	file, err := s.fs.OpenFile(s.name, flag, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if !s.fs.SameFile(info, s.info) {
		return ErrChanged
	}
	same, err := s.reopen(ctx)
	if err != nil {
		return err
	}
	defer same.Close()
	if at == atEnd {
		_, err = file.Write(b)
	} else {
		_, err = file.WriteAt(b, int64(at))
	}
	if err != nil {
		return fmt.Errorf("write in place: %w", err)
	}
	err = file.Sync()
	f.lostPages = err != nil
	if err != nil {
		return fmt.Errorf("sync: %w", err)
	}
	return nil
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
