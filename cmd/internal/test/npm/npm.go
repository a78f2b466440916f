// Package npm has the packages of npm that tests need.
package npm

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"
)

// Required reports whether no test may be skipped, as in CI.
func Required() bool { return os.Getenv("ROLLCALL_REQUIRE_ALL") == "1" }

var installing sync.Mutex

// Installed makes sure that node_modules in a directory matches the lock file
// there. It installs the packages only if no test may be skipped.
func Installed(dir string) error {
	installing.Lock()
	defer installing.Unlock()
	missing := check(dir)
	if missing == nil || !Required() {
		return missing
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	install := exec.CommandContext(ctx, "npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts")
	install.Dir = dir
	if output, err := install.CombinedOutput(); err != nil {
		return fmt.Errorf("npm ci: %w\n%s", err, bytes.TrimSpace(output))
	}
	return check(dir)
}

// check compares the installed packages with the lock file.
func check(dir string) error {
	want, err := Locked(filepath.Join(dir, "package-lock.json"))
	if err != nil {
		return err
	}
	for name := range want {
		if name == "" {
			continue // this package
		}
		got, err := version(filepath.Join(dir, filepath.FromSlash(name), "package.json"))
		if err != nil || got != want[name].Version {
			return fmt.Errorf("%s %s is not installed; run npm ci in %s", name, want[name].Version, filepath.Base(dir))
		}
	}
	return nil
}

// A Package is an entry of a lock file.
type Package struct {
	Version  string `json:"version"`
	Resolved string `json:"resolved"`
}

// Locked returns the packages of a lock file by directory.
func Locked(name string) (map[string]Package, error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	var lock struct {
		Packages map[string]Package `json:"packages"`
	}
	if err := json.Unmarshal(data, &lock); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return lock.Packages, nil
}

func version(name string) (string, error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return "", err
	}
	var p Package
	err = json.Unmarshal(data, &p)
	return p.Version, err
}
