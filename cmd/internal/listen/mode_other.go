//go:build !unix

package listen

import (
	"errors"
	"io/fs"
)

// setMode is not needed: [CheckUnix] refuses sockets here.
func setMode(string, fs.FileMode) error { return errors.ErrUnsupported }
