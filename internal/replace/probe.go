package replace

import (
	"cmp"
	"context"
	"strings"

	"github.com/rollcall-dev/rollcall/internal/fsys"
)

// A Support says what a directory supports of all that a replacement needs.
// Each field is nil or why not.
type Support struct {
	Create   error // new files; if not, nothing else was tried
	Link     error // or two processes may create a file at the same time
	Exchange error // or a save of another program may be lost in the moment of a commit
	SyncDir  error // or names are not durable
	Lock     error // or processes do some work twice; fsys.ErrLocked if another one holds it
}

// Works reports whether a file can be created, durably.
func (s Support) Works() bool { return s.Why() == nil }

// Why returns why no file can be created, durably, or nil.
func (s Support) Why() error { return cmp.Or(s.Create, s.SyncDir) }

// Probe tries on temporary files for name, with the access of a new one, what
// its directory supports. It stops when ctx ends, and the result then means nothing.
func Probe(ctx context.Context, disk fsys.FS, name string, access Access) (s Support) {
	name, err := resolveDir(ctx, disk, name)
	if err != nil {
		return Support{Create: err}
	}
	temp, err := writeTemp(ctx, disk, name, []byte("\n"), access, nil)
	if err != nil {
		return Support{Create: err}
	}
	defer disk.Remove(temp)
	for _, try := range []func(){
		func() { s.Link = tryLink(disk, temp) },
		func() { s.Exchange = tryExchange(ctx, disk, name) },
		func() { s.SyncDir = disk.SyncDir(fsys.Dir(name)) },
		func() {
			var unlock func()
			unlock, s.Lock = Lock(ctx, disk, fsys.Dir(name))
			unlock()
		},
	} {
		if ctx.Err() == nil {
			try()
		}
	}
	return s
}

// tryLink returns why the directory of temp, a temporary file, has no hard
// links. That is tried because no errno says so: Linux has EPERM for it
// (link(2)), and FUSE servers have EIO too.
func tryLink(disk fsys.FS, temp string) error {
	second := strings.TrimSuffix(temp, tempSuffix) + "-2" + tempSuffix
	err := disk.Link(temp, second)
	disk.Remove(second) // an error does not mean that it is not there
	return err
}

// tryExchange returns why files cannot be exchanged in the directory of name.
// It tries on two files that nobody needs: an error does not mean that they
// were not exchanged.
func tryExchange(ctx context.Context, disk fsys.FS, name string) error {
	var temps [2]string
	for i := range temps {
		temp, err := writeTemp(ctx, disk, name, []byte("\n"), Access{Perm: 0o600}, nil)
		if err != nil {
			return err
		}
		defer disk.Remove(temp)
		temps[i] = temp
	}
	return disk.Exchange(temps[0], temps[1])
}
