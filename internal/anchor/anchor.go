// Package anchor publishes one line in a small file, once: of any number of
// processes that publish at the same time one succeeds, and all others get
// what that one published.
package anchor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/rollcall-dev/rollcall/internal/flight"
	"github.com/rollcall-dev/rollcall/internal/fsys"
	"github.com/rollcall-dev/rollcall/internal/lasting"
	"github.com/rollcall-dev/rollcall/internal/replace"
)

const (
	// maxSize is the default of Options.MaxSize.
	maxSize = 1024
	// maxRounds is how often a publication starts over because other
	// processes publish or replace the anchor at the same time.
	maxRounds = 10
)

// An Anchor is a small file with one line in it, which no program but Rollcall
// writes. Its methods are safe for concurrent use. None waits longer than its
// context, and at most one operation is in flight, for which others wait.
type Anchor struct {
	path   string
	opts   Options
	fs     fsys.FS
	flight *flight.Flight

	mu       sync.Mutex
	unsynced string // what this process wrote without syncing it
}

// Options are the options of an [Anchor].
type Options struct {
	// Valid reports whether text can be in the anchor. Anything else counts
	// as damaged and is replaced.
	Valid func(text string) bool

	// MaxSize is the size in bytes of the largest anchor; larger files count
	// as damaged. 0 means 1,024.
	MaxSize int

	// Config is the path of a config file. A new anchor belongs to whom
	// the config does, if they lie in one directory, and its mode is no wider. Empty means none.
	Config string

	// Private makes the mode of a new anchor 0600. Read and Publish then return
	// [ErrNotPrivate] for one that others may have written or read.
	Private bool

	// Flight is shared with other files; nil means one of its own.
	Flight *flight.Flight
}

// Open returns the anchor at path, which must be absolute. It does not touch
// the disk.
func Open(disk fsys.FS, path string, opts Options) (*Anchor, error) {
	if !filepath.IsAbs(path) {
		return nil, fmt.Errorf("file %q: not an absolute path", path)
	}
	opts.MaxSize = cmp.Or(opts.MaxSize, maxSize)
	if opts.Flight == nil {
		opts.Flight = new(flight.Flight)
	}
	return &Anchor{path: fsys.Clean(path), opts: opts, fs: disk, flight: opts.Flight}, nil
}

// Path returns the path of the file.
func (a *Anchor) Path() string { return a.path }

// Running returns the operation in flight and its start; op is "" if there is
// none.
func (a *Anchor) Running() (op string, since time.Time) { return a.flight.Running() }

// ErrDangling is an fs.ErrNotExist: the anchor is a symlink that leads to nothing,
// such as to a disk that is not mounted.
var ErrDangling = fmt.Errorf("a symlink that leads to nothing: %w", fs.ErrNotExist)

// Read returns the text of the anchor as [Trim] does. The error is
// fs.ErrNotExist if there is no anchor. A damaged anchor has a text that is not
// valid.
func (a *Anchor) Read(ctx context.Context) (string, error) {
	return a.do(ctx, "read", func(ctx context.Context) (string, error) {
		s, err := a.read(ctx)
		return a.text(s), err
	})
}

// Publish creates the anchor with text unless a valid one exists, and returns
// the text of the anchor, which then is durable. Missing directories are
// created. The file belongs to whom it serves; see [replace.Access].
func (a *Anchor) Publish(ctx context.Context, text string) (string, error) {
	return a.do(ctx, "publish", func(ctx context.Context) (string, error) {
		if err := a.checkLength(text); err != nil {
			return "", err
		}
		return retry(func() (string, error) { return a.publish(ctx, text) })
	})
}

