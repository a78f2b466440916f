package replace

import (
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

// Probe tries on temporary files for name what its directory supports. It
// stops when ctx ends, and the result then means nothing.
func Probe(ctx context.Context, disk fsys.FS, name string) (s Support) {
	a, err := writeTemp(ctx, disk, name, []byte("a\n"), 0o600, nil)
	if err != nil {
		return Support{Create: err}
	}
	defer disk.Remove(a)
	if ctx.Err() != nil {
		return s
	}
	b := strings.TrimSuffix(a, tempSuffix) + "-2" + tempSuffix
	if s.Link = disk.Link(a, b); s.Link == nil {
		defer disk.Remove(b)
	}
	c, err := writeTemp(ctx, disk, name, []byte("c\n"), 0o600, nil)
	if err != nil {
		return Support{Create: err}
	}
	defer disk.Remove(c)
	for _, try := range []func(){
		func() { s.Exchange = disk.Exchange(a, c) },
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
