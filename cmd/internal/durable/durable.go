// Package durable puts whole files in place so that they survive a power cut:
// whoever opens the name sees the complete file or what was there before.
package durable

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/rollcall-dev/rollcall/internal/fsys"
)

// TempPattern matches the names of temporary files, for [filepath.Glob].
const TempPattern = ".*.part"

// Temp creates an empty temporary file with mode 0600 in the directory of
// file.
func Temp(file string) (*os.File, error) {
	return os.CreateTemp(filepath.Dir(file), "."+filepath.Base(file)+".*.part")
}

// Create writes a new file with mode 0600. The error is fs.ErrExist if the
// file exists.
func Create(file string, data []byte) error { return write(file, data, Link) }

// Replace writes a file with mode 0600, in place of the one that may exist.
func Replace(file string, data []byte) error { return write(file, data, Rename) }

func write(file string, data []byte, publish func(temp, file string) error) error {
	temp, err := Temp(file)
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name()) // gone if it was published
	_, err = temp.Write(data)
	if err := errors.Join(err, temp.Close()); err != nil {
		return err
	}
	return publish(temp.Name(), file)
}

// Rename syncs a temporary file and moves it to its final name, in place of
// the file that may have it.
func Rename(temp, file string) error {
	if err := sync(temp); err != nil {
		return err
	}
	if err := os.Rename(temp, file); err != nil {
		return err
	}
	return SyncDir(filepath.Dir(file))
}

// Link is [Rename], but the error is fs.ErrExist if the final name is taken.
// Exactly one of several processes that race for the name gets it, unless the
// file system has no hard links.
func Link(temp, file string) error {
	if err := sync(temp); err != nil {
		return err
	}
	err := os.Link(temp, file)
	switch {
	case err == nil:
		err = os.Remove(temp)
	case !errors.Is(err, fs.ErrExist): // perhaps without hard links
		if _, stat := os.Lstat(file); stat == nil {
			return fs.ErrExist
		}
		err = os.Rename(temp, file)
	}
	if err != nil {
		return err
	}
	return SyncDir(filepath.Dir(file))
}

func sync(name string) error {
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// SyncDir makes the names in a directory durable, on systems that can sync a
// directory.
func SyncDir(dir string) error { return fsys.OS{}.SyncDir(dir) }