// Replace writes text into the anchor, whatever it holds.
func (a *Anchor) Replace(ctx context.Context, text string) error {
	_, err := a.do(ctx, "replace", func(ctx context.Context) (string, error) {
		if err := a.checkLength(text); err != nil {
			return "", err
		}
		dir := fsys.Dir(a.path)
		if err := replace.MakeDirs(ctx, a.fs, dir); err != nil {
			return "", err
		}
		unlock, _ := replace.Lock(ctx, a.fs, dir)
		defer unlock()
		return retry(func() (string, error) {
			s, err := a.read(ctx)
			switch {
			case err == nil:
				return text, a.replace(ctx, s, text)
			case errors.Is(err, fs.ErrNotExist) && !errors.Is(err, ErrDangling):
				access, _ := a.access(ctx)
				return text, a.write(text, func() error { return replace.CreateLocked(ctx, a.fs, a.path, line(text), access) })
			case errors.Is(err, replace.ErrNotRegular):
				return "", err
			}
			return text, a.overwrite(ctx, text)
		})
	})
	return err
}

// Sync makes durable what the anchor holds, if it exists, and writes nothing:
// whoever published it may have been killed before syncing it.
func (a *Anchor) Sync(ctx context.Context) error {
	_, err := a.do(ctx, "sync", func(ctx context.Context) (string, error) {
		return "", replace.Sync(ctx, a.fs, a.path)
	})
	return err
}

// Doubt returns why the anchor may not be there at the next start.
func (a *Anchor) Doubt(ctx context.Context) (lasting.Doubt, error) {
	return flight.Do(ctx, a.flight, "look at the mount", func(context.Context) (lasting.Doubt, error) {
		return lasting.About(a.fs, a.path), nil
	})
}

// Sweep removes temporary files that killed processes left next to the anchor.
func (a *Anchor) Sweep(ctx context.Context) error {
	_, err := a.do(ctx, "sweep", func(ctx context.Context) (string, error) {
		return "", replace.Sweep(ctx, a.fs, a.path)
	})
	return err
}

// Unsynced reports whether this process wrote text without being able to sync
// it. Publish then writes it again.
func (a *Anchor) Unsynced(text string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.unsynced != "" && a.unsynced == text
}

func (a *Anchor) do(ctx context.Context, op string, fn func(context.Context) (string, error)) (string, error) {
	text, err := flight.Do(ctx, a.flight, op, fn)
	switch {
	case err == nil:
		return text, nil
	case errors.Is(err, flight.ErrTimeout):
		return "", fmt.Errorf("%s: %w", a.path, err) // err names the operation
	default:
		return "", fmt.Errorf("%s %s: %w", op, a.path, err)
	}
}

// retry calls attempt again while other processes are faster.
func retry(attempt func() (string, error)) (string, error) {
	for range maxRounds {
		text, err := attempt()
		if !errors.Is(err, fs.ErrExist) && !errors.Is(err, replace.ErrChanged) {
			return text, err
		}
	}
	return "", replace.ErrChanging
}

// read returns a closed snapshot of the anchor.
func (a *Anchor) read(ctx context.Context) (*replace.Snapshot, error) {
	s, err := replace.Read(ctx, a.fs, a.path)
	if errors.Is(err, fs.ErrNotExist) && a.isSymlink() {
		err = ErrDangling
	}
	if err != nil {
		return nil, err
	}
	s.Close()
	if a.opts.Private {
		return s, a.checkPrivate(ctx, s)
	}
	if err := replace.CheckPlanted(ctx, a.fs, a.path, s.Info(), a.opts.Config); err != nil {
		return nil, err
	}
	return s, nil
}

func (a *Anchor) text(s *replace.Snapshot) string {
	if s == nil {
		return ""
	}
	return textOf(s.Data, a.opts.MaxSize)
}

// Text returns the text of an anchor with this content, of the default size.
// It is empty if data is too large.
func Text(data []byte) string { return textOf(data, maxSize) }

func textOf(data []byte, maxSize int) string {
	if len(data) > maxSize {
		return ""
	}
	return Trim(string(data))
}

// Trim returns text without white space and byte order marks around it, which
// editors and secrets in files often have.
func Trim(text string) string {
	const byteOrderMark = '\uFEFF'
	return strings.TrimFunc(text, func(r rune) bool { return r == byteOrderMark || unicode.IsSpace(r) })
}

