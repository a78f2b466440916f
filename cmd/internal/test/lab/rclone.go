//go:build linux

package lab

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"
)

// Rclone mounts an empty directory, backing, through rclone until the end of
// the test, as people mount cloud storage: hard links and the list of extended
// attributes get EIO, two files cannot be exchanged, a file cannot be written
// in the middle, and has another inode after a rename. It needs root, FUSE,
// and rclone. Nothing leaves the machine.
func Rclone(t testing.TB) (dir, backing string) {
	t.Helper()
	Need(t, Root, FUSEDevice, Tool("rclone"))
	base := newDir(t)
	dir, backing = filepath.Join(base, "mount"), filepath.Join(base, "backing")
	for _, path := range []string{dir, backing} {
		if err := os.Mkdir(path, 0o755); err != nil {
			t.Fatalf("lab: %v", err)
		}
	}
	cmd := exec.Command("rclone", "mount", "--config", os.DevNull, "--cache-dir", base, ":local:"+backing, dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	exited, err := startBound(cmd)
	if err != nil {
		t.Fatalf("lab: start rclone: %v", err)
	}
	undoAtEnd(t, deed{Kind: mounted, Path: dir})
	forget := tellJanitor(t, deed{Kind: started, PID: cmd.Process.Pid})
	t.Cleanup(func() {
		cmd.Process.Kill()
		<-exited
		forget()
	})
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		points, err := mountPoints()
		switch {
		case err != nil:
			t.Fatalf("lab: %v", err)
		case slices.Contains(points, dir):
			return dir, backing
		case time.Now().After(deadline):
			t.Fatalf("lab: rclone has not mounted its directory after %v", patience)
		}
	}
}
