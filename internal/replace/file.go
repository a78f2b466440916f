package replace

import (
	"context"
	"errors"
	"io/fs"
	"time"

	"github.com/rollcall-dev/rollcall/internal/fsys"
)

// maxRounds is how often an update starts over because the file changed.
const maxRounds = 10

// pauses are the pauses before a file is read again, or put back again, that may
// be in the middle of another program's write.
var pauses = [...]time.Duration{5 * time.Millisecond, 20 * time.Millisecond, 50 * time.Millisecond}

// A File is a file that other programs change too. At most one of its methods
// may run at a time.
type File struct {
	fs   fsys.FS
	path string
	opts Options

	// lostPages is set while a sync in place has failed: the kernel then
	// believes pages to be on disk that are not.
	lostPages bool
}

// Options say what is known of a [File]. Both functions are required.
type Options struct {
	// Torn reports whether a callback returned err because another program
	// had not finished writing. The file is then read again, a few times.
	Torn func(err error) bool

	// CutShort reports whether data lacks its end. If another program leaves
	// such content in a file that was renamed over, it is not put back: the
	// rest of it would never follow.
	CutShort func(data []byte) bool

	// Own means that the file is one of ours: see [CheckPlanted].
	Own bool
}

// New returns the file at path, an absolute path. It does not touch the disk.
func New(disk fsys.FS, path string, opts Options) *File {
	return &File{fs: disk, path: path, opts: opts}
}

// Read reads the file and calls use with the result, and again while use
// fails with an error that is torn. The snapshot is closed after each call.
func (f *File) Read(ctx context.Context, use func(*Snapshot) error) error {
	return f.read(ctx, f.path, Read, use)
}

func (f *File) read(ctx context.Context, name string, read func(context.Context, fsys.FS, string) (*Snapshot, error), use func(*Snapshot) error) error {
	return retry(ctx, f.opts.Torn, func() error {
		s, err := read(ctx, f.fs, name)
		if err != nil {
			return err
		}
		defer s.Close()
		if f.opts.Own {
			if err := CheckPlanted(ctx, f.fs, f.path, s.info); err != nil {
				return err
			}
		}
		return use(s)
	})
}

// retry calls fn again, after pauses of 5, 20 and 50 ms, while it fails with an
// error that is transient.
func retry(ctx context.Context, transient func(error) bool, fn func() error) error {
	err := fn()
	for _, pause := range pauses {
		if err == nil || !transient(err) {
			return err
		}
		if sleep(ctx, pause); ctx.Err() != nil {
			return err
		}
		err = fn()
	}
	return err
}

// Update reads the file and replaces its content with what edit returns for
// it; nil means that it stays as it is and is only made durable. edit gets nil
// if the file does not exist, which then is created with the directories above
// it. edit is called again whenever another program was faster, up to ten
// times, and while it fails with an error that is torn.
//
// The new content is written to a temporary file in the same directory, which
// then changes places with the file. Mode, owner and extended attributes stay,
// and a symlink too: its target is changed. Where that is not possible,
// because the file is a mount point, is mounted elsewhere, or has several names, because its
// directory is not writable, or because its owner or attributes could not be
// kept, it is written in place. That is done only if the change fits into one
// page of the file, since nothing larger is whole at every moment, and while
// nobody else has the file open.
//
// Its errors are those of edit and [Read], and [ErrNotInPlace] and
// [ErrChanging].
func (f *File) Update(ctx context.Context, edit func(*Snapshot) ([]byte, error)) error {
	unlock := func() {}
	defer func() { unlock() }()
	for round := range maxRounds {
		// Resolved each time, since it may be a symlink that changed.
		target, err := Resolve(ctx, f.fs, f.path)
		if err != nil {
			return err
		}
		if round == 0 {
			unlock, _ = Lock(ctx, f.fs, fsys.Dir(target))
		}
		err = f.read(ctx, target, readAt, func(s *Snapshot) error {
			data, err := edit(s)
			if err != nil {
				return err
			}
			if data == nil {
				return s.sync(ctx)
			}
			return f.commit(ctx, s, data)
		})
		if errors.Is(err, fs.ErrNotExist) {
			err = f.create(ctx, target, edit)
		}
		if !errors.Is(err, ErrChanged) && !isLink(err) {
			return err
		}
	}
	return ErrChanging
}

// create creates the file.
func (f *File) create(ctx context.Context, target string, edit func(*Snapshot) ([]byte, error)) error {
	data, err := edit(nil)
	if err != nil {
		return err
	}
	if err := MakeDirs(ctx, f.fs, fsys.Dir(target)); err != nil {
		return err
	}
	err = CreateLocked(ctx, f.fs, target, data, Access{Perm: 0o666})
	if errors.Is(err, fs.ErrExist) {
		return ErrChanged
	}
	return err
}

// Sync makes durable what the file holds, if it exists, and writes nothing.
// Whoever wrote it may have been killed before syncing it.
func (f *File) Sync(ctx context.Context) error {
	return Sync(ctx, f.fs, f.path)
}

// CheckWritable is [Snapshot.CheckWritable] without opening the file.
func (f *File) CheckWritable(ctx context.Context) error {
	target, err := Resolve(ctx, f.fs, f.path)
	if err != nil {
		return err
	}
	info, err := f.fs.Lstat(target)
	if err != nil {
		return err
	}
	return checkWritable(f.fs, target, info)
}

// Sweep is [Sweep] for the file.
func (f *File) Sweep(ctx context.Context) error {
	target, err := Resolve(ctx, f.fs, f.path)
	if err != nil {
		return err
	}
	return Sweep(ctx, f.fs, target)
}
