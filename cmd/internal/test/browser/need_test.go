package browser_test

import (
	"fmt"
	"os"
	"os/exec"
	"testing"

	"github.com/rollcall-dev/rollcall/cmd/internal/test/npm"
)

// chromium are the names of the browser on different systems.
var chromium = []string{"chromium", "chromium-browser", "google-chrome"}

// needBrowser returns the path of the browser. If the browser or a package that
// drives it is missing, it skips the test, loudly. With ROLLCALL_REQUIRE_ALL=1 in
// the environment, as in CI, it installs the packages or fails the test.
func needBrowser(t *testing.T) (path string) {
	t.Helper()
	if testing.Short() {
		t.Skip("takes too long for -short")
	}
	path, err := browser()
	if err == nil {
		err = npm.Installed(".")
	}
	switch {
	case err == nil:
		return path
	case npm.Required():
		t.Fatalf("cannot run: %v", err)
	}
	fmt.Fprintf(os.Stderr, "SKIPPED %s: %v\n", t.Name(), err)
	t.Skip(err.Error())
	return ""
}

func browser() (string, error) {
	for _, name := range chromium {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("none of the programs %q is on PATH", chromium)
}
