package configfile_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"testing"

	"github.com/rollcall-dev/rollcall/internal/configfile"
	"github.com/rollcall-dev/rollcall/internal/flight"
	"github.com/rollcall-dev/rollcall/internal/fsys"
	"github.com/rollcall-dev/rollcall/internal/jsonedit"
	"github.com/rollcall-dev/rollcall/internal/replace"
)

type judged bool

func (judged) Error() string     { return "judged" }
func (j judged) Permanent() bool { return bool(j) }

func TestPermanent(t *testing.T) {
	pathError := func(errno error) error { return &fs.PathError{Op: "write", Path: "x", Err: errno} }
	wrapped := func(err error) error { return fmt.Errorf("save: %w", &os.LinkError{Op: "rename", Err: err}) }
	for _, tt := range []struct {
		err  error
		want bool
	}{
		{nil, false},
		{errors.New("something else"), false},

		{syscall.EROFS, true}, {syscall.EACCES, true}, {syscall.EPERM, true}, {syscall.EBUSY, true}, {syscall.EXDEV, true},
		{syscall.ENOTDIR, true}, {syscall.EISDIR, true}, {syscall.ELOOP, true}, {syscall.ENAMETOOLONG, true},
		{syscall.ENOSYS, true}, {syscall.ENOTSUP, true},
		{syscall.ENOSPC, false}, {syscall.EDQUOT, false}, {syscall.EIO, false}, {syscall.ESTALE, false}, {syscall.ENOLCK, false},
		{syscall.EAGAIN, false}, {syscall.EMFILE, false}, {syscall.ENFILE, false}, {syscall.EINTR, false}, {syscall.ENOENT, false},

		{replace.ErrNotRegular, true}, {replace.ErrReadOnly, true}, {replace.ErrNotInPlace, true},
		{jsonedit.ErrNotObject, true}, {jsonedit.ErrTooLarge, true}, {replace.ErrTooLarge, true}, {jsonedit.ErrTooDeep, true},
		{replace.ErrChanging, false}, {jsonedit.ErrEmpty, false},
		{&jsonedit.SyntaxError{}, true}, {&jsonedit.SyntaxError{Truncated: true}, false},
		{errors.ErrUnsupported, true}, {fs.ErrPermission, true}, {fs.ErrNotExist, false},
		{flight.ErrTimeout, false}, {context.DeadlineExceeded, false}, {context.Canceled, false},
		{judged(true), true}, {judged(false), false},

		// An error with several causes is not permanent if one of them may
		// pass.
		{errors.Join(syscall.EACCES, syscall.EROFS), true},
		{errors.Join(syscall.EACCES, syscall.EIO), false},
		{errors.Join(syscall.EIO, syscall.EACCES), false},
		{fmt.Errorf("%w (%w)", replace.ErrNotInPlace, pathError(syscall.EACCES)), true},
		{fmt.Errorf("%w (%w)", replace.ErrChanging, pathError(syscall.EACCES)), false},
		{fmt.Errorf("%w: %w", flight.ErrTimeout, context.DeadlineExceeded), false},
		{errors.Join(syscall.EROFS, errors.New("something else")), true},
		{errors.Join(judged(true), syscall.EIO), false},
	} {
		for _, err := range []error{tt.err, pathError(tt.err), wrapped(tt.err), wrapped(pathError(tt.err))} {
			if got := configfile.Permanent(err); got != tt.want {
				t.Errorf("%v: got %v, want %v", err, got, tt.want)
			}
		}
	}
}

func TestIsReadOnly(t *testing.T) {
	for err, want := range map[error]bool{
		nil: false, replace.ErrReadOnly: true, fs.ErrPermission: true, syscall.EROFS: true, syscall.EACCES: true,
		syscall.EPERM: true, syscall.EIO: false, syscall.ENOSPC: false, replace.ErrNotInPlace: false,
	} {
		if got := fsys.IsReadOnly(fmt.Errorf("save: %w", err)); got != want {
			t.Errorf("%v: got %v, want %v", err, got, want)
		}
	}
}
