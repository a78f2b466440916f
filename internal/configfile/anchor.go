package configfile

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/rollcall-dev/rollcall/internal/flight"
	"github.com/rollcall-dev/rollcall/internal/fsys"
)

const (
	anchorSuffix = ".installation-id"
	// maxAnchor is how long an anchor can be: more is none.
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

	mu      sync.Mutex
	doubted string // what the last publication made, or tried to, unless it is known to be durable
}

// Anchor gives the anchor of the config: .NAME.installation-id in dir, or beside the config when dir is empty. valid
// tells what can be in it; anything else counts as damaged and is replaced. It shares the config's operation in flight.
func (f *File) Anchor(dir string, valid func(text string) bool) *Anchor {
	if dir == "" {
		dir = folderOf(f.path)
	}
	return f.AnchorAt(inFolder(dir, "."+filepath.Base(f.path)+anchorSuffix), valid)
}

// AnchorAt is Anchor under another name: path is absolute.
func (f *File) AnchorAt(path string, valid func(text string) bool) *Anchor {
	return &Anchor{path: clean(path), valid: valid, config: f, fs: f.fs, flight: f.flight}
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
	return &Anchor{path: clean(path), valid: valid, fs: fs, flight: new(flight.Flight)}, nil
}

// Path is where the anchor is.
func (a *Anchor) Path() string { return a.path }

// Running tells which operation is in flight and since when; op is "" when none is.
func (a *Anchor) Running() (op string, since time.Time) { return a.flight.Running() }

// Read gives what is in the anchor, without white space around it. It is fs.ErrNotExist when there is none. What it
// gives may be damaged, and is then not valid.
func (a *Anchor) Read(ctx context.Context) (string, error) {
	return a.do(ctx, "read", func(ctx context.Context) (string, error) {
		now, err := a.read(ctx)
		return now.text(), err
	})
}

// Publish makes the anchor with text, unless a valid one is there, and gives what is in it then, which is durable.
// Missing folders are made. The file's mode follows the umask and, beside a config, is no wider than the config's.
func (a *Anchor) Publish(ctx context.Context, text string) (string, error) {
	return a.do(ctx, "publish", func(ctx context.Context) (string, error) {
		if err := checkLength(text); err != nil {
			return "", err
		}
		return a.untilStill(func() (string, error) { return a.publish(ctx, text) })
	})
}

// Replace makes the anchor with text in place of any other.
func (a *Anchor) Replace(ctx context.Context, text string) error {
	_, err := a.do(ctx, "replace", func(ctx context.Context) (string, error) {
		if err := checkLength(text); err != nil {
			return "", err
		}
		if err := makeFolders(ctx, a.fs, folderOf(a.path)); err != nil {
			return "", err
		}
		defer lock(ctx, a.fs, folderOf(a.path))()
		return a.untilStill(func() (string, error) {
			now, err := a.read(ctx)
			switch {
			case err == nil:
				return text, a.replace(ctx, now, text)
			case errors.Is(err, fs.ErrNotExist) && !a.isSymlink():
				perm, _ := a.perm(ctx)
				return text, a.make(ctx, text, perm, func() func() { return func() {} })
			case errors.Is(err, ErrNotRegular):
				return "", err
			}
			return text, a.overwrite(ctx, text)
		})
	})
	return err
}

// untilStill repeats what other processes get in the way of.
func (a *Anchor) untilStill(attempt func() (string, error)) (string, error) {
	for range publishRounds {
		text, err := attempt()
		if !errors.Is(err, fs.ErrExist) && !errors.Is(err, errChanged) {
			return text, err
		}
	}
	return "", ErrChanging
}

// Unsynced tells whether text is what this process has published, or tried to, without being able to make it durable.
// Publish writes it once more.
func (a *Anchor) Unsynced(text string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.doubted != "" && a.doubted == text
}

// Confirm makes durable what is in the anchor, if there is one, without writing anything: whoever published it may have
// been killed before it came to that.
func (a *Anchor) Confirm(ctx context.Context) error {
	_, err := a.do(ctx, "confirm", func(ctx context.Context) (string, error) {
		return "", confirmFile(ctx, a.fs, a.path, a.path)
	})
	return err
}

// Confirm makes durable what is in the config, if there is one, without writing anything: whoever wrote it may have been
// killed before it came to that.
func (f *File) Confirm(ctx context.Context) error {
	_, err := flight.Do(ctx, f.flight, "confirm", func(ctx context.Context) (struct{}, error) {
		target, err := f.resolve(ctx)
		if err != nil {
			return struct{}{}, err
		}
		return struct{}{}, confirmFile(ctx, f.fs, f.path, target)
	})
	return f.explain("confirm", err)
}

