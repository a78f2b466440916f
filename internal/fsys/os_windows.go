package fsys

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"unsafe"

	"golang.org/x/sys/windows"
)

// OpenFile implements [FS]. Others can rename, replace and remove the file
// while it is open, which package os does not let them, so that a host's save
// by rename works while its config is read. With flags that this module does
// not use, it is os.OpenFile.
func (OS) OpenFile(name string, flag int, perm fs.FileMode) (File, error) {
	access, create, attrs := uint32(windows.GENERIC_READ), uint32(windows.OPEN_EXISTING), uint32(0)
	switch flag {
	case os.O_RDONLY:
		attrs = windows.FILE_FLAG_BACKUP_SEMANTICS // without it no directory can be opened
	case os.O_RDWR:
		access |= windows.GENERIC_WRITE
	case os.O_WRONLY | os.O_CREATE | os.O_EXCL:
		access, create, attrs = windows.GENERIC_WRITE, windows.CREATE_NEW, windows.FILE_FLAG_OPEN_REPARSE_POINT
		if perm&0o200 == 0 {
			attrs |= windows.FILE_ATTRIBUTE_READONLY
		}
	default:
		f, err := os.OpenFile(name, flag, perm)
		if err != nil {
			return nil, err
		}
		return &file{f}, nil
	}
	handle, err := openHandle(name, access, create, attrs)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	return &file{os.NewFile(uintptr(handle), name)}, nil
}

// openHandle is CreateFile, with everything shared.
func openHandle(name string, access, create, attrs uint32) (windows.Handle, error) {
	path, err := windows.UTF16PtrFromString(verbatim(name))
	if err != nil {
		return 0, err
	}
	const share = windows.FILE_SHARE_READ | windows.FILE_SHARE_WRITE | windows.FILE_SHARE_DELETE
	return windows.CreateFile(path, access, share, nil, create, attrs, 0)
}

// openDir opens a directory, which needs a right to it for some operations.
func openDir(name string, access uint32) (windows.Handle, error) {
	return openHandle(name, access, windows.OPEN_EXISTING, windows.FILE_FLAG_BACKUP_SEMANTICS)
}

