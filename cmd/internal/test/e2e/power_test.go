//go:build linux

package e2e_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rollcall-dev/rollcall/cmd/internal/test/lab"
	"github.com/rollcall-dev/rollcall/installid"
)

// imageSite returns a site on a real file system of its own.
func imageSite(t *testing.T, m *lab.Image, directory, config string) *site {
	t.Helper()
	dir := filepath.Join(m.Dir, directory)
	if config != "" {
		must(t, os.MkdirAll(dir, 0o755))
	}
	s := siteIn(t, dir, config)
	syncImage(t, m)
	return s
}

// syncImage writes everything to the disk.
func syncImage(t *testing.T, m *lab.Image) {
	t.Helper()
	dir, err := os.Open(m.Dir)
	must(t, err)
	defer dir.Close()
	must(t, unix.Syncfs(int(dir.Fd())))
}

// TestD12PowerCutAtEachStepReal kills a process before each of the file
// operations of a save and cuts the power.
func TestD12PowerCutAtEachStepReal(t *testing.T) {
	t.Parallel()
	for i, fstype := range []string{"ext4", "xfs"} {
		for _, c := range scenarios {
			if c.inPlace() || !soaking() && c.name != []string{"insert", "create"}[i] {
				continue
			}
			t.Run(fstype+"/"+c.name, func(t *testing.T) {
				t.Parallel()
				m := lab.LoopImage(t, fstype)
				s := imageSite(t, m, "app", plainConfig)
				for n, killed := 1, true; killed; n++ {
					must(t, os.MkdirAll(s.dir, 0o755)) // in case a cut has removed it
					c.begin(s)
					syncImage(t, m)
					var at string
					at, killed = c.runStepped(s, n)
					m.Cut()
					c.check(s, fmt.Sprintf("step %d, %s, then the power was cut", n, at))
				}
			})
		}
	}
}

// TestD12PowerCutReal cuts the power at random moments while a process
// saves again and again.
func TestD12PowerCutReal(t *testing.T) {
	t.Parallel()
	for _, fstype := range []string{"ext4", "xfs"} {
		t.Run(fstype, func(t *testing.T) {
			t.Parallel()
			m := lab.LoopImage(t, fstype)
			// While the image is not mounted, nothing can be created in
			// the directory beneath.
			m.Unmount()
			must(t, os.WriteFile(filepath.Join(m.Dir, "app"), nil, 0o644))
			m.Mount()
			s := imageSite(t, m, "app", plainConfig)
			var acked []string
			for round := range quickOr(15, 300) {
				r := s.resetter()
				if round%3 > 0 {
					r.first() // by now it saves over and over
				}
				time.Sleep(rand.N(20 * time.Millisecond))
				if round%2 == 0 {
					r.kill()
					m.Cut()
				} else {
					m.Cut() // the process gets an error
					r.kill()
					m.Cut() // if it has not noticed, its changes since may not be durable
				}
				acked = append(acked, r.kill()...)
				s.wantLast(acked)
			}
			t.Logf("%d saves called durable", len(acked))
			id := s.restart()
			if wasReplaced(acked, id.String()) {
				t.Error("an ID has come back that had been replaced")
			}
		})
	}
}

// wantLast checks that the config is intact and holds the last of the IDs
// that were called durable, or one that came after it.
func (s *site) wantLast(acked []string) {
	s.t.Helper()
	s.wantWhole()
	id := s.idNow()
	if id == "" {
		id = s.anchorNow()
	}
	switch {
	case len(acked) == 0:
	case id == "":
		s.t.Error("an ID that was called durable is lost")
	case wasReplaced(acked, id):
		s.t.Error("the last ID that was called durable is lost: an earlier one is there")
	}
}

// wasReplaced reports whether an ID was called durable before the last
// one.
func wasReplaced(acked []string, id string) bool {
	return len(acked) > 0 && acked[len(acked)-1] != id && slices.Contains(acked, id)
}

