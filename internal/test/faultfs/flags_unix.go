//go:build unix

package faultfs

import "syscall"

// Flags for opening that package os lacks.
const (
	noFollow = syscall.O_NOFOLLOW
	onlyDir  = syscall.O_DIRECTORY
)