// verbatim returns an absolute name that is longer than old versions of
// Windows take in the form that has no limit, as package os does.
func verbatim(name string) string {
	const longest = 247
	if len(name) <= longest || !filepath.IsAbs(name) || strings.HasPrefix(name, `\\?\`) {
		return name
	}
	name = filepath.Clean(name)
	if host, ok := strings.CutPrefix(name, `\\`); ok {
		return `\\?\UNC\` + host
	}
	return `\\?\` + name
}

// Rename implements [FS]. It returns once the new name is on disk, where the
// file system can do that.
func (OS) Rename(oldname, newname string) error {
	from, err := windows.UTF16PtrFromString(verbatim(oldname))
	if err == nil {
		var to *uint16
		if to, err = windows.UTF16PtrFromString(verbatim(newname)); err == nil {
			err = windows.MoveFileEx(from, to, windows.MOVEFILE_REPLACE_EXISTING|windows.MOVEFILE_WRITE_THROUGH)
		}
	}
	if err != nil {
		return &os.LinkError{Op: "rename", Old: oldname, New: newname, Err: err}
	}
	return nil
}

// Exchange implements [FS]. There is no such operation that is atomic:
// ReplaceFile renames twice, and a process that is killed in between leaves no
// file under the name.
func (OS) Exchange(a, b string) error {
	return &os.LinkError{Op: "exchange", Old: a, New: b, Err: errors.ErrUnsupported}
}

// SyncDir implements [FS] by FlushFileBuffers on the directory, for which NTFS
// writes its journal up to the last change. A directory that this process may
// not add to, and a file system that cannot flush one, are no error: nothing
// more can be done.
func (OS) SyncDir(name string) error {
	dir, err := openDir(name, addFile)
	if errors.Is(err, fs.ErrNotExist) {
		return &fs.PathError{Op: "open", Path: name, Err: err}
	}
	if err != nil {
		return nil
	}
	defer windows.CloseHandle(dir)
	switch err := windows.FlushFileBuffers(dir); err {
	case nil, windows.ERROR_INVALID_FUNCTION, windows.ERROR_NOT_SUPPORTED, windows.ERROR_ACCESS_DENIED,
		windows.ERROR_INVALID_HANDLE, windows.ERROR_INVALID_PARAMETER, windows.ERROR_WRITE_PROTECT:
		return nil
	default:
		return &fs.PathError{Op: "sync", Path: name, Err: err}
	}
}

// addFile is the right to create files in a directory. It has the value of the
// right to write a file.
const addFile = windows.FILE_WRITE_DATA

// LockDir implements [FS] by an object of the kernel that is named after the
// directory and exists for as long as a process has it open. It is seen on
// this machine only.
func (OS) LockDir(name string) (unlock func(), err error) {
	lock, err := createLock(name)
	if err != nil {
		return nil, &fs.PathError{Op: "lock", Path: name, Err: err}
	}
	return sync.OnceFunc(func() { windows.CloseHandle(lock) }), nil
}

func createLock(name string) (windows.Handle, error) {
	dir, err := openDir(name, 0)
	if err != nil {
		return 0, err
	}
	defer windows.CloseHandle(dir)
	var info windows.ByHandleFileInformation
	if err := windows.GetFileInformationByHandle(dir, &info); err != nil {
		return 0, err
	}
	object, err := windows.UTF16PtrFromString(
		fmt.Sprintf(`Global\rollcall-%08x-%08x%08x`, info.VolumeSerialNumber, info.FileIndexHigh, info.FileIndexLow))
	if err != nil {
		return 0, err
	}
	lock, err := windows.CreateEvent(nil, 0, 0, object)
	switch err {
	case windows.ERROR_ALREADY_EXISTS:
		windows.CloseHandle(lock)
		return 0, ErrLocked
	case windows.ERROR_ACCESS_DENIED: // it exists, and another user has created it
		return 0, ErrLocked
	}
	return lock, err
}

// CheckWritable implements [FS]. Of a file it looks at the read-only attribute,
// and no more: opening it for writing could make a host fail that wants to have
// it alone at that moment. On a directory the attribute means something else;
// there it asks for the right to add a file.
func (OS) CheckWritable(name string) error {
	info, err := os.Stat(name)
	if err != nil {
		return err
	}
	if info.IsDir() {
		var dir windows.Handle
		if dir, err = openDir(name, addFile); err == nil {
			windows.CloseHandle(dir)
		} else if err == windows.ERROR_SHARING_VIOLATION {
			err = nil // others may not, right now
		}
	} else if info.Mode().Perm()&0o222 == 0 {
		err = fs.ErrPermission
	}
	if err != nil {
		return &fs.PathError{Op: "access", Path: name, Err: err}
	}
	return nil
}

// kept are the attributes that somebody gives to a file. The others say how
// the file system stores it.
const kept = windows.FILE_ATTRIBUTE_READONLY | windows.FILE_ATTRIBUTE_HIDDEN | windows.FILE_ATTRIBUTE_SYSTEM |
	windows.FILE_ATTRIBUTE_NOT_CONTENT_INDEXED

// copyAttributes keeps these attributes and the access list. The owner becomes
// who runs this process; alternate streams are lost.
func (f *file) copyAttributes(src *file) error {
	if err := f.copyAccessList(src); err != nil {
		return f.errorOf("set access list of", err)
	}
	want, err := src.attributes()
	if err != nil {
		return src.errorOf("stat", err)
	}
	have, err := f.attributes()
	if err != nil {
		return f.errorOf("stat", err)
	}
	if want&kept == have&kept {
		return nil
	}
	info := struct { // FILE_BASIC_INFO; a time of 0 stays
		times      [4]int64
		attributes uint32
	}{attributes: cmp.Or(have&windows.FILE_ATTRIBUTE_ARCHIVE|want&kept, windows.FILE_ATTRIBUTE_NORMAL)}
	err = windows.SetFileInformationByHandle(windows.Handle(f.Fd()), windows.FileBasicInfo,
		(*byte)(unsafe.Pointer(&info)), uint32(unsafe.Sizeof(info)))
	if err != nil {
		return f.errorOf("set attributes of", err)
	}
	return nil
}

func (f *file) attributes() (uint32, error) {
	var info windows.ByHandleFileInformation
	err := windows.GetFileInformationByHandle(windows.Handle(f.Fd()), &info)
	return info.FileAttributes, err
}

// copyAccessList gives f the access list of src, unless it has inherited the
// same one. A file system without access lists has none.
func (f *file) copyAccessList(src *file) error {
	var lists [2]*windows.SECURITY_DESCRIPTOR
	for i, file := range []*file{src, f} {
		list, err := windows.GetSecurityInfo(windows.Handle(file.Fd()), windows.SE_FILE_OBJECT, windows.DACL_SECURITY_INFORMATION)
		if err == windows.ERROR_NOT_SUPPORTED || err == windows.ERROR_INVALID_FUNCTION {
			return nil
		}
		if err != nil {
			return err
		}
		lists[i] = list
	}
	want := lists[0]
	if want.String() == lists[1].String() {
		return nil
	}
	list, _, err := want.DACL()
	if err != nil && err != windows.ERROR_OBJECT_NOT_FOUND { // none at all lets everybody do everything
		return err
	}
	control, _, err := want.Control()
	if err != nil {
		return err
	}
	what := windows.SECURITY_INFORMATION(windows.DACL_SECURITY_INFORMATION | windows.UNPROTECTED_DACL_SECURITY_INFORMATION)
	if control&windows.SE_DACL_PROTECTED != 0 {
		what = windows.DACL_SECURITY_INFORMATION | windows.PROTECTED_DACL_SECURITY_INFORMATION
	}
	return windows.SetNamedSecurityInfo(verbatim(f.Name()), windows.SE_FILE_OBJECT, what, nil, nil, list, nil)
}

// Owner implements [FS]. The owner of a file says little about who may use it.
func (OS) Owner(info fs.FileInfo) (Owner, bool) { return Owner{}, false }

// LinkCount implements [FS]. Package os does not know here.
func (OS) LinkCount(info fs.FileInfo) int { return 1 }
