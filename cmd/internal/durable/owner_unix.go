//go:build unix

package durable

import (
	"os"
	"syscall"
)

// Own gives a new file the owner and group of the directory that it is in, if this
// process is root's: the collector's own user has to open what root left there. It
// does what it can: without the right to do it, a file stays as it is.
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
