package configfile

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// A path with ".." in it is left as it is: behind a symlink to a folder, ".." leads elsewhere than filepath.Clean,
// filepath.Dir and filepath.Join believe, and the host, which knows nothing of that, opens what the kernel finds. Only
// Windows goes by the text of a path as well.

const separator = string(os.PathSeparator)

// renamesOverOpen tells whether a file can be renamed over one that is open.
const renamesOverOpen = runtime.GOOS != "windows"

func hasParents(path string) bool { return runtime.GOOS != "windows" && strings.Contains(path, "..") }

// clean is filepath.Clean, but for "..".
func clean(path string) string {
	if hasParents(path) {
		return strings.TrimRight(path, separator)
	}
	return filepath.Clean(path)
}

// folderOf is filepath.Dir, but for "..".
func folderOf(path string) string {
	dir, _ := filepath.Split(path)
	return clean(dir)
}

// inFolder is filepath.Join of two, but for "..".
func inFolder(dir, name string) string {
	if hasParents(dir) || hasParents(name) {
		return strings.TrimRight(dir, separator) + separator + name
	}
	return filepath.Join(dir, name)
}
