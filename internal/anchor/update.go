package anchor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/rollcall-dev/rollcall/internal/fsys"
	"github.com/rollcall-dev/rollcall/internal/replace"
)

// Update writes what edit returns for the text of the anchor, if that exists.
// The result is durable, also if edit changes nothing. If edit returns "", the
// anchor is removed. Of several processes that update at the same time each sees
// what the one before it wrote: edit is called again when another process was
// faster. Where locks do not work, one of two updates within a few milliseconds
// can be lost. An anchor that cannot be read is not written.
//
// Its errors are those of edit and of the file system.
func (a *Anchor) Update(ctx context.Context, edit func(old string, exists bool) (string, error)) error {
	_, err := a.do(ctx, "update", func(ctx context.Context) (string, error) {
		dir := fsys.Dir(a.path)
		unlock, lockErr := replace.Lock(ctx, a.fs, dir)
		defer func() { unlock() }()
		return retry(func() (string, error) {
			s, err := a.read(ctx)
			exists := err == nil
			switch {
			case exists && len(s.Data) > a.opts.MaxSize:
				return "", replace.ErrTooLarge
			case !exists && (!errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrDangling)):
				return "", err
			}
			old := a.text(s)
			text, err := edit(old, exists)
			switch {
			case err != nil:
				return "", err
			case text == "":
				return "", a.remove(ctx, exists)
			case exists && text == old:
				return "", a.confirm(ctx, s)
			}
			if err := a.checkLength(text); err != nil {
				return "", err
			}
			if exists {
				return "", a.replace(ctx, s, text)
			}
			access, besideConfig := a.access(ctx)
			if !besideConfig {
				if err := replace.MakeDirs(ctx, a.fs, dir); err != nil {
					return "", err
				}
			}
			if errors.Is(lockErr, fs.ErrNotExist) {
				unlock, lockErr = replace.Lock(ctx, a.fs, dir)
			}
			return "", a.write(text, func() error { return replace.CreateLocked(ctx, a.fs, a.path, line(text), access) })
		})
	})
	return err
}

// Peek is Read for a caller that is the operation in flight. It finds out with
// one system call that there is no anchor.
func (a *Anchor) Peek(ctx context.Context) (string, error) {
	if _, err := a.fs.Lstat(a.path); errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	s, err := a.read(ctx)
	return a.text(s), err
}

// remove removes the anchor, if it exists, durably.
func (a *Anchor) remove(ctx context.Context, exists bool) error {
	if !exists {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := a.fs.Remove(a.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove: %w", err)
	}
	return replace.SyncDir(ctx, a.fs, a.path)
}
