package rollcall

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// stateFileName is the file in the state folder that holds the ID.
const stateFileName = "installation-id"

// stateFile is where the ID of an app without a config is kept. Never is that a relative path, which would depend on
// where the host was started, nor the root folder.
func stateFile(app, stateDir string, getenv func(string) string) (string, error) {
	dir, err := stateFolder(app, stateDir, getenv)
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, stateFileName), nil
}

func stateFolder(app, stateDir string, getenv func(string) string) (string, error) {
	if stateDir != "" {
		return stateDir, nil
	}
	// systemd.exec(5): several folders are separated by colons; the first is the unit's main one.
	if dir, _, _ := strings.Cut(getenv("STATE_DIRECTORY"), ":"); dir != "" && runtime.GOOS != "windows" {
		if err := checkStateDir(dir); err != nil {
			return "", fmt.Errorf("App: environment variable STATE_DIRECTORY: %w", err)
		}
		return dir, nil
	}
	base, err := userStateFolder(getenv)
	if err != nil {
		return "", fmt.Errorf("App: no folder for its state: %w", err)
	}
	return filepath.Join(base, app), nil
}

// userStateFolder is where programs of this user keep state.
func userStateFolder(getenv func(string) string) (string, error) {
	// XDG Base Directory Specification: a relative path is invalid and ignored.
	if dir := getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) && checkStateDir(dir) == nil {
		return dir, nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(home, ".local", "state")
	switch runtime.GOOS {
	case "windows":
		dir = cmp.Or(getenv("LocalAppData"), filepath.Join(home, "AppData", "Local"))
	case "darwin":
		dir = filepath.Join(home, "Library", "Application Support")
	}
	return dir, checkStateDir(home)
}

func checkStateDir(dir string) error {
	switch clean := filepath.Clean(dir); {
	case strings.ContainsRune(dir, 0):
		return errors.New("NUL byte in it")
	case !filepath.IsAbs(dir):
		return errors.New("not an absolute path")
	case clean == filepath.VolumeName(clean)+string(filepath.Separator):
		return errors.New("the root folder")
	}
	return nil
}

// DefaultPolicyPath is where an administrator's policy for all programs of the machine is looked for.
func DefaultPolicyPath() string {
	if runtime.GOOS == "windows" {
		return filepath.Join(cmp.Or(os.Getenv("ProgramData"), `C:\ProgramData`), "rollcall", "policy.json")
	}
	return "/etc/rollcall/policy.json"
}
