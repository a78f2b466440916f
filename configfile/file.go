package configfile

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/rollcall-dev/rollcall/internal/flight"
	"github.com/rollcall-dev/rollcall/internal/fsys"
)

const (
	// maxRounds is how often a change is made anew because the file was changed meanwhile, before it is an error.
	maxRounds = 10
	// maxLinks is how many symlinks are followed, as the kernel does.
	maxLinks = 40
	// lockWait bounds the wait for another process that changes the file. The lock saves work and is not needed for
	// correctness, so that after the wait, or where locks do not work, the change goes on without.
	lockWait = time.Second
)

// rereads are the pauses after which a file that is not valid is read again: it may be a moment in someone else's write.
var rereads = []time.Duration{5 * time.Millisecond, 20 * time.Millisecond, 50 * time.Millisecond}

// A File is a JSON config file, with comments and trailing commas if it has them. Its methods are safe for concurrent
// use.
type File struct {
	path   string
	fresh  []byte
	fs     fsys.FS
	flight *flight.Flight

	mu       sync.Mutex
	unsynced bool    // whether the last commit could not be made durable, so that what is there is not trusted
	planned  *change // what Check worked out, for the Set that follows
}

// Options are the options of a [File].
type Options struct {
	// New is the document that a file which does not exist begins with; nil is an empty object.
	New []byte
}

// Open gives the file at path, which has to be absolute. It does not touch the disk.
func Open(path string, opts Options) (*File, error) { return OpenFS(fsys.OS{}, path, opts) }

// OpenFS is Open on another file system.
func OpenFS(fs fsys.FS, path string, opts Options) (*File, error) {
	if !filepath.IsAbs(path) {
		return nil, fmt.Errorf("config %q: not an absolute path", path)
	}
	if opts.New == nil {
		opts.New = []byte("{}\n")
	}
	return &File{path: filepath.Clean(path), fresh: opts.New, fs: fs, flight: new(flight.Flight)}, nil
}

// Path is the path that the file was opened with.
func (f *File) Path() string { return f.path }

// Running tells which operation is in flight and since when; op is "" when none is.
func (f *File) Running() (op string, since time.Time) { return f.flight.Running() }

// Read gives the values at the keys, in their order. It opens nothing for writing. The whole file is checked: one that
// is not valid JSON is an error also when the keys come before the fault.
//
// Errors: fs.ErrNotExist, [ErrEmpty], a *[SyntaxError], [ErrNotRegular], [ErrTooLarge], [ErrTooDeep], what the system
// says, and a time-out.
func (f *File) Read(ctx context.Context, keys ...Key) ([]Value, error) {
	values, err := flight.Do(ctx, f.flight, "read", func(ctx context.Context) (values []Value, err error) {
		err = f.read(ctx, f.path, func(s *snapshot) error {
			values, err = scan(s.data, keys)
			return err
		})
		return values, err
	})
	return values, f.explain("read", err)
}

// Check tells whether Set could change the key now, without writing anything: nil, or what stands against it. See
// [Permanent] for whether trying again soon is in vain.
func (f *File) Check(ctx context.Context, key Key, value string) error {
	_, err := flight.Do(ctx, f.flight, "check", func(ctx context.Context) (struct{}, error) {
		target, err := f.resolve()
		if err != nil {
			return struct{}{}, err
		}
		return struct{}{}, f.read(ctx, target, func(s *snapshot) error {
			if err := f.writable(target, s.info); err != nil {
				return err
			}
			text, err := newText(value)
			if err != nil {
				return err
			}
			c, err := newChange(s.data, key, text)
			f.remember(c)
			return err
		})
	})
	return f.explain("check", err)
}

// Writable tells whether the file could be written now, from its mode and what the kernel says, without opening it.
func (f *File) Writable(ctx context.Context) error {
	_, err := flight.Do(ctx, f.flight, "check", func(context.Context) (struct{}, error) {
		target, err := f.resolve()
		if err != nil {
			return struct{}{}, err
		}
		info, err := f.fs.Lstat(target)
		if err != nil {
			return struct{}{}, err
		}
		return struct{}{}, f.writable(target, info)
	})
	return f.explain("check", err)
}

