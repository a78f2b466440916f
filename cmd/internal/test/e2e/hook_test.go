//go:build linux

package e2e_test

import (
	"errors"
	"io/fs"
	"os"
	"syscall"

	"github.com/rollcall-dev/rollcall/internal/fsys"
)

// A hookFS is the file system of the operating system with a function
// around each operation. The function gets the name of the operation, or
// "" if it changes nothing, and the operation itself.
type hookFS struct {
	fsys.OS
	around func(op string, do func())
	lacks  string // what it does not support: "links" or "exchange"
}

var _ fsys.FS = (*hookFS)(nil)

func (f *hookFS) OpenFile(name string, flag int, perm fs.FileMode) (file fsys.File, err error) {
	f.around("open "+name, func() { file, err = f.OS.OpenFile(name, flag, perm) })
	if err != nil {
		return nil, err
	}
	return &hookFile{file, f}, nil
}

func (f *hookFS) Lstat(name string) (info fs.FileInfo, err error) {
	f.around("", func() { info, err = f.OS.Lstat(name) })
	return info, err
}

func (f *hookFS) Readlink(name string) (to string, info fs.FileInfo, err error) {
	f.around("", func() { to, info, err = f.OS.Readlink(name) })
	return to, info, err
}

func (f *hookFS) ReadDir(name string) (names []string, err error) {
	f.around("", func() { names, err = f.OS.ReadDir(name) })
	return names, err
}

func (f *hookFS) Mkdir(name string, perm fs.FileMode) (err error) {
	f.around("make directory "+name, func() { err = f.OS.Mkdir(name, perm) })
	return err
}

func (f *hookFS) Remove(name string) (err error) {
	f.around("remove "+name, func() { err = f.OS.Remove(name) })
	return err
}

func (f *hookFS) Rename(oldname, newname string) (err error) {
	f.around("rename to "+newname, func() { err = f.OS.Rename(oldname, newname) })
	return err
}

func (f *hookFS) Link(oldname, newname string) (err error) {
	if f.lacks == "links" {
		return &os.LinkError{Op: "link", Old: oldname, New: newname, Err: syscall.EPERM}
	}
	f.around("link to "+newname, func() { err = f.OS.Link(oldname, newname) })
	return err
}

func (f *hookFS) Exchange(a, b string) (err error) {
	if f.lacks == "exchange" {
		return &os.LinkError{Op: "exchange", Old: a, New: b, Err: errors.ErrUnsupported}
	}
	f.around("exchange with "+b, func() { err = f.OS.Exchange(a, b) })
	return err
}

func (f *hookFS) SyncDir(name string) (err error) {
	f.around("sync directory "+name, func() { err = f.OS.SyncDir(name) })
	return err
}

func (f *hookFS) LockDir(name string) (func(), error) {
	var unlock func()
	var err error
	f.around("lock "+name, func() { unlock, err = f.OS.LockDir(name) })
	if err != nil {
		return nil, err
	}
	return func() { f.around("unlock "+name, unlock) }, nil
}

func (f *hookFS) CheckWritable(name string) (err error) {
	f.around("", func() { err = f.OS.CheckWritable(name) })
	return err
}

func (f *hookFS) IsMountPoint(name string) (mounted bool, err error) {
	f.around("", func() { mounted, err = f.OS.IsMountPoint(name) })
	return mounted, err
}

func (f *hookFS) Place(name string) (place fsys.Place, err error) {
	f.around("", func() { place, err = f.OS.Place(name) })
	return place, err
}

type hookFile struct {
	file fsys.File
	fs   *hookFS
}

func (f *hookFile) Read(b []byte) (n int, err error) {
	f.fs.around("", func() { n, err = f.file.Read(b) })
	return n, err
}

func (f *hookFile) Write(b []byte) (n int, err error) {
	f.fs.around("write", func() { n, err = f.file.Write(b) })
	return n, err
}

func (f *hookFile) WriteAt(b []byte, at int64) (int, error) { return f.file.WriteAt(b, at) }

func (f *hookFile) Amend(old, b []byte, at int64) (err error) {
	f.fs.around("write in place", func() { err = f.file.Amend(old, b, at) })
	return err
}

func (f *hookFile) Close() (err error) {
	f.fs.around("close", func() { err = f.file.Close() })
	return err
}

func (f *hookFile) Stat() (info fs.FileInfo, err error) {
	f.fs.around("", func() { info, err = f.file.Stat() })
	return info, err
}

func (f *hookFile) Sync() (err error) {
	f.fs.around("sync", func() { err = f.file.Sync() })
	return err
}

func (f *hookFile) Chown(uid, gid int) (err error) {
	f.fs.around("chown", func() { err = f.file.Chown(uid, gid) })
	return err
}

func (f *hookFile) Chmod(mode fs.FileMode) (err error) {
	f.fs.around("chmod", func() { err = f.file.Chmod(mode) })
	return err
}

func (f *hookFile) CopyAttributes(src fsys.File) (err error) {
	f.fs.around("copy attributes", func() { err = f.file.CopyAttributes(src.(*hookFile).file) })
	return err
}

func (f *hookFile) HasWriters() (writers bool, err error) {
	f.fs.around("", func() { writers, err = f.file.HasWriters() })
	return writers, err
}