// TestD16PersistedReal cuts the power right after the first ID was called
// persisted.
func TestD16PersistedReal(t *testing.T) {
	t.Parallel()
	for _, fstype := range []string{"ext4", "xfs"} {
		for name, config := range map[string]string{"config": plainConfig, "no directory": ""} {
			t.Run(fstype+"/"+name, func(t *testing.T) {
				t.Parallel()
				m := lab.LoopImage(t, fstype)
				for range quickOr(3, 50) {
					s := imageSite(t, m, "a/b", config)
					h := s.host()
					r := h.start()
					if !r.Status.Persisted {
						t.Fatalf("got %+v", r.Status)
					}
					h.kill()
					m.Cut()
					s.wantWhole()
					if s.idNow() != r.ID.String() || s.anchorNow() != r.ID.String() {
						t.Errorf("got ID %q in the config and %q in the anchor, want %q", s.idNow(), s.anchorNow(), r.ID)
					}
					if id := s.restart(); id != r.ID {
						t.Errorf("got ID %q after a restart, want %q", id, r.ID)
					}
					must(t, os.RemoveAll(filepath.Join(m.Dir, "a")))
				}
			})
		}
	}
}

// TestD15FsyncFailsOnceReal has a disk that loses a write, which the
// kernel reports only once.
func TestD15FsyncFailsOnceReal(t *testing.T) {
	t.Parallel()
	for skip := range 4 { // how many writes to the disk succeed before
		t.Run("", func(t *testing.T) {
			t.Parallel()
			d := lab.FUSE(t)
			m := lab.LoopImageOn(t, d, "ext4")
			s := imageSite(t, m, "app", plainConfig)
			if skip > 0 {
				d.Delay(lab.Write, "ext4-image", time.Nanosecond, skip)
			}
			fault := d.Fail(lab.Write, "ext4-image", unix.EIO, 1)
			h := s.host(func(s *setup) { s.Backoff = 100 * time.Millisecond })
			r := h.start()
			t.Logf("after %d writes: %d attempts, %s", skip, r.Status.Attempts, strings.Join(h.lines(), "\n\t"))
			if fault.Happened() != 1 {
				t.Error("no write failed")
			}
			h.kill()
			d.Reset()
			m.Cut()
			s.wantWhole()
			if id := s.idNow(); r.Status.Persisted && id != r.ID.String() && s.anchorNow() != r.ID.String() {
				t.Errorf("got ID %q in the config and %q in the anchor, want %q, which was called persisted", id, s.anchorNow(), r.ID)
			}
		})
	}
}

// TestD15NewTempReal fails the sync of a temporary file, which is then
// written again under another name.
func TestD15NewTempReal(t *testing.T) {
	t.Parallel()
	for _, of := range []string{".installation-id", "config.json"} {
		t.Run(of, func(t *testing.T) {
			t.Parallel()
			s := newFaultSite(t, plainConfig)
			if of == "config.json" {
				s.write(filepath.Base(s.anchor), knownID+"\n") // so that only the config is saved
			}
			fault := s.faults.Fail(lab.Fsync, ".tmp", unix.EIO, 1)
			h := s.host(func(s *setup) { s.Backoff = 50 * time.Millisecond })
			h.start()
			if of == "config.json" { // the background creates it, and tries again after a minute
				h.await("the save has failed", func(st installid.Status) bool { return fault.Happened() == 1 && atRest(st) })
				h.exit()
				h = s.host()
				h.start()
			}
			st := h.awaitPersisted()
			h.exit()
			s.quiet()
			uses := []lab.Op{lab.Write, lab.Fsync, lab.Link, lab.Rename, lab.Exchange}
			failed := ""
			for _, c := range s.faults.Calls() {
				switch {
				case c.Op == lab.Fsync && c.Errno == unix.EIO:
					failed = c.Name
				case failed != "" && c.Name == failed && slices.Contains(uses, c.Op):
					t.Errorf("what could not be synced is used again: %v", c)
				}
			}
			if failed == "" || fault.Happened() != 1 {
				t.Errorf("no sync failed: %v", s.faults.Calls())
			}
			s.wantNoTemps()
			s.wantAgrees(st)
		})
	}
}
