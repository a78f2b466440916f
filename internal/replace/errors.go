package replace

import (
	"errors"
	"fmt"
	"io/fs"
)

var (
	// ErrNotRegular means that the path leads to a directory, a device, a
	// socket or a FIFO. None of these is read.
	ErrNotRegular = errors.New("not a regular file")

	// ErrTooLarge means that the file is larger than [MaxSize].
	ErrTooLarge = fmt.Errorf("larger than %d bytes", MaxSize)

	// ErrReadOnly means that the file's mode has no write bit. It is honoured
	// even for root. It is also an [fs.ErrPermission].
	ErrReadOnly error = readOnlyError{}

	// ErrReplaced means that the file has no name any more: it was replaced
	// where it is mounted from. What is written to it is lost. It is also an
	// [fs.ErrPermission].
	ErrReplaced error = replacedError{}

	// ErrNotInPlace means that the file could only be written in place, and
	// that it could be torn: the change does not fit into one page, or the
	// system cannot keep other programs from writing at the same time.
	ErrNotInPlace = errors.New("cannot be replaced, or changed in place without the risk of tearing it")

	// ErrChanging means that other programs kept changing the file.
	ErrChanging = errors.New("another program keeps changing the file")

	// ErrChanged means that the file was changed since it was read.
	ErrChanged = errors.New("another program has changed the file")
)

type readOnlyError struct{}

func (readOnlyError) Error() string        { return "file is read-only" }
func (readOnlyError) Is(target error) bool { return target == fs.ErrPermission }

type replacedError struct{}

func (replacedError) Error() string {
	return "file was replaced where it is mounted from, so that what is written to it is lost"
}
func (replacedError) Is(target error) bool { return target == fs.ErrPermission }

func checkRegular(info fs.FileInfo) error {
	if mode := info.Mode(); !mode.IsRegular() {
		return &notRegularError{fileKind(mode)}
	}
	return nil
}

type notRegularError struct{ kind string }

func (e *notRegularError) Error() string { return "not a regular file but " + e.kind }

func (e *notRegularError) Is(target error) bool { return target == ErrNotRegular }

func fileKind(mode fs.FileMode) string {
	switch {
	case mode.IsDir():
		return "a directory"
	case mode&fs.ModeNamedPipe != 0:
		return "a FIFO"
	case mode&fs.ModeSocket != 0:
		return "a socket"
	case mode&fs.ModeDevice != 0:
		return "a device"
	default:
		return "something else"
	}
}
