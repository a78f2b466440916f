//go:build linux

package lab_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/rollcall-dev/rollcall/cmd/internal/test/lab"
	"github.com/rollcall-dev/rollcall/internal/fsys"
)

// How fsys.OS treats the answers of file systems that this machine lacks.

func TestSyncDirOfManyFileSystems(t *testing.T) {
	d := lab.FUSE(t)
	for _, tt := range []struct {
		answer unix.Errno
		want   error
	}{{unix.EINVAL, nil}, {unix.ENOTSUP, nil}, {unix.EIO, unix.EIO}, {unix.EROFS, unix.EROFS}} {
		fault := d.Fail(lab.FsyncDir, "", tt.answer, 1)
		if err := (fsys.OS{}).SyncDir(d.Path); !errors.Is(err, tt.want) {
			t.Errorf("%v: got %v, want %v", tt.answer, err, tt.want)
		}
		if fault.Happened() != 1 {
			t.Errorf("%v: the directory was not synced", tt.answer)
		}
	}
}

func TestExchangeOfManyFileSystems(t *testing.T) {
	d := lab.FUSE(t)
	a, b := filepath.Join(d.Path, "a"), filepath.Join(d.Path, "b")
	write(t, a, "")
	write(t, b, "")
	for _, tt := range []struct {
		answer      unix.Errno
		unsupported bool
	}{{unix.EINVAL, true}, {unix.ENOTSUP, true}, {unix.EIO, false}, {unix.EACCES, false}, {unix.ENOSYS, true}} {
		d.Fail(lab.Exchange, "", tt.answer, 1)
		err := fsys.OS{}.Exchange(a, b)
		if _, ok := errors.AsType[*os.LinkError](err); !ok || errors.Is(err, errors.ErrUnsupported) != tt.unsupported {
			t.Errorf("%v: got %#v, want an *os.LinkError that is errors.ErrUnsupported: %v", tt.answer, err, tt.unsupported)
		}
	}
}

func TestCopyAttributesOfManyFileSystems(t *testing.T) {
	d := lab.FUSE(t)
	src, dst := filepath.Join(d.Path, "src"), filepath.Join(d.Path, "dst")
	write(t, src, "")
	write(t, dst, "")
	if err := setxattr(src); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(src, 0o640); err != nil {
		t.Fatal(err)
	}
	from, to := openOS(t, src, os.O_RDONLY), openOS(t, dst, os.O_RDWR)

	for _, op := range []lab.Op{lab.ListXattr, lab.GetXattr, lab.SetXattr, lab.SetAttr} {
		d.Fail(op, "", unix.EIO, 1)
		if err := to.CopyAttributes(from); !errors.Is(err, unix.EIO) {
			t.Errorf("%s fails: got %v, want EIO", op, err)
		}
		d.Reset()
	}
	if err := to.CopyAttributes(from); err != nil {
		t.Fatal(err)
	}
	d.ClearCalls()
	if err := to.CopyAttributes(from); err != nil {
		t.Fatal(err)
	}
	if got := d.Changes(); len(got) > 0 {
		t.Errorf("nothing to do: got %v, want no changes", got)
	}

	d.Fail(lab.ListXattr, "", unix.ENOTSUP, lab.Always)
	if err := os.Chmod(src, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := to.CopyAttributes(from); err != nil {
		t.Errorf("without extended attributes: %v", err)
	}
	if info, err := os.Stat(dst); err != nil || info.Mode() != 0o600 {
		t.Errorf("got mode %v, %v, want 0600", info.Mode(), err)
	}
}

func openOS(t *testing.T, path string, flag int) fsys.File {
	t.Helper()
	f, err := fsys.OS{}.OpenFile(path, flag, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}
