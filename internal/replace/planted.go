package replace

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/rollcall-dev/rollcall/internal/fsys"
)

// ErrPlanted means that a file may have been put there by somebody whom it does
// not concern.
var ErrPlanted = errors.New("may have been planted")

// CheckPlanted refuses a file that Rollcall itself should have written, with
// [ErrPlanted], if somebody else may have: in a sticky directory, such as /tmp,
// everybody may create files. There it has to belong to root, to this user, or
// to the owner of the directory or of one of the other files. Elsewhere, who
// may write in the directory may do as they like anyway.
func CheckPlanted(ctx context.Context, disk fsys.FS, name string, info fs.FileInfo, others ...string) error {
	owner, ok := disk.Owner(info)
	if !ok || owner.UID == 0 || owner.UID == disk.Self().UID {
		return nil
	}
	dir, err := Resolve(ctx, disk, fsys.Dir(name))
	if err != nil {
		return err
	}
	dirInfo, err := disk.Lstat(dir)
	if err != nil {
		return err
	}
	if dirInfo.Mode()&fs.ModeSticky == 0 || BelongsTo(ctx, disk, owner.UID, append(slices.Clip(others), dir)...) {
		return nil
	}
	return fmt.Errorf("it belongs to user %d, in a directory where everybody may put files: %w", owner.UID, ErrPlanted)
}

// BelongsTo reports whether the user owns what one of the names leads to. Empty
// names lead nowhere.
func BelongsTo(ctx context.Context, disk fsys.FS, uid int, names ...string) bool {
	return slices.ContainsFunc(names, func(name string) bool {
		if name == "" {
			return false
		}
		owner, ok := Owner(ctx, disk, name)
		return ok && owner == uid
	})
}
