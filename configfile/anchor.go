package configfile

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/rollcall-dev/rollcall/internal/flight"
	"github.com/rollcall-dev/rollcall/internal/fsys"
)

const (
	anchorSuffix = ".installation-id"
	// maxAnchor is how much of an anchor is read: more is none.
	maxAnchor = 1024
	// publishRounds is how often publishing starts over when others publish or replace the anchor at the same time.
	publishRounds = 10
)

// An Anchor is a small file that holds one line and that is published once, whole and durable: of any number of
// processes that publish at the same time one succeeds, and all the others get what that one published. No host writes
// to it, so that nothing undoes it. Its methods are safe for concurrent use.
type Anchor struct {
	path   string
	valid  func(text string) bool
	config *File // whose mode it follows; nil for none
	fs     fsys.FS
	flight *flight.Flight

	mu       sync.Mutex
	unsynced bool // whether the last publication could not be made durable
}

// Anchor gives the anchor of the config: .NAME.installation-id in dir, or beside the config when dir is empty. valid
// tells what can be in it; anything else counts as damaged and is replaced. It shares the config's operation in flight.
func (f *File) Anchor(dir string, valid func(text string) bool) *Anchor {
	if dir == "" {
		dir = filepath.Dir(f.path)
	}
	return f.AnchorAt(filepath.Join(dir, "."+filepath.Base(f.path)+anchorSuffix), valid)
}

// AnchorAt is Anchor under another name: path is absolute.
func (f *File) AnchorAt(path string, valid func(text string) bool) *Anchor {
	return &Anchor{path: filepath.Clean(path), valid: valid, config: f, fs: f.fs, flight: f.flight}
}

// OpenAnchor gives an anchor on its own at path, which has to be absolute. It does not touch the disk.
func OpenAnchor(path string, valid func(text string) bool) (*Anchor, error) {
	return OpenAnchorFS(fsys.OS{}, path, valid)
}

// OpenAnchorFS is OpenAnchor on another file system.
func OpenAnchorFS(fs fsys.FS, path string, valid func(text string) bool) (*Anchor, error) {
	if !filepath.IsAbs(path) {
		return nil, fmt.Errorf("file %q: not an absolute path", path)
	}
	return &Anchor{path: filepath.Clean(path), valid: valid, fs: fs, flight: new(flight.Flight)}, nil
}

// Path is where the anchor is.
func (a *Anchor) Path() string { return a.path }

// Running tells which operation is in flight and since when; op is "" when none is.
func (a *Anchor) Running() (op string, since time.Time) { return a.flight.Running() }

// Read gives what is in the anchor, without white space around it. It is fs.ErrNotExist when there is none. What it
// gives may be damaged, and is then not valid.
func (a *Anchor) Read(ctx context.Context) (string, error) {
	return a.do(ctx, "read", a.read)
}

// Publish makes the anchor with text, unless a valid one is there, and gives what is in it then, which is durable.
// Missing folders are made. The file's mode follows the umask and, beside a config, is no wider than the config's.
func (a *Anchor) Publish(ctx context.Context, text string) (string, error) {
	return a.do(ctx, "publish", func(ctx context.Context) (string, error) {
		for range publishRounds {
			now, err := a.publish(ctx, text)
			if !errors.Is(err, fs.ErrExist) {
				return now, err
			}
		}
		return "", ErrChanging
	})
}

// Replace makes the anchor with text in place of any other.
func (a *Anchor) Replace(ctx context.Context, text string) error {
	_, err := a.do(ctx, "replace", func(ctx context.Context) (string, error) {
		if err := makeFolders(ctx, a.fs, filepath.Dir(a.path)); err != nil {
			return "", err
		}
		defer lock(ctx, a.fs, filepath.Dir(a.path))()
		return text, a.replace(ctx, text)
	})
	return err
}

// Sweep removes temporary files that killed processes left beside the anchor.
func (a *Anchor) Sweep(ctx context.Context) error {
	_, err := a.do(ctx, "sweep", func(ctx context.Context) (string, error) { return "", sweep(ctx, a.fs, a.path) })
	return err
}

// Sweep removes temporary files that killed processes left beside the config.
func (f *File) Sweep(ctx context.Context) error {
	_, err := flight.Do(ctx, f.flight, "sweep", func(ctx context.Context) (struct{}, error) {
		target, err := f.resolve()
		if err != nil {
			return struct{}{}, err
		}
		return struct{}{}, sweep(ctx, f.fs, target)
	})
	return f.explain("sweep", err)
}

func (a *Anchor) do(ctx context.Context, op string, fn func(context.Context) (string, error)) (string, error) {
	text, err := flight.Do(ctx, a.flight, op, fn)
	if err != nil {
		return "", fmt.Errorf("%s %s: %w", op, a.path, err)
	}
	return text, nil
}

func (a *Anchor) read(ctx context.Context) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	file, err := a.fs.OpenFile(a.path, os.O_RDONLY, 0)
	if err != nil {
		return "", err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return "", err
	}
	if err := checkRegular(info); err != nil {
		return "", err
	}
	data, err := io.ReadAll(io.LimitReader(file, maxAnchor))
	if err != nil {
		return "", err
	}
	return strings.TrimSpace(string(data)), nil
}

// publish is one round. It fails with fs.ErrExist when another process was faster.
func (a *Anchor) publish(ctx context.Context, text string) (string, error) {
	now, err := a.read(ctx)
	switch {
	case err == nil && a.valid(now):
		return now, a.confirm(ctx, now)
	case err == nil:
		return text, a.repair(ctx, text)
	case !errors.Is(err, fs.ErrNotExist):
		return "", err
	}
	if err := makeFolders(ctx, a.fs, filepath.Dir(a.path)); err != nil {
		return "", err
	}
	a.distrust(true)
	err = publish(ctx, a.fs, a.path, line(text), a.perm())
	if err == nil || errors.Is(err, fs.ErrExist) {
		a.distrust(false)
	}
	return text, err
}

// confirm makes durable what another process published, or anew what this one could not make durable.
func (a *Anchor) confirm(ctx context.Context, text string) error {
	a.mu.Lock()
	unsynced := a.unsynced
	a.mu.Unlock()
	if unsynced {
		return a.replace(ctx, text)
	}
	return syncFolder(ctx, a.fs, a.path)
}

// repair replaces a damaged anchor, unless another process has done so meanwhile.
func (a *Anchor) repair(ctx context.Context, text string) error {
	defer lock(ctx, a.fs, filepath.Dir(a.path))()
	now, err := a.read(ctx)
	if err == nil && a.valid(now) {
		return fs.ErrExist
	}
	return a.replace(ctx, text)
}

func (a *Anchor) replace(ctx context.Context, text string) error {
	temp, err := writeTemp(ctx, a.fs, a.path, line(text), a.perm(), nil)
	if err != nil {
		return err
	}
	a.distrust(true)
	if err := a.fs.Rename(temp, a.path); err != nil {
		a.fs.Remove(temp)
		return fmt.Errorf("rename: %w", err)
	}
	if err := syncFolder(ctx, a.fs, a.path); err != nil {
		return err
	}
	a.distrust(false)
	return nil
}

// perm is the mode of a new anchor before the umask.
func (a *Anchor) perm() fs.FileMode {
	const all = 0o666
	if a.config == nil {
		return all
	}
	info, err := a.fs.Lstat(a.config.path)
	if err != nil || !info.Mode().IsRegular() {
		return all
	}
	return info.Mode().Perm() & all
}

func (a *Anchor) distrust(unsynced bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.unsynced = unsynced
}

func line(text string) []byte { return []byte(text + "\n") }
