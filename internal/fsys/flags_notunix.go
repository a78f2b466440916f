//go:build !unix

package fsys

// Flags for opening that this system lacks.
const (
	NoFollow  = 0
	Directory = 0
)
