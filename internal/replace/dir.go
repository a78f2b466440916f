package replace

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/rollcall-dev/rollcall/internal/fsys"
)

// SyncDir makes the name of a file durable.
func SyncDir(ctx context.Context, disk fsys.FS, name string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := disk.SyncDir(fsys.Dir(name)); err != nil {
		return fmt.Errorf("sync directory: %w", err)
	}
	return nil
}

// MakeDirs creates a directory and its parents where they are missing, each
// durably and for those whom the one above it serves; see [Access]. A directory that exists may
// be new, and its process not have come to syncing it, so that it is synced
// here.
func MakeDirs(ctx context.Context, disk fsys.FS, dir string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	parent := fsys.Dir(dir)
	_, err := disk.Lstat(dir)
	if err == nil && parent != dir {
		if err := SyncDir(ctx, disk, dir); err != nil && !fsys.IsReadOnly(err) { // a parent that only others may read
			return err
		}
	}
	if err == nil || !errors.Is(err, fs.ErrNotExist) || parent == dir {
		return err // if it is not a directory, the next step says so
	}
	if err := MakeDirs(ctx, disk, parent); err != nil {
		return err
	}
	if err := makeDir(ctx, disk, dir); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("create directory: %w", err)
	}
	return SyncDir(ctx, disk, dir)
}

// lockWait bounds the wait for another process that changes the file.
const lockWait = time.Second

// Lock takes the lock of a directory and returns the function that releases
// it, which is never nil. The lock saves work and is not needed for
// correctness: if it is not to be had within a second, if locks do not work, or
// if there is no such directory, err says so, and the caller goes on without.
func Lock(ctx context.Context, disk fsys.FS, dir string) (unlock func(), err error) {
	return lock(ctx, disk, dir, lockWait)
}

func lock(ctx context.Context, disk fsys.FS, dir string, wait time.Duration) (unlock func(), err error) {
	deadline := time.Now().Add(wait)
	for pause := time.Millisecond; ctx.Err() == nil; pause = min(2*pause, 20*time.Millisecond) {
		unlock, err := disk.LockDir(dir)
		if err == nil {
			return unlock, nil
		}
		left := time.Until(deadline)
		if !errors.Is(err, fsys.ErrLocked) || left <= 0 {
			return func() {}, err
		}
		sleep(ctx, min(pause, left))
	}
	return func() {}, ctx.Err()
}

// sleep waits for d or until ctx ends.
func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}