// Set gives the key a string value, unless keep says that the value it has now shall stay, and returns the value that
// the file has then, and whether it was written. Missing objects on the way to the key are made; a missing file, and
// missing folders above it, too.
//
// The new content is written to a temporary file beside the config, which then changes places with it; a symlink stays
// and its target is changed. Where that is not possible, because the config is a mount point or has several names,
// because its folder cannot be written to, or because its owner or attributes could not be kept, it is written in place.
// That is done only when the change fits into one page of the file, since nothing else is whole at every moment;
// otherwise it is [ErrNotInPlace].
//
// Errors: those of Read but fs.ErrNotExist, [ErrReadOnly], [ErrNotObject], [ErrNotInPlace], [ErrChanging].
func (f *File) Set(ctx context.Context, key Key, value string, keep func(now Value) bool) (now Value, wrote bool, err error) {
	text, err := newText(value)
	if err != nil {
		return Value{}, false, f.explain("save", err)
	}
	return f.save(ctx, key, text, keep)
}

// SetLiteral is Set for a value that is not a string: true, false, null or a number, as it is written in JSON. Whatever
// the key has now gives way to it.
func (f *File) SetLiteral(ctx context.Context, key Key, literal string) error {
	value, err := newLiteral(literal)
	if err != nil {
		return f.explain("save", err)
	}
	_, _, err = f.save(ctx, key, value, func(Value) bool { return false })
	return err
}

func (f *File) save(ctx context.Context, key Key, value scalar, keep func(Value) bool) (Value, bool, error) {
	type result struct {
		now   Value
		wrote bool
	}
	r, err := flight.Do(ctx, f.flight, "save", func(ctx context.Context) (r result, err error) {
		r.now, r.wrote, err = f.set(ctx, key, value, keep)
		return r, err
	})
	return r.now, r.wrote, f.explain("save", err)
}

func (f *File) set(ctx context.Context, key Key, value scalar, keep func(Value) bool) (now Value, wrote bool, err error) {
	defer f.remember(nil)
	target, err := f.resolve()
	if err != nil {
		return Value{}, false, err
	}
	defer lock(ctx, f.fs, filepath.Dir(target))()
	for range maxRounds {
		err = f.read(ctx, target, func(s *snapshot) error {
			now, wrote, err = f.setIn(ctx, target, s, key, value, keep)
			return err
		})
		if errors.Is(err, fs.ErrNotExist) {
			now, wrote, err = f.create(ctx, target, key, value)
		}
		if !errors.Is(err, errChanged) {
			return now, wrote, err
		}
	}
	return Value{}, false, ErrChanging
}

// setIn changes the key in what was read.
func (f *File) setIn(ctx context.Context, target string, s *snapshot, key Key, value scalar, keep func(Value) bool) (Value, bool, error) {
	values, err := scan(s.data, []Key{key})
	if err != nil {
		return Value{}, false, err
	}
	trusted := f.trusted()
	if now := values[0]; trusted && (now == value.value() || keep(now)) {
		return now, false, nil
	} else if keep(now) {
		// Written once more, since the last commit may not be durable.
		if value, err = newText(now.Text); err != nil {
			return Value{}, false, err
		}
	}
	if err := f.writable(target, s.info); err != nil {
		return Value{}, false, err
	}
	c := f.recall(s.data, key, value)
	if c == nil {
		if c, err = newChange(s.data, key, value); err != nil {
			return Value{}, false, err
		}
	}
	if err := f.commit(ctx, target, s, c.after); err != nil {
		return Value{}, false, err
	}
	return value.value(), true, nil
}

