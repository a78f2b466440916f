package replace_test

import (
	"cmp"
	"errors"
	"syscall"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/internal/configfile"
	"github.com/rollcall-dev/rollcall/internal/test/faultfs"
)

type failure struct {
	name      string
	rule      faultfs.Rule
	permanent bool // whether retrying soon is pointless
}

func (f *failure) errno() error { return cmp.Or(f.rule.Err, f.rule.AfterErr) }

// failures are the ways in which any operation can fail.
var failures = []failure{
	{"EIO once", faultfs.Rule{Err: syscall.EIO, Times: 1}, false},
	{"ENOSPC once", faultfs.Rule{Err: syscall.ENOSPC, Times: 1}, false},
	{"ESTALE once", faultfs.Rule{Err: syscall.ESTALE, Times: 1}, false},
	{"EROFS once", faultfs.Rule{Err: syscall.EROFS, Times: 1}, true},
	{"EACCES once", faultfs.Rule{Err: syscall.EACCES, Times: 1}, true},
	{"EPERM once", faultfs.Rule{Err: syscall.EPERM, Times: 1}, true},
	{"EBUSY once", faultfs.Rule{Err: syscall.EBUSY, Times: 1}, true},
	{"EIO from then on", faultfs.Rule{Err: syscall.EIO}, false},
	{"EROFS from then on", faultfs.Rule{Err: syscall.EROFS}, true},
	{"EIO though carried out", faultfs.Rule{AfterErr: syscall.EIO, Times: 1}, false},
	{"EIO though carried out, from then on", faultfs.Rule{AfterErr: syscall.EIO}, false},
}

// TestFault lets every operation of a save fail, in turn and in every way. The
// file holds its old content or the new one, no temporary file is left, the
// error is permanent or not as it should be, a save that succeeds is durable,
// and the next attempt saves.
func TestFault(t *testing.T) {
	eachStep(t, func(t *testing.T, s *scene, at moment) {
		for _, f := range failures {
			s.run(t, func(t *testing.T, disk *faultfs.FS, save saver) {
				rule := at.Rule(f.rule)
				rule.Times = f.rule.Times
				fault := disk.Inject(rule)
				begin := time.Now()
				stored, err := save(t.Context())
				switch {
				case err == nil && stored != id:
					t.Errorf("%s: got %q, want %q", f.name, stored, id)
				case err == nil:
					s.requireDurable(t, disk)
				case errors.Is(err, f.errno()) && configfile.Permanent(err) != f.permanent:
					t.Errorf("%s: permanent: %v, want %v: %v", f.name, !f.permanent, f.permanent, err)
				}
				if d := time.Since(begin); d > attempt {
					t.Errorf("%s: took %v", f.name, d)
				}
				s.requireOldOrNew(t, disk)
				requireIdle(t, disk)

				// A temporary file stays if it cannot be removed, or cannot be
				// told from the file of another program.
				if at.Op == faultfs.OpRemove || at.Op == faultfs.OpLstat && f.rule.Times == 0 {
					removeTemps(disk)
				}
				requireNoTemps(t, disk)
				fault.Release()
				requireWorks(t, s, disk, save)
				if t.Failed() {
					t.Fatalf("%s: %v", f.name, err)
				}
			})
		}
	})
}

func removeTemps(disk *faultfs.FS) {
	for _, name := range temps(disk) {
		disk.Delete(name)
	}
}
