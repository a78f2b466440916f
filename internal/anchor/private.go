package anchor

import (
	"context"
	"errors"
	"fmt"

	"github.com/rollcall-dev/rollcall/internal/fsys"
	"github.com/rollcall-dev/rollcall/internal/replace"
)

// ErrNotPrivate means that somebody else may have written or read a private
// anchor.
var ErrNotPrivate = errors.New("not private")

// checkPrivate refuses an anchor whose text others may know: a symlink, a file
// with a further name, one that more than its owner may open, and one that
// belongs neither to root, nor to this user, nor to the owner of the config or
// of the directory, who could replace it anyway. It checks nothing where files
// have no such owners.
func (a *Anchor) checkPrivate(ctx context.Context, s *replace.Snapshot) error {
	owner, ok := a.fs.Owner(s.Info())
	if !ok {
		return nil
	}
	named, err := a.fs.Lstat(a.path)
	switch mode := s.Info().Mode(); {
	case err != nil:
		return err
	case !a.fs.SameFile(named, s.Info()):
		return fmt.Errorf("%w: it is a symlink, or changing", ErrNotPrivate)
	case mode.Perm()&0o077 != 0:
		return fmt.Errorf("%w: its mode is %04o", ErrNotPrivate, mode.Perm())
	case s.LinkCount() > 1:
		return fmt.Errorf("%w: it has several names", ErrNotPrivate)
	case owner.UID == 0 || owner.UID == a.fs.Self().UID || replace.BelongsTo(ctx, a.fs, owner.UID, a.opts.Config, fsys.Dir(a.path)):
		return nil
	}
	return fmt.Errorf("%w: it belongs to user %d, who owns neither the config nor the directory", ErrNotPrivate, owner.UID)
}
