// Package lasting judges whether a file will be there at the next start. Durable
// on a disk that goes away is not: a container's own layer, memory, a volume
// that nobody named.
//
// Routers and long-lived containers run from such places too. So what a caller
// does with a [Doubt] depends on how long the file has survived; see [Survival].
package lasting

import (
	"errors"
	"io/fs"
	"slices"
	"strings"

	"github.com/rollcall-dev/rollcall/internal/fsys"
)

// A Doubt is why a file may not be there at the next start. The zero value is
// none.
type Doubt struct {
	Reason string // such as "it lies in memory (tmpfs)"
	Remedy string // what to do about it
	// Certain means that the file is gone already, however long it has been
	// there.
	Certain bool
}

// String returns the reason and the remedy.
func (d Doubt) String() string {
	if d == (Doubt{}) {
		return ""
	}
	return d.Reason + "; " + d.Remedy
}

const mountDirectory = "mount a directory of the machine for it"

// About returns the doubt about a file or, if that does not exist, about the
// directory where it would be. Where the system cannot tell there is none.
func About(disk fsys.FS, name string) Doubt {
	place, err := disk.Place(name)
	for errors.Is(err, fs.ErrNotExist) && fsys.Dir(name) != name {
		name = fsys.Dir(name)
		place, err = disk.Place(name)
	}
	switch {
	case err != nil:
		return Doubt{}
	case place.Links == 0:
		return Doubt{"it was replaced where it is mounted from, so that this file has no name any more",
			"mount its directory instead of the file", true}
	}
	return Doubt{Reason: reason(place), Remedy: mountDirectory}.orNone()
}

func (d Doubt) orNone() Doubt {
	if d.Reason == "" {
		return Doubt{}
	}
	return d
}

// ownLayers are the file systems that containers have as their root.
var ownLayers = []string{"overlay", "aufs", "fuse.fuse-overlayfs"}

func reason(p fsys.Place) string {
	const containers = "it lies on the container's own layer, which is removed with the container"
	names := strings.Split(p.Root, "/")
	switch {
	case p.Type == "tmpfs" || p.Type == "ramfs" || p.Type == "rootfs":
		return "it lies in memory (" + p.Type + "), which is empty after a restart"
	case p.Point == "/" && (slices.Contains(ownLayers, p.Type) || slices.ContainsFunc(names, isHash)):
		return containers
	case slices.ContainsFunc(names, isHash):
		return "it lies in a volume without a name, and the next container gets another one"
	case slices.Contains(names, "kubernetes.io~empty-dir"):
		return "it lies in an emptyDir volume, which is removed with the pod"
	}
	return ""
}

// isHash reports whether a directory is called by 64 hexadecimal digits, as
// container engines call what nobody gave a name.
func isHash(name string) bool {
	return len(name) == 64 && strings.Trim(name, "0123456789abcdef") == ""
}
