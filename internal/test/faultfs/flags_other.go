//go:build !unix

package faultfs

// Flags for opening that this system lacks.
const (
	noFollow = 0
	onlyDir  = 0
)
