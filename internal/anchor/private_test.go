//go:build unix

package anchor_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/rollcall-dev/rollcall/internal/anchor"
	"github.com/rollcall-dev/rollcall/internal/fsys"
)

// TestPrivate: a private anchor that others may have written or read is
// refused, and left as it is.
func TestPrivate(t *testing.T) {
	tests := []struct {
		name    string
		prepare func(t *testing.T, path string)
		private bool
	}{
		{"own file", func(*testing.T, string) {}, true},
		{"readable for the group", func(t *testing.T, path string) { chmod(t, path, 0o640) }, false},
		{"readable for all", func(t *testing.T, path string) { chmod(t, path, 0o604) }, false},
		{"writable for all", func(t *testing.T, path string) { chmod(t, path, 0o602) }, false},
		{"symlink", func(t *testing.T, path string) {
			must(t, os.Rename(path, path+".target"))
			must(t, os.Symlink(path+".target", path))
		}, false},
		{"second name", func(t *testing.T, path string) { must(t, os.Link(path, path+".other")) }, false},
		{"of another user", func(t *testing.T, path string) { chown(t, path, 65533) }, false},
		{"of the directory's owner", func(t *testing.T, path string) {
			chown(t, path, 65533)
			chown(t, filepath.Dir(path), 65533)
		}, true},
		{"of the config's owner", func(t *testing.T, path string) {
			chown(t, path, 65533)
			chown(t, filepath.Join(filepath.Dir(path), "config.json"), 65533)
		}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			config, path := filepath.Join(dir, "config.json"), filepath.Join(dir, "private")
			must(t, os.WriteFile(config, []byte("{}"), 0o644))
			a, err := anchor.Open(fsys.OS{}, path, anchor.Options{Valid: isID, Config: config, Private: true})
			must(t, err)
			mustPublish(t, a, id, id)
			if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
				t.Fatalf("got %v, %v, want mode 0600", info.Mode(), err)
			}
			tt.prepare(t, path)
			for what, do := range map[string]func() (string, error){
				"read":    func() (string, error) { return a.Read(t.Context()) },
				"publish": func() (string, error) { return a.Publish(t.Context(), otherID) },
			} {
				got, err := do()
				if tt.private && (got != id || err != nil) {
					t.Errorf("%s: got %q, %v, want %s", what, got, err, id)
				}
				if !tt.private && (got != "" || !errors.Is(err, anchor.ErrNotPrivate)) {
					t.Errorf("%s: got %q, %v, want ErrNotPrivate", what, got, err)
				}
			}
			if data, err := os.ReadFile(path); string(data) != id+"\n" {
				t.Errorf("got %q, %v left, want it untouched", data, err)
			}
		})
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func chmod(t *testing.T, path string, mode os.FileMode) { t.Helper(); must(t, os.Chmod(path, mode)) }

// chown needs root. What it shows is shown in cmd/internal/test/e2e too, which
// says so when it skips.
func chown(t *testing.T, path string, uid int) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("not root")
	}
	must(t, os.Chown(path, uid, -1))
}
