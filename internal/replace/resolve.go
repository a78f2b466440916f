package replace

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"syscall"

	"github.com/rollcall-dev/rollcall/internal/fsys"
)

// maxLinks is how many symlinks are followed; the kernel has the same limit.
const maxLinks = 40

// Resolve follows symlinks and returns the name of what they lead to, which
// need not exist.
func Resolve(ctx context.Context, disk fsys.FS, name string) (string, error) {
	for range maxLinks {
		if err := ctx.Err(); err != nil {
			return "", err
		}
		info, err := disk.Lstat(name)
		if errors.Is(err, fs.ErrNotExist) || err == nil && info.Mode()&fs.ModeSymlink == 0 {
			return name, nil
		}
		if err != nil {
			return "", err
		}
		to, err := disk.Readlink(name)
		if err != nil {
			return "", err
		}
		if !filepath.IsAbs(to) {
			to = fsys.Join(fsys.Dir(name), to)
		}
		name = fsys.Clean(to)
	}
	return "", fmt.Errorf("more than %d symlinks: %w", maxLinks, error(syscall.ELOOP))
}
