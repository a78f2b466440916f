//go:build !unix

package durable

import "os"

// Own does nothing on systems without Unix owners.
func Own(*os.File, string) {}
