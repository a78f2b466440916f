package fsys_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rollcall-dev/rollcall/internal/fsys"
	"golang.org/x/sys/windows"
)

// TestOpenFileShares: what this module has open, others can move and remove.
func TestOpenFileShares(t *testing.T) {
	for _, flag := range []int{os.O_RDONLY, os.O_RDWR} {
		dir := t.TempDir()
		name, moved := filepath.Join(dir, "file"), filepath.Join(dir, "moved")
		writeFile(t, name, "text", 0o644)
		open(t, name, flag)
		if err := os.Rename(name, moved); err != nil {
			t.Errorf("rename: %v", err)
		}
		if err := os.Remove(moved); err != nil {
			t.Errorf("remove: %v", err)
		}
	}
}

// TestLongNames is about names that old versions of Windows take in one form
// only. Package os knows it too, and so must the calls that it is not asked for.
func TestLongNames(t *testing.T) {
	dir := filepath.Join(t.TempDir(), strings.Repeat("d", 200), strings.Repeat("e", 200))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	var osfs fsys.OS
	a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	file, err := osfs.OpenFile(a, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	file.Close()
	unlock, err := osfs.LockDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	unlock()
	if err := errors.Join(osfs.Rename(a, b), osfs.SyncDir(dir), osfs.CheckWritable(dir), osfs.Remove(b)); err != nil {
		t.Error(err)
	}
}

// TestLockDirOfAnySpelling: a directory has one lock, however it is spelled.
func TestLockDirOfAnySpelling(t *testing.T) {
	dir := t.TempDir()
	unlock, err := (fsys.OS{}).LockDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	other := `\\?\` + strings.ToUpper(dir)
	if _, err := (fsys.OS{}).LockDir(other); !errors.Is(err, fsys.ErrLocked) {
		t.Errorf("got %v, want fsys.ErrLocked", err)
	}
	unlock()
	again, err := (fsys.OS{}).LockDir(other)
	if err != nil {
		t.Fatalf("after unlock: %v", err)
	}
	again()
}

func TestCopyAttributesOfWindows(t *testing.T) {
	const want = windows.FILE_ATTRIBUTE_HIDDEN | windows.FILE_ATTRIBUTE_SYSTEM
	dir := t.TempDir()
	src, dst := filepath.Join(dir, "src"), filepath.Join(dir, "dst")
	writeFile(t, src, "", 0o644)
	if err := windows.SetFileAttributes(windows.StringToUTF16Ptr(src), want); err != nil {
		t.Fatal(err)
	}
	if err := open(t, dst, os.O_WRONLY|os.O_CREATE|os.O_EXCL).CopyAttributes(open(t, src, os.O_RDONLY)); err != nil {
		t.Fatal(err)
	}
	if got, err := windows.GetFileAttributes(windows.StringToUTF16Ptr(dst)); err != nil || got&want != want {
		t.Errorf("got attributes %#x, %v, want %#x", got, err, want)
	}
}

// TestCopyAttributesOfAccessList closes a file to all but its owner.
func TestCopyAttributesOfAccessList(t *testing.T) {
	dir := t.TempDir()
	src, dst := filepath.Join(dir, "src"), filepath.Join(dir, "dst")
	writeFile(t, src, "", 0o644)
	user, err := windows.GetCurrentProcessToken().GetTokenUser()
	if err != nil {
		t.Fatal(err)
	}
	only, err := windows.SecurityDescriptorFromString("D:P(A;;FA;;;" + user.User.Sid.String() + ")")
	if err != nil {
		t.Fatal(err)
	}
	list, _, err := only.DACL()
	if err != nil {
		t.Fatal(err)
	}
	err = windows.SetNamedSecurityInfo(src, windows.SE_FILE_OBJECT,
		windows.DACL_SECURITY_INFORMATION|windows.PROTECTED_DACL_SECURITY_INFORMATION, nil, nil, list, nil)
	if err != nil {
		t.Fatal(err)
	}
	want, before := accessList(t, src), accessList(t, dst)
	if want == before {
		skip(t, "this system does not keep an access list: "+want) // Wine
	}
	if err := open(t, dst, os.O_RDWR).CopyAttributes(open(t, src, os.O_RDONLY)); err != nil {
		t.Fatal(err)
	}
	if got := accessList(t, dst); got != want {
		t.Errorf("got %s, want %s; it was %s", got, want, before)
	}
}

// accessList returns the access list of a file, which is created if it is
// missing.
func accessList(t *testing.T, name string) string {
	t.Helper()
	if _, err := os.Stat(name); err != nil {
		writeFile(t, name, "", 0o644)
	}
	list, err := windows.GetNamedSecurityInfo(name, windows.SE_FILE_OBJECT, windows.DACL_SECURITY_INFORMATION)
	if err != nil {
		t.Fatal(err)
	}
	return list.String()
}
