//go:build unix

package listen

import (
	"os"
	"path/filepath"
	"testing"
)

// TestModeOfSymlink: whoever may write in the directory cannot have the mode of
// another file changed by a symlink in place of the socket.
func TestModeOfSymlink(t *testing.T) {
	dir := t.TempDir()
	target, link := filepath.Join(dir, "target"), filepath.Join(dir, "s")
	if err := os.WriteFile(target, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(target, link); err != nil {
		t.Fatal(err)
	}
	_ = setMode(link, 0o666) // an error, or it is the symlink's own mode
	if info, err := os.Stat(target); err != nil || info.Mode() != 0o600 {
		t.Errorf("got %v, %v, want mode 0600", info.Mode(), err)
	}
}
