package configfile

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"sync"
	"time"
	"weak"

	"github.com/rollcall-dev/rollcall/internal/anchor"
	"github.com/rollcall-dev/rollcall/internal/flight"
	"github.com/rollcall-dev/rollcall/internal/fsys"
	"github.com/rollcall-dev/rollcall/internal/jsonedit"
	"github.com/rollcall-dev/rollcall/internal/lasting"
	"github.com/rollcall-dev/rollcall/internal/replace"
)

// A File is a JSON config file, which may hold comments and trailing commas.
// Its methods are safe for concurrent use.
type File struct {
	path    string
	empty   []byte // the document that a new file begins with
	own     bool   // not a host's
	foreign bool   // an administrator's
	fs      fsys.FS
	file    *replace.File
	flight  *flight.Flight

	mu       sync.Mutex
	unsynced *entry                        // what this process wrote without syncing it
	planned  weak.Pointer[jsonedit.Change] // by Check, for the Set that follows
}

// An entry is a value at a key.
type entry struct {
	key   jsonedit.Key
	value jsonedit.Value
}

// Options are the options of a [File].
type Options struct {
	// New is the document that a new file begins with; nil means an empty
	// object.
	New []byte

	// Own means that the file is Rollcall's own, and not a host's: one that
	// somebody else may have planted is refused.
	Own bool

	// Foreign means that the file belongs to an administrator, and Rollcall only
	// reads it. A dangling symlink then counts as unreadable, not as absent: its
	// target may be on a disk that is not mounted.
	Foreign bool
}

var errDangling = errors.New("a symlink that leads to nothing")

// Open returns the file at path, which must be absolute. It does not touch the
// disk.
func Open(disk fsys.FS, path string, opts Options) (*File, error) {
	if !filepath.IsAbs(path) {
		return nil, fmt.Errorf("config %q: not an absolute path", path)
	}
	if opts.New == nil {
		opts.New = []byte("{}\n")
	}
	path = fsys.Clean(path)
	return &File{
		path:    path,
		empty:   opts.New,
		own:     opts.Own,
		foreign: opts.Foreign,
		fs:      disk,
		file:    replace.New(disk, path, replace.Options{Torn: jsonedit.IsTorn, CutShort: jsonedit.IsCutShort, Own: opts.Own}),
		flight:  new(flight.Flight),
	}, nil
}

// Sibling returns another File for the same path, for other keys. The two
// share their operation in flight, so that a disk that hangs costs one
// goroutine for both. Each has its own Unsynced.
func (f *File) Sibling() *File {
	return &File{path: f.path, empty: f.empty, own: f.own, foreign: f.foreign, fs: f.fs, file: f.file, flight: f.flight}
}

// Anchor returns the anchor at path, an absolute path, whose mode follows the
// config and which shares its operation in flight.
func (f *File) Anchor(path string, opts anchor.Options) (*anchor.Anchor, error) {
	opts.Config, opts.Flight = f.host(), f.flight
	return anchor.Open(f.fs, path, opts)
}

// host returns the path of the file if it is a host's; it names the anchor.
func (f *File) host() string {
	if f.own {
		return ""
	}
	return f.path
}

// Path returns the path of the file.
func (f *File) Path() string { return f.path }

// Owner returns the user ID of the owner of the file or, if there is none, of
// its directory. ok is false where that is not known.
func (f *File) Owner(ctx context.Context) (uid int, ok bool) {
	uid, err := flight.Do(ctx, f.flight, "look up the owner", func(ctx context.Context) (int, error) {
		for _, path := range []string{f.host(), fsys.Dir(f.path)} {
			if path == "" {
				continue
			}
			if uid, ok := replace.Owner(ctx, f.fs, path); ok {
				return uid, nil
			}
		}
		return 0, fs.ErrNotExist
	})
	return uid, err == nil
}

// Running returns the operation in flight and its start; op is "" if there is
// none.
func (f *File) Running() (op string, since time.Time) { return f.flight.Running() }

