package npm_test

import (
	"path/filepath"
	"testing"

	"github.com/rollcall-dev/rollcall/cmd/internal/test/npm"
)

// The lock files pin versions and checksums but no registry.
func TestLockFilesNameNoRegistry(t *testing.T) {
	files, err := filepath.Glob("../*/package-lock.json")
	if err != nil || len(files) < 2 {
		t.Fatalf("got %q and %v, want at least 2 files", files, err)
	}
	for _, file := range files {
		packages, err := npm.Locked(file)
		if err != nil {
			t.Fatal(err)
		}
		if len(packages) < 2 {
			t.Errorf("%s: got %d packages, want at least 2", file, len(packages))
		}
		for dir, p := range packages {
			if p.Resolved != "" {
				t.Errorf("%s: %s: got address %q, want none", file, dir, p.Resolved)
			}
		}
	}
}