// confirmFile syncs the file that name leads to, and the folder of the target, which is its own name.
func confirmFile(ctx context.Context, disk fsys.FS, name, target string) error {
	s, err := openRegular(ctx, disk, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer s.file.Close()
	return syncAsIs(ctx, disk, target, s.file)
}

// Sweep removes temporary files that killed processes left beside the anchor.
func (a *Anchor) Sweep(ctx context.Context) error {
	_, err := a.do(ctx, "sweep", func(ctx context.Context) (string, error) { return "", sweep(ctx, a.fs, a.path) })
	return err
}

// Sweep removes temporary files that killed processes left beside the config.
func (f *File) Sweep(ctx context.Context) error {
	_, err := flight.Do(ctx, f.flight, "sweep", func(ctx context.Context) (struct{}, error) {
		target, err := f.resolve(ctx)
		if err != nil {
			return struct{}{}, err
		}
		return struct{}{}, sweep(ctx, f.fs, target)
	})
	return f.explain("sweep", err)
}

func (a *Anchor) do(ctx context.Context, op string, fn func(context.Context) (string, error)) (string, error) {
	text, err := flight.Do(ctx, a.flight, op, fn)
	switch {
	case err == nil:
		return text, nil
	case errors.Is(err, flight.ErrTimeout):
		return "", fmt.Errorf("%s: %w", a.path, err) // which names the operation
	default:
		return "", fmt.Errorf("%s %s: %w", op, a.path, err)
	}
}

// An anchored is what was read of an anchor.
type anchored struct {
	info fs.FileInfo
	data []byte
}

func (a anchored) text() string {
	if len(a.data) > maxAnchor {
		return ""
	}
	return strings.TrimSpace(string(a.data))
}

func (a *Anchor) read(ctx context.Context) (anchored, error) {
	if err := ctx.Err(); err != nil {
		return anchored{}, err
	}
	s, err := readRegular(ctx, a.fs, a.path)
	if err != nil {
		return anchored{}, err
	}
	defer s.file.Close()
	return anchored{s.info, s.data}, nil
}

// publish is one round. It fails with fs.ErrExist or errChanged when another process was faster.
func (a *Anchor) publish(ctx context.Context, text string) (string, error) {
	now, err := a.read(ctx)
	switch {
	case err == nil && a.valid(now.text()):
		return now.text(), a.confirm(ctx, now)
	case err == nil, errors.Is(err, ErrTooLarge):
		return text, a.repair(ctx, text)
	case !errors.Is(err, fs.ErrNotExist):
		return "", err
	case a.isSymlink(): // that leads nowhere
		return text, a.repair(ctx, text)
	}
	perm, beside := a.perm(ctx)
	if !beside {
		if err := makeFolders(ctx, a.fs, folderOf(a.path)); err != nil {
			return "", err
		}
	}
	return text, a.make(ctx, text, perm, func() func() { return lock(ctx, a.fs, folderOf(a.path)) })
}

// make publishes the anchor where there is none.
func (a *Anchor) make(ctx context.Context, text string, perm fs.FileMode, lock func() (unlock func())) error {
	return a.surely(text, func() error { return publish(ctx, a.fs, a.path, line(text), perm, lock) })
}

// confirm makes durable what another process published, or anew what this one could not make durable.
func (a *Anchor) confirm(ctx context.Context, now anchored) error {
	if a.Unsynced(now.text()) {
		return a.replace(ctx, now, now.text())
	}
	return syncFolder(ctx, a.fs, a.path)
}

// repair replaces a damaged anchor, unless another process has done so meanwhile.
func (a *Anchor) repair(ctx context.Context, text string) error {
	defer lock(ctx, a.fs, folderOf(a.path))()
	now, err := a.read(ctx)
	switch {
	case err == nil && a.valid(now.text()):
		return fs.ErrExist
	case err == nil:
		return a.replace(ctx, now, text)
	case errors.Is(err, ErrTooLarge), errors.Is(err, fs.ErrNotExist) && a.isSymlink():
		return a.overwrite(ctx, text)
	case errors.Is(err, fs.ErrNotExist):
		return errChanged
	}
	return err
}

// replace puts text in the place of what was read, and of nothing else: an anchor that another process has published
// since then stands, also when this operation was abandoned and its last step comes much later.
func (a *Anchor) replace(ctx context.Context, now anchored, text string) error {
	if a.isSymlink() {
		return a.overwrite(ctx, text)
	}
	perm, _ := a.perm(ctx)
	return a.surely(text, func() error {
		r := &replacement{fs: a.fs, target: a.path, info: now.info, was: now.data, data: line(text), perm: perm}
		err := r.do(ctx)
		if errors.Is(err, fs.ErrNotExist) {
			return errChanged
		}
		return err
	})
}

// overwrite puts text in the place of an anchor that cannot be read, or of a symlink.
func (a *Anchor) overwrite(ctx context.Context, text string) error {
	perm, _ := a.perm(ctx)
	return a.surely(text, func() error {
		temp, err := writeTemp(ctx, a.fs, a.path, line(text), perm, nil)
		if err != nil {
			return err
		}
		if err := a.fs.Rename(temp, a.path); err != nil {
			a.fs.Remove(temp)
			return fmt.Errorf("rename: %w", err)
		}
		return syncFolder(ctx, a.fs, a.path)
	})
}

func (a *Anchor) isSymlink() bool {
	info, err := a.fs.Lstat(a.path)
	return err == nil && info.Mode()&fs.ModeSymlink != 0
}

// surely remembers text as doubtful unless write makes it durable, or finds that another process was faster.
func (a *Anchor) surely(text string, write func() error) error {
	a.doubt(text)
	err := write()
	if err == nil || errors.Is(err, fs.ErrExist) {
		a.doubt("")
	}
	return err
}

func (a *Anchor) doubt(text string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.doubted = text
}

// perm is the mode of a new anchor before the umask. beside tells whether it lies beside a config that is there: then
// nobody has just made their folder, since that is durable before anything is put into it.
func (a *Anchor) perm(ctx context.Context) (perm fs.FileMode, beside bool) {
	const all = 0o666
	if a.config == nil {
		return all, false
	}
	target, err := a.config.resolve(ctx)
	if err != nil {
		return all, false
	}
	info, err := a.fs.Lstat(target)
	if err != nil || !info.Mode().IsRegular() {
		return all, false
	}
	return info.Mode().Perm() & all, folderOf(target) == folderOf(a.path)
}

func checkLength(text string) error {
	if len(line(text)) > maxAnchor {
		return fmt.Errorf("longer than %d bytes", maxAnchor-1)
	}
	return nil
}

func line(text string) []byte { return []byte(text + "\n") }