// Read returns the values at the keys, in their order. It opens nothing for
// writing. The whole file is checked: if any part of it is not valid JSON,
// that is an error.
//
// Its errors are fs.ErrNotExist, those of [jsonedit.Scan] and [replace.Read],
// and a timeout.
func (f *File) Read(ctx context.Context, keys ...jsonedit.Key) ([]jsonedit.Value, error) {
	return f.ReadThen(ctx, func(context.Context) {}, keys...)
}

// ReadThen is Read with then as part of the operation in flight, if the file
// could be read. It saves an operation of its own for a small file on the same
// disk; see [anchor.Anchor.Peek].
func (f *File) ReadThen(ctx context.Context, then func(context.Context), keys ...jsonedit.Key) ([]jsonedit.Value, error) {
	values, err := flight.Do(ctx, f.flight, "read", func(ctx context.Context) (values []jsonedit.Value, err error) {
		err = f.file.Read(ctx, func(s *replace.Snapshot) error {
			values, err = jsonedit.Scan(s.Data, keys)
			return err
		})
		switch {
		case err == nil:
			then(ctx)
		case f.foreign && errors.Is(err, fs.ErrNotExist):
			if info, statErr := f.fs.Lstat(f.path); statErr == nil && info.Mode()&fs.ModeSymlink != 0 {
				err = errDangling
			}
		}
		return values, err
	})
	return values, f.explain("read", err)
}

// Check returns the error that Set would return for the key and value now, as
// far as that is known without writing anything. See [Permanent] for whether
// retrying soon is pointless.
func (f *File) Check(ctx context.Context, key jsonedit.Key, value string) error {
	return f.do(ctx, "check", func(ctx context.Context) error {
		return f.file.Read(ctx, func(s *replace.Snapshot) error {
			if err := s.CheckWritable(); err != nil {
				return err
			}
			text, err := jsonedit.NewString(value)
			if err != nil {
				return err
			}
			change, err := jsonedit.Edit(s.Data, key, text)
			f.remember(change)
			return err
		})
	})
}

// CheckWritable returns why the file could not be written now, judging by its
// mode and by the kernel, without opening it.
func (f *File) CheckWritable(ctx context.Context) error {
	return f.do(ctx, "check", f.file.CheckWritable)
}

// Set sets the key to a string unless keep reports that the old value shall
// stay. It returns the value that the file then has, and whether it was
// written. Missing objects on the way to the key are created, and so are a
// missing file and the directories above it.
//
// Success means that the value is durable, even if it was kept, as far as the
// system can tell. keep is called for each value that is found, and may still
// be called after Set has returned because ctx has ended.
//
// Its errors are those of Read except fs.ErrNotExist, and those of
// [replace.File.Update].
func (f *File) Set(ctx context.Context, key jsonedit.Key, value string, keep func(old jsonedit.Value) bool) (now jsonedit.Value, wrote bool, err error) {
	text, err := jsonedit.NewString(value)
	if err != nil {
		return jsonedit.Value{}, false, f.explain("save", err)
	}
	return f.save(ctx, key, text, keep)
}

// SetLiteral sets the key to true, false, null or a number, as JSON writes
// them, whatever the old value is.
func (f *File) SetLiteral(ctx context.Context, key jsonedit.Key, literal string) error {
	value, err := jsonedit.NewLiteral(literal)
	if err != nil {
		return f.explain("save", err)
	}
	_, _, err = f.save(ctx, key, value, func(jsonedit.Value) bool { return false })
	return err
}

func (f *File) save(ctx context.Context, key jsonedit.Key, value jsonedit.Scalar, keep func(jsonedit.Value) bool) (jsonedit.Value, bool, error) {
	type result struct {
		now   jsonedit.Value
		wrote bool
	}
	r, err := flight.Do(ctx, f.flight, "save", func(ctx context.Context) (r result, err error) {
		r.now, r.wrote, err = f.set(ctx, key, value, keep)
		return r, err
	})
	return r.now, r.wrote, f.explain("save", err)
}

