//go:build !linux && !darwin && !freebsd && !windows

package durable

// FreeSpace returns how many bytes this process may still write to the file
// system of a directory. ok is false if that is not known.
func FreeSpace(string) (free int64, ok bool) { return 0, false }