// create makes the file. Should another program make it first, that is errChanged.
func (f *File) create(ctx context.Context, target string, key Key, value scalar) (Value, bool, error) {
	c, err := newChange(f.fresh, key, value)
	if err != nil {
		return Value{}, false, err
	}
	if err := makeFolders(ctx, f.fs, filepath.Dir(target)); err != nil {
		return Value{}, false, err
	}
	if err := publish(ctx, f.fs, target, c.after, 0o666); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return Value{}, false, errChanged
		}
		f.distrust(true)
		return Value{}, false, err
	}
	f.distrust(false)
	return value.value(), true, nil
}

// A snapshot is what was read of a file, with the file still open.
type snapshot struct {
	file fsys.File
	info fs.FileInfo
	data []byte
}

// read reads the file and gives it to use. When use finds that it is not valid, it is read again a little later, a few
// times. The file is open, for reading only, until use returns.
func (f *File) read(ctx context.Context, name string, use func(*snapshot) error) error {
	for again := 0; ; again++ {
		err := f.readOnce(ctx, name, use)
		if !isTorn(err) || again == len(rereads) {
			return err
		}
		select {
		case <-time.After(rereads[again]):
		case <-ctx.Done():
			return err
		}
	}
}

func (f *File) readOnce(ctx context.Context, name string, use func(*snapshot) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	file, err := f.fs.OpenFile(name, os.O_RDONLY, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if err := checkRegular(info); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	data, err := readAll(file, info.Size())
	if err != nil {
		return err
	}
	return use(&snapshot{file, info, data})
}

// readAll reads a file from where it stands, up to MaxSize.
func readAll(file fsys.File, size int64) ([]byte, error) {
	if size > MaxSize {
		return nil, ErrTooLarge
	}
	buf := bytes.NewBuffer(make([]byte, 0, size+bytes.MinRead))
	if _, err := buf.ReadFrom(io.LimitReader(file, MaxSize+1)); err != nil {
		return nil, err
	}
	if buf.Len() > MaxSize {
		return nil, ErrTooLarge
	}
	return buf.Bytes(), nil
}

// resolve follows symlinks, so that the target is changed and the link stays.
func (f *File) resolve() (string, error) {
	name := f.path
	for range maxLinks {
		info, err := f.fs.Lstat(name)
		if errors.Is(err, fs.ErrNotExist) || err == nil && info.Mode()&fs.ModeSymlink == 0 {
			return name, nil
		}
		if err != nil {
			return "", err
		}
		to, err := f.fs.Readlink(name)
		if err != nil {
			return "", err
		}
		if !filepath.IsAbs(to) {
			to = filepath.Join(filepath.Dir(name), to)
		}
		name = to
	}
	return "", fmt.Errorf("more than %d symlinks: %w", maxLinks, errLoop)
}

// writable tells what stands against writing, before it is tried: the mode, which counts for root as well, and what the
// kernel would say.
func (f *File) writable(target string, info fs.FileInfo) error {
	if info.Mode().Perm()&0o222 == 0 {
		return fmt.Errorf("%w: mode %04o", ErrReadOnly, info.Mode().Perm())
	}
	return f.fs.CheckWritable(target)
}

func (f *File) explain(op string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s config %s: %w", op, f.path, err)
}

func (f *File) trusted() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return !f.unsynced
}

func (f *File) distrust(unsynced bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.unsynced = unsynced
}

// A change is one that was worked out and verified.
type change struct {
	before, after []byte
	key           Key
	value         scalar
}

func newChange(data []byte, key Key, value scalar) (*change, error) {
	after, err := edit(data, key, value)
	if err != nil {
		return nil, err
	}
	return &change{data, after, key, value}, nil
}

func (f *File) remember(c *change) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.planned = c
}

// recall gives the change that Check worked out, if the Set that follows asks for the same.
func (f *File) recall(data []byte, key Key, value scalar) *change {
	f.mu.Lock()
	defer f.mu.Unlock()
	if c := f.planned; c != nil && bytes.Equal(c.value.raw, value.raw) && slices.Equal(c.key, key) && bytes.Equal(c.before, data) {
		return c
	}
	return nil
}
