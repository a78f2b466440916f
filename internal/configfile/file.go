package configfile

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"
	"weak"

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
	doubted  *doubt               // what the last commit put there, or tried to, unless it is known to be durable
	planned  weak.Pointer[change] // what Check worked out, for the Set that follows, unless memory is needed before
	lostPage bool                 // whether a sync in place failed, after which the system takes what it lost for written
}

// A doubt is about a value at a key.
type doubt struct {
	key   Key
	value Value
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
	return &File{path: clean(path), fresh: opts.New, fs: fs, flight: new(flight.Flight)}, nil
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
		target, err := f.resolve(ctx)
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
	_, err := flight.Do(ctx, f.flight, "check", func(ctx context.Context) (struct{}, error) {
		target, err := f.resolve(ctx)
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
// A success means that the value is durable, also when keep kept it, as far as the system can tell. keep is called for
// each value that is found, and may still be called when Set has returned because ctx has ended.
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
	unlock := func() {}
	defer func() { unlock() }()
	for round := range maxRounds {
		target, err := f.resolve(ctx) // each time: a symlink, or what it leads to, may be what has changed
		if err != nil {
			return Value{}, false, err
		}
		if round == 0 {
			unlock = lock(ctx, f.fs, folderOf(target))
		}
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
	c := f.prepared(s.data, key, value)
	now, want := Value{}, value.value()
	if c != nil {
		now = c.now
	} else {
		values, err := scan(s.data, []Key{key})
		if err != nil {
			return Value{}, false, err
		}
		now = values[0]
	}
	stays := keep(now)
	if (stays || now == want && !want.Long) && !f.Unsynced(key, now) {
		if err := syncAsIs(ctx, f.fs, target, s.file); err != nil {
			f.doubt(key, now)
			return Value{}, false, err
		}
		return now, false, nil
	}
	if err := f.writable(target, s.info); err != nil {
		return Value{}, false, err
	}
	after := s.data // what stays is written once more as it is
	if stays {
		want = now
	} else if c != nil {
		after = apply(s.data, c.splices)
	} else {
		var err error
		if after, err = edit(s.data, key, value); err != nil {
			return Value{}, false, err
		}
	}
	f.doubt(key, want)
	if err := f.commit(ctx, target, s, after); err != nil {
		return Value{}, false, err
	}
	f.trust()
	return want, true, nil
}

// syncAsIs makes durable what is there: another process may have put it there in this very moment. Where that is not
// allowed, such as on a file system that is mounted read-only, nothing new can be there.
func syncAsIs(ctx context.Context, disk fsys.FS, target string, file fsys.File) error {
	err := file.Sync()
	if err == nil {
		err = syncFolder(ctx, disk, target)
	}
	if err != nil && !IsReadOnly(err) {
		return fmt.Errorf("confirm what is there: %w", err)
	}
	return nil
}

// create makes the file. Should another program make it first, that is errChanged.
func (f *File) create(ctx context.Context, target string, key Key, value scalar) (Value, bool, error) {
	after, err := edit(f.fresh, key, value)
	if err != nil {
		return Value{}, false, err
	}
	if err := makeFolders(ctx, f.fs, folderOf(target)); err != nil {
		return Value{}, false, err
	}
	want := value.value()
	f.doubt(key, want)
	locked := func() func() { return func() {} } // set holds the lock
	err = publish(ctx, f.fs, target, after, 0o666, locked)
	if err == nil || errors.Is(err, fs.ErrExist) {
		f.trust()
	}
	if errors.Is(err, fs.ErrExist) {
		return Value{}, false, errChanged
	}
	if err != nil {
		return Value{}, false, err
	}
	return want, true, nil
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
	s, err := readRegular(ctx, f.fs, name)
	if err != nil {
		return err
	}
	defer s.file.Close()
	return use(s)
}

// readRegular reads a regular file, following symlinks, and leaves it open.
func readRegular(ctx context.Context, disk fsys.FS, name string) (*snapshot, error) {
	s, err := openRegular(ctx, disk, name)
	if err != nil {
		return nil, err
	}
	if s.data, err = readAll(s.file, s.info.Size()); err != nil {
		s.file.Close()
		return nil, err
	}
	return s, nil
}

// openRegular opens a regular file for reading, following symlinks, and does not read it.
func openRegular(ctx context.Context, disk fsys.FS, name string) (*snapshot, error) {
	file, err := disk.OpenFile(name, os.O_RDONLY, 0)
	if errors.Is(err, syscall.ENXIO) {
		return nil, &notRegularError{"a socket or a device"}
	}
	if err != nil {
		return nil, err
	}
	s := &snapshot{file: file}
	if s.info, err = file.Stat(); err == nil {
		err = checkRegular(s.info)
	}
	if err := cmp.Or(err, ctx.Err()); err != nil {
		file.Close()
		return nil, err
	}
	return s, nil
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
func (f *File) resolve(ctx context.Context) (string, error) {
	name := f.path
	for range maxLinks {
		if err := ctx.Err(); err != nil {
			return "", err
		}
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
			to = inFolder(folderOf(name), to)
		}
		name = clean(to)
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
	switch {
	case err == nil:
		return nil
	case errors.Is(err, flight.ErrTimeout):
		return fmt.Errorf("config %s: %w", f.path, err) // which names the operation
	default:
		return fmt.Errorf("%s config %s: %w", op, f.path, err)
	}
}

// Unsynced tells whether v at the key is what this process has put there, or tried to, without being able to make it
// durable. It is not to be trusted, and Set writes it once more.
func (f *File) Unsynced(key Key, v Value) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.doubted != nil && f.doubted.value == v && slices.Equal(f.doubted.key, key)
}

func (f *File) doubt(key Key, v Value) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.doubted = &doubt{key, v}
}

// lostPages tells whether the last sync in place failed.
func (f *File) lostPages() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.lostPage
}

func (f *File) setLostPages(lost bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lostPage = lost
}

func (f *File) trust() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.doubted = nil
}

// A change is one that was worked out and verified.
type change struct {
	before  []byte // what it was made from
	now     Value  // at the key, in before
	key     Key
	value   scalar
	splices []splice
}

func newChange(data []byte, key Key, value scalar) (*change, error) {
	splices, now, _, err := plan(data, key, value)
	if err != nil {
		return nil, err
	}
	return &change{data, now, key, value, splices}, nil
}

func (f *File) remember(c *change) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.planned = weak.Make(c)
}

// prepared gives the change that Check worked out, if it was the same; nil otherwise.
func (f *File) prepared(data []byte, key Key, value scalar) *change {
	f.mu.Lock()
	c := f.planned.Value()
	f.mu.Unlock()
	if c != nil && bytes.Equal(c.value.raw, value.raw) && slices.Equal(c.key, key) && bytes.Equal(c.before, data) {
		return c
	}
	return nil
}
