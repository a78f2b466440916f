//go:build unix

package durable

import (
	"os"
	"syscall"
)

// Own gives a new file the owner and group of its directory. It does so only as
// root, so that the collector's user can open what root creates there. It
// ignores errors: a file that cannot change hands stays root's.
func Own(f *os.File, dir string) {
	if os.Geteuid() != 0 {
		return
	}
	info, err := os.Stat(dir)
	if err != nil {
		return
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok && st.Uid != 0 {
		_ = f.Chown(int(st.Uid), int(st.Gid))
	}
}
