//go:build dragonfly || freebsd || netbsd || openbsd

package fsys

import (
	"errors"
	"os"
)

// Exchange implements [FS]: these systems have no such operation.
func (OS) Exchange(a, b string) error {
	return &os.LinkError{Op: "exchange", Old: a, New: b, Err: errors.ErrUnsupported}
}
