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

// What is here is done also by an operation that was abandoned long ago, and so without its context.

const (
	// writersWait is how long a program that has the displaced file open for writing is waited for.
	writersWait = 200 * time.Millisecond
	// putBackRounds is how often saves of others are put back that come one upon the other.
	putBackRounds = 10
	// displacedSuffix takes the place of tempSuffix in the name of what could not be put back.
	displacedSuffix = ".displaced"
)

// noWriters waits a moment until nobody has the file open for writing any more. Where the system cannot tell, it says
// so as well: the content is compared all the same, twice.
func noWriters(ctx context.Context, file fsys.File) bool {
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

// verdict is what a look at a file finds that may have been changed by another program.
type verdict int

const (
	final   verdict = iota // it holds what was expected, and nobody is writing to it
	newer                  // it is, or may become, something else
	missing                // it is not there
	unknown                // it cannot be read
)

// displacedNewer tells whether an exchange has displaced anything but what the change was made from, or the very content
// that was to take its place, which another process has put there a moment before.
func (r *replacement) displacedNewer() bool {
	v := r.look(r.temp, r.was, r.data)
	return v == newer || v == unknown
}

// look tells whether a file is final and holds one of the contents.
func (r *replacement) look(name string, contents ...[]byte) verdict {
	_, data, err := r.contentOf(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return missing
	case errors.Is(err, errBeingWritten), errors.Is(err, ErrNotRegular), errors.Is(err, ErrTooLarge):
		return newer
	case err != nil:
		return unknown
	}
	for _, content := range contents {
		if bytes.Equal(data, content) {
			return final
		}
	}
	return newer
}

var errBeingWritten = errors.New("is open for writing")

// contentOf reads a regular file that nobody has open for writing. What fails otherwise is tried again a few times. The
// info comes also with an error, as soon as there is one.
func (r *replacement) contentOf(name string) (info fs.FileInfo, data []byte, err error) {
	for again := 0; ; again++ {
		info, data, err = r.contentOnce(name)
		var errno syscall.Errno
		if !errors.As(err, &errno) || errors.Is(err, fs.ErrNotExist) || again == len(rereadPauses) {
			return info, data, err
		}
		time.Sleep(rereadPauses[again])
	}
}

func (r *replacement) contentOnce(name string) (info fs.FileInfo, data []byte, err error) {
	if info, err = r.fs.Lstat(name); err != nil {
		return nil, nil, err
	}
	if err := checkRegular(info); err != nil {
		return info, nil, err
	}
	file, err := r.fs.OpenFile(name, os.O_RDONLY, 0)
	if err != nil {
		return info, nil, err
	}
	defer file.Close()
	if !noWriters(context.Background(), file) {
		return info, nil, errBeingWritten
	}
	data, err = readAll(file, info.Size())
	return info, data, err
}

// is tells whether name is that of the file.
func (r *replacement) is(name string, id fs.FileInfo) bool { return requireSame(r.fs, name, id) == nil }

// putBack undoes an exchange that displaced something newer than what the change was made from. What comes away from
// the target then should be what was put there, by this process or, if it hung and others did the same meanwhile, by
// another; if it is not, that is newer still, and goes back in its turn.
func (r *replacement) putBack() error {
	id, data := r.ours, r.data // what was put into the target's place
	var err error
	for range putBackRounds {
		displaced, content, readErr := r.contentOf(r.temp)
		if displaced == nil {
			return r.notPutBack(readErr)
		}
		err = r.fs.Exchange(r.temp, r.target)
		if err != nil && r.is(r.temp, displaced) {
			continue
		}
		switch r.lookFor(r.temp, id, data) {
		case final, missing:
			return r.putBackDone(ErrChanged)
		case unknown:
			return r.notPutBack(errUnreadable)
		}
		if id, data = displaced, content; readErr != nil {
			data = nil // not known: a program is still writing to it, or it is a symlink
		}
	}
	if err == nil {
		err = ErrChanging
	}
	// Either the two cannot be exchanged any more, or others save as fast as this can look. What was displaced is the
	// newest, unless the target has changed once more.
	switch r.lookFor(r.target, id, data) {
	case final:
		if renameErr := r.fs.Rename(r.temp, r.target); renameErr != nil {
			return r.notPutBack(renameErr)
		}
	case unknown:
		return r.notPutBack(errUnreadable)
	}
	return r.putBackDone(err)
}

// lookFor tells whether a file is the one that was put into the target's place: by its content, or by itself when the
// content is not known or cannot be read.
func (r *replacement) lookFor(name string, id fs.FileInfo, data []byte) verdict {
	v := newer
	if data != nil {
		v = r.look(name, data)
	}
	if (data == nil || v == unknown) && r.is(name, id) {
		return final
	}
	return v
}

var errUnreadable = errors.New("what was displaced cannot be read")

func (r *replacement) putBackDone(err error) error {
	r.fs.Remove(r.temp)
	r.fs.SyncDir(fsys.Dir(r.target))
	return err
}

// notPutBack is for when what was displaced has to stay where it is. It gets a name by which it is not swept.
func (r *replacement) notPutBack(err error) error {
	kept := strings.TrimSuffix(r.temp, tempSuffix) + displacedSuffix
	if r.fs.Rename(r.temp, kept) != nil {
		kept = r.temp
	}
	return fmt.Errorf("put back what another program saved, which is now in %s: %w", filepath.Base(kept), err)
}

// writtenTo gives what a program has written to the file that was renamed over, or nil. What is empty or cut short even
// after a while is not put back, since the rest of it would never come, nor is what is too large to be read as a whole.
func (r *replacement) writtenTo(displaced fsys.File) ([]byte, error) {
	noWriters(context.Background(), displaced)
	var content bytes.Buffer
	var fault error
	for again := 0; ; again++ {
		_, err := content.ReadFrom(io.LimitReader(displaced, int64(MaxSize+1-content.Len())))
		data := content.Bytes()
		fault = cmp.Or(err, fault)
		switch {
		case err == nil && (bytes.Equal(data, r.was) || bytes.Equal(data, r.data)):
			return nil, nil
		case err == nil && len(data) <= MaxSize && !r.cutShort(data):
			return data, nil
		case again == len(rereadPauses) && fault != nil:
			return nil, fmt.Errorf("%w: %w", errUnreadable, fault)
		case again == len(rereadPauses) || len(data) > MaxSize:
			return nil, nil
		}
		time.Sleep(rereadPauses[again])
	}
}

// restore makes content that of the target again, unless something newer still is there by now. It is all that is left of
// what another program saved, so that it is tried a few times.
func (r *replacement) restore(content []byte) error {
	for again := 0; ; again++ {
		err := r.restoreOnce(content)
		if err == nil {
			return ErrChanged
		}
		if again == len(rereadPauses) {
			return fmt.Errorf("put back what another program saved: %w", err)
		}
		time.Sleep(rereadPauses[again])
	}
}

// writeLikeTarget makes a temporary file that is like the one in the target's place, which was made like the original. The
// original itself has no name any more, and a file server that goes by names no longer knows its attributes.
func (r *replacement) writeLikeTarget(content []byte) (temp string, err error) {
	var like fsys.File
	if r.like != nil {
		if like, err = r.fs.OpenFile(r.target, os.O_RDONLY, 0); err != nil {
			return "", err
		}
		defer like.Close() // before the rename, which Windows refuses over an open file
	}
	return writeTemp(context.Background(), r.fs, r.target, content, r.perm, like)
}

func (r *replacement) restoreOnce(content []byte) error {
	temp, err := r.writeLikeTarget(content)
	if err != nil {
		return err
	}
	switch r.look(r.target, r.data) {
	case final:
		err = r.fs.Rename(temp, r.target)
	case unknown:
		err = errUnreadable
	}
	r.fs.Remove(temp)
	r.fs.SyncDir(fsys.Dir(r.target))
	return err
}
