//go:build unix

package fsys

import "syscall"

// Flags for opening that package os lacks. They do nothing where the system has
// no such flag.
const (
	// NoFollow means that no symlink is followed: the error is ELOOP. On
	// Linux since 5.6 that is so for every part of the name, except in /proc;
	// elsewhere it is for the last.
	NoFollow = syscall.O_NOFOLLOW
	// Directory means that nothing but a directory is opened.
	Directory = syscall.O_DIRECTORY
)
