package fsys

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"unicode/utf8"
)

// Clean, Dir and Join leave a path that contains ".." as it is. Behind a
// symlink to a directory, ".." leads elsewhere than package filepath
// believes, and the host opens what the kernel finds. Windows resolves ".."
// by the text, as filepath does.

const separator = string(os.PathSeparator)

func hasParents(path string) bool { return runtime.GOOS != "windows" && strings.Contains(path, "..") }

// Clean is filepath.Clean, except for "..".
func Clean(path string) string {
	if hasParents(path) {
		return strings.TrimRight(path, separator)
	}
	return filepath.Clean(path)
}

// Dir is filepath.Dir, except for "..".
func Dir(path string) string {
	dir, _ := filepath.Split(path)
	return Clean(dir)
}

// Join is filepath.Join of two elements, except for "..".
func Join(dir, name string) string {
	if hasParents(dir) || hasParents(name) {
		return strings.TrimRight(dir, separator) + separator + name
	}
	return filepath.Join(dir, name)
}

// CutName returns the first n bytes of a name, or up to three less: some file
// systems accept no half characters.
func CutName(name string, n int) string {
	if len(name) <= n {
		return name
	}
	for end := n; end > max(0, n-utf8.UTFMax); end-- {
		if utf8.RuneStart(name[end]) {
			return name[:end]
		}
	}
	return name[:n] // not UTF-8
}
