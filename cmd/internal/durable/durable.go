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

// Temp creates a temporary file with mode 0600 beside file and calls [Own].
func Temp(file string) (*os.File, error) {
	f, err := os.CreateTemp(filepath.Dir(file), "."+filepath.Base(file)+".*.part")
	if err == nil {
		Own(f, filepath.Dir(file))
	}
	return f, err
}

// TempDir calls [os.MkdirTemp] and [Own].
func TempDir(dir, pattern string) (string, error) {
	name, err := os.MkdirTemp(dir, pattern)
	if err != nil {
		return "", err
	}
	if f, err := os.OpenInRoot(dir, filepath.Base(name)); err == nil { // follows no link out of dir
		if info, err := f.Stat(); err == nil && info.IsDir() {
			Own(f, dir)
		}
		f.Close()
	}
	return name, nil
}

// Create writes a new file with mode 0600, or returns fs.ErrExist.
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
func Rename(temp, file string) error { return publish(temp, file, os.Rename) }

// Link is [Rename], but the error is fs.ErrExist if the final name is taken.
// Exactly one of several processes that race for the name gets it, unless the
// file system has no hard links.
func Link(temp, file string) error {
	return publish(temp, file, func(temp, file string) error {
		err := os.Link(temp, file)
		if err == nil {
			return os.Remove(temp)
		} else if errors.Is(err, fs.ErrExist) {
			return err
		}
		if _, stat := os.Lstat(file); stat == nil {
			return fs.ErrExist
		}
		return os.Rename(temp, file) // perhaps there are no hard links
	})
}

func publish(temp, file string, move func(temp, file string) error) error {
	f, err := os.OpenFile(temp, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := move(temp, file); err != nil {
		return err
	}
	return SyncDir(filepath.Dir(file))
}

// SyncDir makes the names in a directory durable, where systems can.
func SyncDir(dir string) error { return fsys.OS{}.SyncDir(dir) }
