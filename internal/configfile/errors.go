package configfile

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"syscall"

	"github.com/rollcall-dev/rollcall/internal/flight"
	"github.com/rollcall-dev/rollcall/internal/fsys"
	"github.com/rollcall-dev/rollcall/internal/jsonedit"
	"github.com/rollcall-dev/rollcall/internal/replace"
)

// Permanent reports whether retrying soon is pointless, because somebody has
// to change something first. A full disk, an I/O error, a stale handle, a file
// that is being written and a timeout are not permanent. An error with several
// causes is permanent only if all known ones are.
func Permanent(err error) bool {
	permanent, transient := causes(err)
	return permanent && !transient
}

// causes reports whether the tree of err holds causes of either kind.
func causes(err error) (permanent, transient bool) {
	if err == nil {
		return false, false
	}
	switch e := err.(type) {
	case interface{ Permanent() bool }: // judged in another process
		return e.Permanent(), !e.Permanent()
	case *jsonedit.SyntaxError:
		return !e.Truncated, e.Truncated
	case syscall.Errno:
		p := isOneOf(e, permanentErrors) || fsys.IsPermanent(e)
		return p, !p
	}
	if isOneOf(err, permanentErrors) {
		return true, false
	}
	if isOneOf(err, transientErrors) {
		return false, true
	}
	switch e := err.(type) {
	case interface{ Unwrap() error }:
		return causes(e.Unwrap())
	case interface{ Unwrap() []error }:
		for _, err := range e.Unwrap() {
			p, t := causes(err)
			permanent, transient = permanent || p, transient || t
		}
	}
	return permanent, transient
}

var (
	permanentErrors = []error{
		replace.ErrNotRegular, replace.ErrReadOnly, replace.ErrReplaced, replace.ErrNotInPlace, replace.ErrTooLarge, replace.ErrForeignLink, replace.ErrPlanted,
		jsonedit.ErrNotObject, jsonedit.ErrTooLarge, jsonedit.ErrTooDeep,
		errors.ErrUnsupported, fs.ErrPermission,
	}
	transientErrors = []error{
		replace.ErrChanging, replace.ErrChanged, jsonedit.ErrEmpty,
		flight.ErrTimeout, context.DeadlineExceeded, context.Canceled,
	}
)

// isOneOf reports whether err itself, whatever it wraps, is one of the targets.
func isOneOf(err error, targets []error) bool {
	is, ok := err.(interface{ Is(error) bool })
	return slices.ContainsFunc(targets, func(target error) bool { return err == target || ok && is.Is(target) })
}
