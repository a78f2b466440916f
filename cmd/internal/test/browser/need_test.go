package browser_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// chromium are the names of the browser on different systems.
var chromium = []string{"chromium", "chromium-browser", "google-chrome"}

// requireAll reports whether no test may be skipped.
func requireAll() bool { return os.Getenv("ROLLCALL_REQUIRE_ALL") == "1" }

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
		err = installed()
	}
	switch {
	case err == nil:
		return path
	case requireAll():
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

// installed makes sure that node_modules matches the lock file.
var installed = sync.OnceValue(func() error {
	if _, err := exec.LookPath("node"); err != nil {
		return err
	}
	missing := checkModules()
	if missing == nil || !requireAll() {
		return missing
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	install := exec.CommandContext(ctx, "npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts")
	if output, err := install.CombinedOutput(); err != nil {
		return fmt.Errorf("npm ci: %w\n%s", err, bytes.TrimSpace(output))
	}
	return checkModules()
})

// checkModules compares the installed packages with the lock file.
func checkModules() error {
	want, err := readVersions("package-lock.json")
	if err != nil {
		return err
	}
	for dir := range want {
		if dir == "" {
			continue // this package
		}
		got, err := readVersion(filepath.Join(filepath.FromSlash(dir), "package.json"))
		if err != nil || got != want[dir].Version {
			return fmt.Errorf("%s %s is not installed; run npm ci in cmd/internal/test/browser", dir, want[dir].Version)
		}
	}
	return nil
}

type locked struct {
	Version  string `json:"version"`
	Resolved string `json:"resolved"`
}

// readVersions returns the packages of a lock file by directory.
func readVersions(name string) (map[string]locked, error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	var lock struct {
		Packages map[string]locked `json:"packages"`
	}
	if err := json.Unmarshal(data, &lock); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return lock.Packages, nil
}

func readVersion(name string) (string, error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return "", err
	}
	var p locked
	err = json.Unmarshal(data, &p)
	return p.Version, err
}

// The lock file pins versions and checksums but no registry.
func TestLockFileNamesNoRegistry(t *testing.T) {
	packages, err := readVersions("package-lock.json")
	if err != nil {
		t.Fatal(err)
	}
	if len(packages) < 3 {
		t.Errorf("got %d packages, want at least 3", len(packages))
	}
	for dir, p := range packages {
		if p.Resolved != "" {
			t.Errorf("%s: got address %q, want none", dir, p.Resolved)
		}
	}
}
