//go:build !unix

package faultfs

// Flags for opening that this system does not have.
const (
	noFollow = 0
	onlyDir  = 0
)