func (f *File) set(ctx context.Context, key jsonedit.Key, value jsonedit.Scalar, keep func(jsonedit.Value) bool) (now jsonedit.Value, wrote bool, err error) {
	defer f.remember(nil)
	want := value.Value()
	kept, creating := false, false
	err = f.file.Update(ctx, func(s *replace.Snapshot) ([]byte, error) {
		if creating { // in the last round, and another program was faster
			f.setUnsynced(nil)
		}
		kept, creating = false, s == nil
		if creating {
			now = want
			return f.edit(f.empty, key, value, nil)
		}
		change := f.recall(s.Data, key, value)
		old, err := oldValue(s.Data, key, change)
		if err != nil {
			return nil, err
		}
		now = want
		stays := keep(old)
		if stays {
			now = old
		}
		if now == old && !(now.Long && !stays) && !f.Unsynced(key, old) {
			kept = true
			return nil, nil
		}
		if err := s.CheckWritable(); err != nil {
			return nil, err
		}
		if stays {
			f.setUnsynced(&entry{key, now})
			return s.Data, nil
		}
		return f.edit(s.Data, key, value, change)
	})
	switch {
	case err != nil && kept:
		f.setUnsynced(&entry{key, now}) // whoever wrote it
	case err == nil && !kept:
		f.setUnsynced(nil)
	}
	if err != nil {
		return jsonedit.Value{}, false, err
	}
	return now, !kept, nil
}

// edit returns the document with the value, which from now on is unsynced.
// change is the edit if it is known; nil otherwise.
func (f *File) edit(data []byte, key jsonedit.Key, value jsonedit.Scalar, change *jsonedit.Change) ([]byte, error) {
	if change == nil {
		var err error
		if change, err = jsonedit.Edit(data, key, value); err != nil {
			return nil, err
		}
	}
	f.setUnsynced(&entry{key, value.Value()})
	return change.Data, nil
}

// oldValue returns the value at the key. change is an edit of data, or nil.
func oldValue(data []byte, key jsonedit.Key, change *jsonedit.Change) (jsonedit.Value, error) {
	if change != nil {
		return change.Old, nil
	}
	values, err := jsonedit.Scan(data, []jsonedit.Key{key})
	if err != nil {
		return jsonedit.Value{}, err
	}
	return values[0], nil
}

// Sync makes durable what the config holds, if it exists, and writes nothing:
// whoever wrote it may have been killed before syncing it.
func (f *File) Sync(ctx context.Context) error { return f.do(ctx, "sync", f.file.Sync) }

// Doubt returns why the config may not be there at the next start.
func (f *File) Doubt(ctx context.Context) (lasting.Doubt, error) {
	return flight.Do(ctx, f.flight, "look at the mount", func(context.Context) (lasting.Doubt, error) {
		return lasting.About(f.fs, f.path), nil
	})
}

// Sweep removes temporary files that killed processes left next to the config.
func (f *File) Sweep(ctx context.Context) error { return f.do(ctx, "sweep", f.file.Sweep) }

// Unsynced reports whether this process wrote v to the key without being able
// to sync it. Set then writes it again.
func (f *File) Unsynced(key jsonedit.Key, v jsonedit.Value) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.unsynced != nil && f.unsynced.value == v && slices.Equal(f.unsynced.key, key)
}

func (f *File) setUnsynced(e *entry) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.unsynced = e
}

// remember keeps the change that Check planned until memory is needed.
func (f *File) remember(c *jsonedit.Change) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.planned = weak.Make(c)
}

// recall returns the remembered change if it is the same; nil otherwise.
func (f *File) recall(data []byte, key jsonedit.Key, value jsonedit.Scalar) *jsonedit.Change {
	f.mu.Lock()
	c := f.planned.Value()
	f.mu.Unlock()
	if c != nil && c.Is(data, key, value) {
		return c
	}
	return nil
}

func (f *File) do(ctx context.Context, op string, fn func(context.Context) error) error {
	_, err := flight.Do(ctx, f.flight, op, func(ctx context.Context) (struct{}, error) { return struct{}{}, fn(ctx) })
	return f.explain(op, err)
}

func (f *File) explain(op string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, flight.ErrTimeout):
		return fmt.Errorf("config %s: %w", f.path, err) // err names the operation
	default:
		return fmt.Errorf("%s config %s: %w", op, f.path, err)
	}
}
