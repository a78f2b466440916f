//go:build linux || darwin || freebsd

package durable

import "golang.org/x/sys/unix"

// FreeSpace returns how many bytes this process may still write to the file
// system of a directory. ok is false if that is not known.
func FreeSpace(dir string) (free int64, ok bool) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil || st.Blocks == 0 {
		return 0, false // some network file systems report no size
	}
	return int64(min(uint64(st.Bavail), 1<<40)) * int64(st.Bsize), true
}