// publish is one round of Publish. The error is fs.ErrExist or
// replace.ErrChanged if another process was faster.
func (a *Anchor) publish(ctx context.Context, want string) (string, error) {
	s, err := a.read(ctx)
	switch {
	case err == nil && a.opts.Valid(a.text(s)):
		return a.text(s), a.confirm(ctx, s)
	case err == nil, errors.Is(err, replace.ErrTooLarge):
		return want, a.repair(ctx, want)
	case !errors.Is(err, fs.ErrNotExist):
		return "", err
	case errors.Is(err, ErrDangling):
		return want, a.repair(ctx, want)
	}
	access, besideConfig := a.access(ctx)
	if !besideConfig {
		if err := replace.MakeDirs(ctx, a.fs, fsys.Dir(a.path)); err != nil {
			return "", err
		}
	}
	return want, a.write(want, func() error { return replace.Create(ctx, a.fs, a.path, line(want), access) })
}

// confirm syncs another process's anchor, or rewrites one that this process
// failed to sync.
func (a *Anchor) confirm(ctx context.Context, s *replace.Snapshot) error {
	if a.Unsynced(a.text(s)) {
		return a.replace(ctx, s, a.text(s))
	}
	return replace.SyncDir(ctx, a.fs, a.path)
}

// repair replaces a damaged anchor unless another process has done so.
func (a *Anchor) repair(ctx context.Context, want string) error {
	unlock, _ := replace.Lock(ctx, a.fs, fsys.Dir(a.path))
	defer unlock()
	s, err := a.read(ctx)
	switch {
	case err == nil && a.opts.Valid(a.text(s)):
		return fs.ErrExist
	case err == nil:
		return a.replace(ctx, s, want)
	case errors.Is(err, replace.ErrTooLarge), errors.Is(err, ErrDangling):
		return a.overwrite(ctx, want)
	case errors.Is(err, fs.ErrNotExist):
		return replace.ErrChanged
	}
	return err
}

// replace replaces the anchor that was read as s, and no other: one that
// another process has published since stays, even if this operation was
// abandoned and its last step comes much later.
func (a *Anchor) replace(ctx context.Context, s *replace.Snapshot, text string) error {
	if a.isSymlink() {
		return a.overwrite(ctx, text)
	}
	access, _ := a.access(ctx)
	return a.write(text, func() error { return s.Replace(ctx, line(text), access) })
}

// overwrite replaces an anchor that cannot be read, or a symlink.
func (a *Anchor) overwrite(ctx context.Context, text string) error {
	access, _ := a.access(ctx)
	return a.write(text, func() error { return replace.Overwrite(ctx, a.fs, a.path, line(text), access) })
}

func (a *Anchor) isSymlink() bool {
	info, err := a.fs.Lstat(a.path)
	return err == nil && info.Mode()&fs.ModeSymlink != 0
}

// write marks text as unsynced unless do makes it durable, or finds that
// another process was faster.
func (a *Anchor) write(text string, do func() error) error {
	a.setUnsynced(text)
	err := do()
	if err == nil || errors.Is(err, fs.ErrExist) {
		a.setUnsynced("")
	}
	return err
}

func (a *Anchor) setUnsynced(text string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.unsynced = text
}

// access returns who may use a new anchor, and whether it lies next to an
// existing config. Their directory then is not new, so that it need not be
// synced: it was, before the config was put into it.
func (a *Anchor) access(ctx context.Context) (access replace.Access, besideConfig bool) {
	access = replace.AccessBeside(ctx, a.fs, a.path, a.opts.Config)
	if a.opts.Private {
		access.Perm, access.Secret = 0o600, true
	}
	return access, access.Like != nil
}

func (a *Anchor) checkLength(text string) error {
	if len(line(text)) > a.opts.MaxSize {
		return fmt.Errorf("longer than %d bytes", a.opts.MaxSize-1)
	}
	return nil
}

func line(text string) []byte { return []byte(text + "\n") }
