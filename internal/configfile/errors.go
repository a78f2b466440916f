package configfile

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"syscall"

	"github.com/rollcall-dev/rollcall/internal/flight"
	"github.com/rollcall-dev/rollcall/internal/fsys"
)

// Why a config is not read or not changed, besides its content and what the system says.
var (
	// ErrNotRegular says that the path is a folder, a device, a socket or a FIFO. None of these is read.
	ErrNotRegular = errors.New("not a regular file")

	// ErrReadOnly says that no write bit is set in the file's mode. It is taken at its word, also by root.
	ErrReadOnly = errors.New("file is read-only")

	// ErrNotInPlace says that the file could only be written in place, and that the change does not fit into one page
	// of it, so that it could be torn.
	ErrNotInPlace = errors.New("cannot be replaced, nor be changed in place without the danger of tearing it")

	// ErrChanging says that the file was changed by others again and again while it was to be saved.
	ErrChanging = errors.New("is being changed by another program all the time")

	// errChanged says that the file was changed since it was read.
	errChanged = errors.New("was changed by another program meanwhile")

	errLoop error = syscall.ELOOP
)

// Permanent tells whether trying again soon is in vain: somebody has to change something first. Faults that pass by
// themselves (a full disk, an I/O error, a stale handle, a file that is being written) are not permanent, nor is a
// time-out. Where an error has several causes, all that are known have to be permanent.
func Permanent(err error) bool {
	permanent, passing := causes(err)
	return permanent && !passing
}

// causes tells whether there are causes of either kind in the tree of err.
func causes(err error) (permanent, passing bool) {
	if err == nil {
		return false, false
	}
	switch e := err.(type) {
	case interface{ Permanent() bool }: // judged in another process
		return e.Permanent(), !e.Permanent()
	case *SyntaxError:
		return !e.Truncated, e.Truncated
	case syscall.Errno:
		p := isOneOf(e, permanentErrors) || fsys.PermanentErrno(e)
		return p, !p
	}
	if isOneOf(err, permanentErrors) {
		return true, false
	}
	if isOneOf(err, passingErrors) {
		return false, true
	}
	switch e := err.(type) {
	case interface{ Unwrap() error }:
		return causes(e.Unwrap())
	case interface{ Unwrap() []error }:
		for _, err := range e.Unwrap() {
			p, q := causes(err)
			permanent, passing = permanent || p, passing || q
		}
	}
	return permanent, passing
}

var (
	permanentErrors = []error{
		ErrNotRegular, ErrReadOnly, ErrNotInPlace, ErrNotObject, ErrTooLarge, ErrTooDeep, errors.ErrUnsupported, fs.ErrPermission,
	}
	passingErrors = []error{
		ErrChanging, errChanged, ErrEmpty, flight.ErrTimeout, context.DeadlineExceeded, context.Canceled,
	}
)

// isOneOf tells whether err itself, whatever it wraps, is one of the targets.
func isOneOf(err error, targets []error) bool {
	is, ok := err.(interface{ Is(error) bool })
	return slices.ContainsFunc(targets, func(target error) bool { return err == target || ok && is.Is(target) })
}

// IsReadOnly tells whether err says that the file can be read and not be written.
func IsReadOnly(err error) bool {
	if errors.Is(err, ErrReadOnly) || errors.Is(err, fs.ErrPermission) {
		return true
	}
	errno, ok := errors.AsType[syscall.Errno](err)
	return ok && fsys.ReadOnlyErrno(errno)
}

func checkRegular(info fs.FileInfo) error {
	if mode := info.Mode(); !mode.IsRegular() {
		return &notRegularError{kindOfFile(mode)}
	}
	return nil
}

type notRegularError struct{ kind string }

func (e *notRegularError) Error() string { return "not a regular file but " + e.kind }

func (e *notRegularError) Is(target error) bool { return target == ErrNotRegular }

func kindOfFile(mode fs.FileMode) string {
	switch {
	case mode.IsDir():
		return "a folder"
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

// isTorn tells whether err may be a moment in someone else's write.
func isTorn(err error) bool {
	_, syntax := errors.AsType[*SyntaxError](err)
	return syntax || errors.Is(err, ErrEmpty)
}
