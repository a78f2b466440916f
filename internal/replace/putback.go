package replace

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/rollcall-dev/rollcall/internal/fsys"
)

// The steps below run even after the caller has given up, and therefore
// without its context.

const (
	// writersWait is how long a swap waits for a program that has the file
	// open for writing.
	writersWait = 200 * time.Millisecond
	// putBackRounds is how many saves of other programs are put back that
	// follow one another.
	putBackRounds = 10
	// displacedSuffix replaces tempSuffix in the name of a file that could
	// not be put back.
	displacedSuffix = ".displaced"
)

// waitForWriters waits up to writersWait until no program has the file open
// for writing, and reports whether that is so. It also does if the system
// cannot tell: the content is compared in any case, twice.
func waitForWriters(ctx context.Context, file fsys.File) bool {
	deadline := time.Now().Add(writersWait)
	for {
		writers, err := file.HasWriters()
		if err != nil || !writers {
			return true
		}
		if ctx.Err() != nil || !time.Now().Before(deadline) {
			return false
		}
		sleep(ctx, time.Millisecond)
	}
}

// A state is what a file is in that another program may have changed.
type state int

const (
	expected   state = iota // it holds what was expected, and no program has it open for writing
	newer                   // it holds, or may come to hold, something else
	missing                 // it does not exist
	unreadable              // nobody knows
)

// displacedNewer reports whether an exchange displaced anything but the old
// content, or the new one, which another process had put there first.
func (w *swap) displacedNewer() bool {
	got := w.stateOf(w.temp, w.Data, w.data)
	return got == newer || got == unreadable
}

// stateOf returns the state of a file that is expected to have one of the
// contents.
func (w *swap) stateOf(name string, contents ...[]byte) state {
	_, data, err := w.contentOf(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return missing
	case errors.Is(err, errBeingWritten), errors.Is(err, ErrNotRegular), errors.Is(err, ErrTooLarge):
		return newer
	case err != nil:
		return unreadable
	}
	for _, content := range contents {
		if bytes.Equal(data, content) {
			return expected
		}
	}
	return newer
}

var errBeingWritten = errors.New("is open for writing")

// contentOf reads a regular file that no program has open for writing. Errors
// of the system are retried a few times. The info is returned with an error
// too, as far as it is known.
func (w *swap) contentOf(name string) (info fs.FileInfo, data []byte, err error) {
	err = retry(context.Background(), isTransient, func() (err error) {
		info, data, err = w.contentOnce(name)
		return err
	})
	return info, data, err
}

func isTransient(err error) bool {
	var errno syscall.Errno
	return errors.As(err, &errno) && !errors.Is(err, fs.ErrNotExist)
}

func (w *swap) contentOnce(name string) (info fs.FileInfo, data []byte, err error) {
	if info, err = w.fs.Lstat(name); err != nil {
		return nil, nil, err
	}
	if err := checkRegular(info); err != nil {
		return info, nil, err
	}
	file, err := w.fs.OpenFile(name, os.O_RDONLY|fsys.NoFollow, 0)
	if err != nil {
		return info, nil, err
	}
	defer file.Close()
	if !waitForWriters(context.Background(), file) {
		return info, nil, errBeingWritten
	}
	data, err = readAll(file, info.Size())
	return info, data, err
}

// putBack undoes an exchange that displaced something newer than what the
// change was made from. What is exchanged back should be what was put there,
// by this process or, if it hung and others did the same meanwhile, by
// another. If it is not, it is newer still, and is put back in turn.
func (w *swap) putBack() error {
	ours, data := w.ours, w.data // what was put in the target's place
	var err error
	for range putBackRounds {
		displaced, content, readErr := w.contentOf(w.temp)
		if displaced == nil {
			return w.notPutBack(readErr)
		}
		err = w.fs.Exchange(w.temp, w.name)
		if err != nil && w.holds(w.temp, displaced) {
			continue
		}
		switch w.stateOfOurs(w.temp, ours, data) {
		case expected, missing:
			return w.putBackDone(ErrChanged)
		case unreadable:
			return w.notPutBack(errUnreadable)
		}
		if ours, data = displaced, content; readErr != nil {
			data = nil // not known: a program is still writing to it, or it is a symlink
		}
	}
	if err == nil {
		err = ErrChanging
	}
	// Either the two cannot be exchanged any more, or others save as fast as
	// this can look. What was displaced is the newest, unless the target has
	// changed once more.
	switch w.stateOfOurs(w.name, ours, data) {
	case expected:
		if renameErr := w.fs.Rename(w.temp, w.name); renameErr != nil {
			return w.notPutBack(renameErr)
		}
	case unreadable:
		return w.notPutBack(errUnreadable)
	}
	return w.putBackDone(err)
}

