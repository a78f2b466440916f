//go:build linux

package e2e_test

import (
	"syscall"
	"testing"

	"github.com/rollcall-dev/rollcall"
	"github.com/rollcall-dev/rollcall/cmd/internal/test/lab"
)

// TestD26UnusualErrnoReal has file systems that lack something and do not say
// so by the usual errno. What works there is used, and doctor agrees.
func TestD26UnusualErrnoReal(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		lacks  []lab.Op
		errnos []syscall.Errno
	}{
		{"links", []lab.Op{lab.Link}, []syscall.Errno{syscall.EIO, syscall.EINVAL, syscall.ENOTTY}},
		{"exchange", []lab.Op{lab.Exchange}, []syscall.Errno{syscall.EIO, syscall.EPERM, syscall.ENOTTY}},
		{"attributes", []lab.Op{lab.ListXattr, lab.GetXattr, lab.SetXattr, lab.RemoveXattr}, []syscall.Errno{syscall.EIO}},
		{"all of them", []lab.Op{lab.Link, lab.Exchange, lab.ListXattr, lab.GetXattr}, []syscall.Errno{syscall.EIO}},
	} {
		for _, errno := range tt.errnos {
			for name, config := range map[string]string{"": plainConfig, ", no config": "", ", large": large} {
				t.Run(tt.name+"/"+errno.Error()+name, func(t *testing.T) {
					t.Parallel()
					s := newFaultSite(t, config)
					for _, op := range tt.lacks {
						s.faults.Fail(op, "", errno, lab.Always)
					}
					s.wantWorks(t)
				})
			}
		}
	}
}

// TestD26RcloneReal has cloud storage that is mounted with rclone.
func TestD26RcloneReal(t *testing.T) {
	t.Parallel()
	for name, config := range map[string]string{"config": plainConfig, "no config": "", "large": large} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &site{t: t}
			t.Cleanup(s.awaitProcesses)
			dir, backing := lab.Rclone(t)
			s.settle(dir, backing, config)
			s.wantWorks(t)
		})
	}
}

// wantWorks checks that an ID is persisted at once, in all its places, that the
// next start finds it, and that doctor sees no problem.
func (s *site) wantWorks(t *testing.T) {
	t.Helper()
	r, st := s.startOnce()
	if !r.Status.Persisted || r.Status.Attempts != 1 || st.Incomplete {
		t.Errorf("got %+v", st)
	}
	s.wantStored(r.ID)
	s.wantNoTemps()
	if again, _ := s.startOnce(); again.ID != r.ID {
		t.Errorf("got ID %q after a restart, want %q", again.ID, r.ID)
	}
	findings, err := rollcall.Config{ConfigPath: s.config}.Diagnose(t.Context())
	must(t, err)
	for _, f := range findings {
		if f.Level == rollcall.LevelProblem {
			t.Errorf("doctor says %+v", f)
		}
	}
	s.wantNoTemps()
}
