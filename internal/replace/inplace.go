package replace

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
)

// pageSize is the part of a file that one write changes as a whole, as every reader and a kill see it: a page of the
// page cache. Larger pages are made of such ones.
const pageSize = 4096

// writeInPlace changes the content of the target without replacing the file: spaces are first appended at its end, which
// changes nothing for those who read it, and then one write inside one page makes the change. So it is whole at every
// moment. The page is also what a disk is asked to write at once, which makes a tear by a power cut unlikely, but no
// disk promises it. A save that is cut off between the two leaves the spaces behind.
//
// What another program writes in the moment between the last comparison and the second write, or while that hangs, is
// written into: nothing can put it back here. On one machine, though, the kernel lets no other program write to a file,
// or cut it, to which a write hangs.
func (f *File) writeInPlace(ctx context.Context, s *Snapshot, data []byte) error {
	target := s.name
	from, to, ok := changedRange(s.Data, data)
	if !ok {
		return ErrNotInPlace
	}
	fence, err := openUnchanged(ctx, f.fs, target, s.info, s.Data)
	if err != nil {
		return err
	}
	if err := fence.Close(); err != nil {
		return err
	}
	was := s.Data
	if f.lostPages {
		// A sync that failed has left pages of which the system believes that they are on disk. Written once more, though
		// with what they hold, they come there.
		if err := f.writeInto(ctx, target, s.info, was, 0, was); err != nil {
			return err
		}
	}
	if len(data) > len(was) {
		spaces := bytes.Repeat([]byte(" "), len(data)-len(was))
		if err := f.writeInto(ctx, target, s.info, was, atEnd, spaces); err != nil {
			return err
		}
		was = append(bytes.Clone(was), spaces...)
	}
	if err := f.writeInto(ctx, target, s.info, was, from, data[from:to]); err != nil {
		return err
	}
	// Another file may have taken its place, or other content.
	written, err := openAs(ctx, f.fs, target, s.info, data)
	if err != nil {
		return err
	}
	return written.Close()
}

// atEnd is the place of what is appended: where the file ends when that is written, so that spaces come behind what
// another program has made of the file meanwhile.
const atEnd = -1

// writeInto writes b durably, if the target is still the file of info and its content is was.
func (f *File) writeInto(ctx context.Context, target string, info fs.FileInfo, was []byte, at int, b []byte) error {
	flag := os.O_WRONLY
	if at == atEnd {
		flag |= os.O_APPEND
	}
	file, err := f.fs.OpenFile(target, flag, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	now, err := file.Stat()
	if err != nil {
		return err
	}
	if !f.fs.SameFile(now, info) {
		return ErrChanged
	}
	fence, err := openAs(ctx, f.fs, target, info, was)
	if err != nil {
		return err
	}
	defer fence.Close()
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

// changedRange gives the part of the new content that differs from the old one padded with spaces to the same length,
// if it lies in one page. A change that shortens the file has none.
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