// stateOfOurs returns the state of a file that is expected to be the one that
// was put in the target's place: judging by its content, or by the file itself
// if data is nil or the content cannot be read.
func (w *swap) stateOfOurs(name string, ours fs.FileInfo, data []byte) state {
	got := newer
	if data != nil {
		got = w.stateOf(name, data)
	}
	if (data == nil || got == unreadable) && w.holds(name, ours) {
		return expected
	}
	return got
}

var errUnreadable = errors.New("the displaced file cannot be read")

func (w *swap) putBackDone(err error) error {
	w.fs.Remove(w.temp)
	w.fs.SyncDir(fsys.Dir(w.name))
	return err
}

// notPutBack renames the displaced file, which has to stay where it is, so that
// it is not swept.
func (w *swap) notPutBack(err error) error {
	kept := strings.TrimSuffix(w.temp, tempSuffix) + displacedSuffix
	if w.fs.Rename(w.temp, kept) != nil {
		kept = w.temp
	}
	return fmt.Errorf("put back what another program saved, which is now in %s: %w", filepath.Base(kept), err)
}

// writtenTo returns what a program has written to the file that was renamed
// over, or nil. It also returns nil if that is empty or cut short even after a
// while, since the rest of it would never follow, and if it is too large to be
// read as a whole.
func (w *swap) writtenTo(displaced fsys.File) ([]byte, error) {
	waitForWriters(context.Background(), displaced)
	var content bytes.Buffer
	var readErr error
	for again := 0; ; again++ {
		_, err := content.ReadFrom(io.LimitReader(displaced, int64(MaxSize+1-content.Len())))
		data := content.Bytes()
		readErr = cmp.Or(err, readErr)
		switch {
		case err == nil && (bytes.Equal(data, w.Data) || bytes.Equal(data, w.data)):
			return nil, nil
		case err == nil && len(data) <= MaxSize && !w.cutShort(data):
			return data, nil
		case again == len(pauses) && readErr != nil:
			return nil, fmt.Errorf("%w: %w", errUnreadable, readErr)
		case again == len(pauses) || len(data) > MaxSize:
			return nil, nil
		}
		time.Sleep(pauses[again])
	}
}

// restore makes content that of the target again, unless something newer still
// is there. It is the only copy of what another program saved, so that this is
// retried.
func (w *swap) restore(content []byte) error {
	always := func(error) bool { return true }
	err := retry(context.Background(), always, func() error { return w.restoreOnce(content) })
	if err != nil {
		return fmt.Errorf("put back what another program saved: %w", err)
	}
	return ErrChanged
}

func (w *swap) restoreOnce(content []byte) error {
	temp, err := w.writeLikeTarget(content)
	if err != nil {
		return err
	}
	switch w.stateOf(w.name, w.data) {
	case expected:
		err = w.fs.Rename(temp, w.name)
	case unreadable:
		err = errUnreadable
	}
	w.fs.Remove(temp)
	w.fs.SyncDir(fsys.Dir(w.name))
	return err
}

// writeLikeTarget writes a temporary file with the attributes of the target,
// which has those of the original. The original itself has no name any more,
// and a file server that goes by names no longer knows its attributes.
func (w *swap) writeLikeTarget(content []byte) (temp string, err error) {
	var like fsys.File
	if w.like != nil {
		if like, err = w.fs.OpenFile(w.name, os.O_RDONLY|fsys.NoFollow, 0); err != nil {
			return "", err
		}
		defer like.Close() // before the rename, which Windows refuses over an open file
	}
	return writeTemp(context.Background(), w.fs, w.name, content, w.access, like)
}
