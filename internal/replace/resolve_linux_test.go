package replace_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/rollcall-dev/rollcall/internal/fsys"
	"github.com/rollcall-dev/rollcall/internal/replace"
)

// TestMagicLinks reads and creates files through a symlink whose text does not
// say where it leads, as to the root directory of another process.
func TestMagicLinks(t *testing.T) {
	dir, err := os.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	name := fmt.Sprintf("/proc/self/fd/%d/file", dir.Fd())
	if err := replace.Create(t.Context(), fsys.OS{}, name, []byte("new"), replace.Access{Perm: 0o600}); err != nil {
		t.Fatal(err)
	}
	s, err := replace.Read(t.Context(), fsys.OS{}, name)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if data, err := os.ReadFile(filepath.Join(dir.Name(), "file")); string(s.Data) != "new" || string(data) != "new" {
		t.Errorf("got %q, and %q, %v", s.Data, data, err)
	}
}
