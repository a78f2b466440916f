//go:build linux

package lab

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const loopControl = "/dev/loop-control"

// An Image is a real file system of its own, in a file. Its methods fail
// the test, so only the goroutine of the test may call them.
type Image struct {
	Dir    string // where it is mounted
	Device string // the loop device

	t       testing.TB
	fstype  string
	unmount func() // nil if it is not mounted
	thaw    func() // nil if it is not frozen
}

// LoopImage creates and mounts a file system, "ext4" or "xfs", in a file.
// It needs root, loop devices, and the tools of the file system.
func LoopImage(t testing.TB, fstype string) *Image {
	t.Helper()
	needImage(t, fstype)
	return newImage(t, fstype, filepath.Join(newDir(t), "image"))
}

// LoopImageOn creates an image in d, which can fail what the file system
// writes: an fsync in the image is a write and an fsync in d.
func LoopImageOn(t testing.TB, d *FaultDir, fstype string) *Image {
	t.Helper()
	needImage(t, fstype)
	m := newImage(t, fstype, filepath.Join(d.Path, fstype+"-image"))
	t.Cleanup(func() { // before the unmount, which would wait for d
		if d.alive() {
			d.Thaw()
			d.Reset()
		}
	})
	return m
}

func needImage(t testing.TB, fstype string) {
	t.Helper()
	Need(t, Root, LoopDevices, Tool("mkfs."+fstype))
}

func newImage(t testing.TB, fstype, path string) *Image {
	t.Helper()
	size, options := int64(16<<20), []string{"-q", "-F", "-E", "lazy_itable_init=1,lazy_journal_init=1,nodiscard"}
	if fstype == "xfs" {
		size, options = 300<<20, []string{"-q", "-K"} // the least that mkfs.xfs accepts
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatalf("lab: %v", err)
	}
	if err := os.Truncate(path, size); err != nil {
		t.Fatalf("lab: %v", err)
	}
	if out, err := exec.CommandContext(t.Context(), "mkfs."+fstype, append(options, path)...).CombinedOutput(); err != nil {
		t.Fatalf("lab: mkfs.%s: %v\n%s", fstype, err, out)
	}
	device, err := attachLoop(path)
	if err != nil {
		t.Fatalf("lab: attach loop device: %v", err)
	}
	// The kernel detaches the device when neither this descriptor nor a
	// mount uses it.
	t.Cleanup(func() { device.Close() })
	m := &Image{Dir: newDir(t), Device: device.Name(), t: t, fstype: fstype}
	m.Mount()
	return m
}

// attachLoop makes a block device of a file. It is detached when nobody
// has it open any more.
func attachLoop(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	control, err := os.OpenFile(loopControl, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer control.Close()
	for range 100 {
		n, err := unix.IoctlRetInt(int(control.Fd()), unix.LOOP_CTL_GET_FREE)
		if err != nil {
			return nil, err
		}
		device, err := openLoop(n)
		if err != nil {
			return nil, err
		}
		config := unix.LoopConfig{Fd: uint32(file.Fd())}
		config.Info.Flags = unix.LO_FLAGS_AUTOCLEAR
		err = unix.IoctlLoopConfigure(int(device.Fd()), &config)
		if err == nil {
			return device, nil
		}
		device.Close()
		if err != unix.EBUSY { // another process was faster
			return nil, err
		}
	}
	return nil, errors.New("no loop device stays free")
}

// openLoop opens a loop device, which may appear a moment after it was
// requested.
func openLoop(n int) (device *os.File, err error) {
	for range 100 {
		device, err = os.OpenFile(fmt.Sprintf("/dev/loop%d", n), os.O_RDWR, 0)
		if !errors.Is(err, os.ErrNotExist) {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	return device, err
}

// Mount mounts the image again after Unmount.
func (m *Image) Mount() (dir string) {
	m.t.Helper()
	if m.unmount == nil {
		m.unmount = mount(m.t, m.Device, m.Dir, m.fstype, 0, "")
	}
	return m.Dir
}

// Unmount unmounts the image and waits until it is on its disk. No file
// in it may be open.
func (m *Image) Unmount() {
	m.t.Helper()
	if m.unmount == nil {
		return
	}
	var err error
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if err = unix.Unmount(m.Dir, 0); !errors.Is(err, unix.EBUSY) {
			break
		}
	}
	if err != nil {
		m.t.Fatalf("lab: unmount %s: %v", m.Dir, err)
	}
	m.unmount() // returns without finding a mount
	m.unmount = nil
}

// Cut cuts the power, so that what is not on the disk is lost. Then it
// mounts the image again, as after a restart. No file in it may be open.
// Operations before the restart fail with EIO.
func (m *Image) Cut() {
	m.t.Helper()
	defer lockMounts(m.t, unix.LOCK_SH)()
	dir, err := os.Open(m.Dir)
	if err != nil {
		m.t.Fatalf("lab: %v", err)
	}
	const (
		shutdown   = 0x8004587d // FS_IOC_SHUTDOWN
		noLogFlush = 2
	)
	flag := uint32(noLogFlush)
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, dir.Fd(), shutdown, uintptr(unsafe.Pointer(&flag)))
	runtime.KeepAlive(&flag)
	dir.Close()
	if errno != 0 {
		m.t.Fatalf("lab: shut down %s: %v", m.Dir, errno)
	}
	m.Unmount()
	m.Mount()
}

const (
	fifreeze = 0xc0045877
	fithaw   = 0xc0045878
)

// Freeze makes everything that writes to the image hang, uninterruptibly,
// until Thaw or the end of the test. Reads continue.
func (m *Image) Freeze() {
	m.t.Helper()
	if m.thaw != nil {
		return
	}
	if err := freeze(m.Dir, fifreeze); err != nil {
		m.t.Fatalf("lab: %v", err)
	}
	m.thaw = undoAtEnd(m.t, deed{Kind: frozen, Path: m.Dir})
}

// Thaw ends Freeze.
func (m *Image) Thaw() {
	if m.thaw != nil {
		m.thaw()
		m.thaw = nil
	}
}

func freeze(path string, request uintptr) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	defer dir.Close()
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, dir.Fd(), request, 0); errno != 0 {
		return fmt.Errorf("freeze or thaw %s: %w", path, errno)
	}
	return nil
}
