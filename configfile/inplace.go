package configfile

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"

	"github.com/rollcall-dev/rollcall/internal/fsys"
)

// pageSize is the part of a file that one write changes as a whole, as every reader and a kill see it: a page of the
// page cache. Larger pages are made of such ones.
const pageSize = 4096

// writeInPlace changes the content of the target without replacing the file: the file is first padded with spaces at its
// end, which changes nothing for those who read it, and then one write inside one page makes the change. So it is whole
// at every moment. The page is also what a disk is asked to write at once, which makes a tear by a power cut unlikely,
// but no disk promises it.
func (f *File) writeInPlace(ctx context.Context, target string, s *snapshot, data []byte) error {
	from, to, ok := changedRange(s.data, data)
	if !ok {
		return ErrNotInPlace
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	file, err := f.fs.OpenFile(target, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if !f.fs.SameFile(info, s.info) {
		return errChanged
	}
	padding := bytes.Repeat([]byte(" "), len(data)-len(s.data))
	if len(padding) > 0 {
		if err := f.writeAt(ctx, file, target, s.data, info, padding, int64(len(s.data))); err != nil {
			return err
		}
	}
	padded := append(bytes.Clone(s.data), padding...)
	f.distrust(true)
	if err := f.writeAt(ctx, file, target, padded, info, data[from:to], int64(from)); err != nil {
		return err
	}
	f.distrust(false)
	return nil
}

// writeAt writes to the file durably, if the target is still that file with the content was.
func (f *File) writeAt(ctx context.Context, file fsys.File, target string, was []byte, info fs.FileInfo, b []byte, at int64) error {
	reader, err := f.openAs(ctx, target, info, was)
	if err != nil {
		return err
	}
	reader.Close()
	if err := ctx.Err(); err != nil {
		return err
	}
	if _, err := file.WriteAt(b, at); err != nil {
		return fmt.Errorf("write in place: %w", err)
	}
	if err := file.Sync(); err != nil {
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
