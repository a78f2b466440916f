//go:build linux

package e2e_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rollcall-dev/rollcall/cmd/internal/test/lab"
	"github.com/rollcall-dev/rollcall/installid"
)

// saveOps are the operations of a save, with the circumstances in which a
// save needs them.
var saveOps = []struct {
	op      lab.Op
	prepare func(*site)
}{
	{lab.Any, nil},
	{lab.Lookup, nil},
	{lab.GetAttr, nil},
	{lab.SetAttr, nil},
	{lab.Open, nil},
	{lab.Create, nil},
	{lab.Read, nil},
	{lab.Write, nil},
	{lab.Fsync, nil},
	{lab.Flush, nil},
	{lab.OpenDir, nil},
	{lab.ReadDir, nil},
	{lab.FsyncDir, nil},
	{lab.Mkdir, (*site).withoutDirectory},
	{lab.Unlink, nil},
	{lab.Rename, (*site).withoutExchange},
	{lab.Exchange, nil},
	{lab.Link, nil},
	{lab.Readlink, (*site).behindLink},
	{lab.GetXattr, (*site).withAttribute},
	{lab.ListXattr, nil},
	{lab.SetXattr, (*site).withAttribute},
}

func (s *site) withoutExchange() { s.faults.WithoutExchange() }

// withoutDirectory leaves it to the service to create the config and its
// directory.
func (s *site) withoutDirectory() {
	must(s.t, os.Remove(filepath.Join(s.dir, "config.json")))
	s.settle(filepath.Join(s.faults.Path, "directory"), filepath.Join(s.faults.Backing, "directory"), "")
}

// behindLink gives the hosts the config's path as a symlink.
func (s *site) behindLink() {
	must(s.t, os.Symlink("config.json", filepath.Join(s.dir, "link.json")))
	s.config = filepath.Join(filepath.Dir(s.config), "link.json")
	s.anchor = filepath.Join(filepath.Dir(s.config), ".link.json.installation-id")
	s.others = []string{"link.json"}
}

func (s *site) withAttribute() {
	if err := unix.Setxattr(filepath.Join(s.dir, "config.json"), "user.origin", []byte("operator"), 0); err != nil {
		lab.Skip(s.t, err.Error())
	}
}

// TestD01HangReal lets each operation hang for a long time,
// uninterruptibly, and be executed in the end.
func TestD01HangReal(t *testing.T) {
	t.Parallel()
	for i, tt := range saveOps {
		if !chosen(i) {
			continue
		}
		t.Run(string(tt.op), func(t *testing.T) {
			t.Parallel()
			s := newFaultSite(t, plainConfig)
			if tt.prepare != nil {
				tt.prepare(s)
			}
			fault := s.faults.Hang(tt.op, "", lab.Always)
			h := s.host(scaled)
			st := s.startHanging(h, tt.op, fault)
			time.Sleep(300 * time.Millisecond) // more operations could pile up meanwhile
			wantOneStuck(t, fault)

			fault.Release()
			if st = h.awaitPersisted(); st.ID != h.status().ID {
				t.Error("the ID has changed")
			}
			s.quiet()
			s.wantStored(st.ID)
			s.wantNoTemps()
			if took := h.exit(); took > exitBound {
				t.Errorf("the host took %v to exit", took)
			}
			s.wantAgrees(st)
		})
	}
}

// TestD01HangIsolatedReal is the same with isolation: the host exits at
// once, and what hangs is executed without it.
func TestD01HangIsolatedReal(t *testing.T) {
	t.Parallel()
	for i, tt := range saveOps {
		if !chosen(i) {
			continue
		}
		t.Run(string(tt.op), func(t *testing.T) {
			t.Parallel()
			s := newFaultSite(t, plainConfig)
			if tt.prepare != nil {
				tt.prepare(s)
			}
			fault := s.faults.Hang(tt.op, "", lab.Always)
			h := s.host(scaled, isolated)
			st := s.startHanging(h, tt.op, fault)
			took := h.exit()
			t.Logf("the host ended after %v", took)
			if took > exitBound {
				t.Errorf("the host took %v to exit", took)
			}
			wantOneStuck(t, fault)

			s.faults.Reset()
			s.quiet()
			eventually(t, "the child that was left behind has ended", func() bool { return len(usersOf(t, s.faults.Path)) == 0 })
			s.wantWhole()
			s.wantNoTemps()
			s.wantAgrees(st)
		})
	}
}

// TestD01HangReplyReal executes each operation that changes something at
// once, but never replies.
func TestD01HangReplyReal(t *testing.T) {
	t.Parallel()
	for i, op := range []lab.Op{
		lab.Exchange, lab.Create, lab.Write, lab.Link, lab.SetAttr, lab.Fsync, lab.Rename, lab.FsyncDir, lab.Unlink,
	} {
		if !chosen(i) {
			continue
		}
		t.Run(string(op), func(t *testing.T) {
			t.Parallel()
			s := newFaultSite(t, plainConfig)
			if op == lab.Rename {
				s.withoutExchange()
			}
			fault := s.faults.HangReply(op, "", lab.Always)
			h := s.host(scaled)
			s.startHanging(h, op, fault)
			fault.Release()
			st := h.awaitPersisted()
			s.quiet()
			s.wantStored(st.ID)
			s.wantNoTemps()
			h.exit()
		})
	}
}

// startHanging starts the service, and checks that it does without the
// part of the disk that hangs.
func (s *site) startHanging(h *host, op lab.Op, fault *lab.Fault) (st installid.Status) {
	s.t.Helper()
	r := h.start()
	s.t.Logf("started after %v", r.Took)
	if r.Took > startBound {
		s.t.Errorf("Start took %v", r.Took)
	}
	if r.ID.IsZero() || !r.Status.Settled {
		s.t.Error("no ID, or not settled")
	}
	if h.logged(lineStarted(true))+h.logged(lineStarted(false)) != 1 {
		s.t.Errorf("got log %q", h.lines())
	}
	st = r.Status
	if st.Stuck == "" && !st.Persisted { // a slow machine: the background goes on
		st = h.await("something hangs, or the ID is persisted", func(st installid.Status) bool {
			return st.Persisted || fault.Happened() > 0 && st.Stuck != ""
		})
	}
	if op != lab.ReadDir { // the background reads it later
		eventually(s.t, "it is part of a save", func() bool { return fault.Happened() > 0 })
	}
	if st.Persisted && s.idNow() != r.ID.String() && s.anchorNow() != r.ID.String() {
		s.t.Error("called persisted, and not there")
	}
	if !st.Persisted && st.Stuck == "" {
		s.t.Error("the status does not say what hangs")
	}
	wantOneStuck(s.t, fault)
	return st
}

func wantOneStuck(t *testing.T, fault *lab.Fault) {
	t.Helper()
	if waiting, happened := fault.Waiting(), fault.Happened(); waiting > 1 || happened > 1 {
		t.Errorf("%d operations hang, and %d began to; want one at most", waiting, happened)
	}
}

// TestD01LazyReal lets everything hang during a lazy start.
func TestD01LazyReal(t *testing.T) {
	t.Parallel()
	for _, isolate := range []bool{false, true} {
		t.Run(fmt.Sprintf("isolate=%v", isolate), func(t *testing.T) {
			t.Parallel()
			s := newFaultSite(t, plainConfig)
			fault := s.faults.Hang(lab.Any, "", lab.Always)
			h := s.host(scaled, lazily, func(s *setup) { s.Isolate, s.StartTimeout = isolate, patience })
			r := h.start()
			t.Logf("started after %v", r.Took)
			if r.Took > noWait {
				t.Errorf("Start took %v", r.Took)
			}
			if st := r.Status; st.ID.IsZero() || st.Persisted || !st.Provisional {
				t.Errorf("got %+v before anything was read", st)
			}
			h.await("the start is settled", func(st installid.Status) bool { return st.Settled })
			wantOneStuck(t, fault)
			fault.Release()
			st := h.awaitPersisted()
			if st.ID != r.ID {
				t.Errorf("got ID %q, want %q", st.ID, r.ID)
			}
			s.quiet()
			s.wantStored(st.ID)
			h.exit()
		})
	}
}

// TestD01KillableHangReal lets all operations hang as on a network disk
// with an unreachable server. Such a hang keeps no process from exiting,
// isolated or not.
func TestD01KillableHangReal(t *testing.T) {
	t.Parallel()
	for _, isolate := range []bool{false, true} {
		t.Run(fmt.Sprintf("isolate=%v", isolate), func(t *testing.T) {
			t.Parallel()
			s := newFaultSite(t, plainConfig)
			s.faults.Freeze()
			h := s.host(scaled, func(s *setup) { s.Isolate = isolate })
			r := h.start()
			t.Logf("started after %v", r.Took)
			if r.Took > startBound || r.ID.IsZero() || r.Status.Persisted || !r.Status.Provisional {
				t.Errorf("got %+v after %v", r.Status, r.Took)
			}
			took := h.exit()
			t.Logf("the host ended after %v", took)
			if took > exitBound {
				t.Errorf("the host took %v to exit", took)
			}
			s.faults.Thaw()
			s.quiet()
			s.wantUntouched()
			s.wantAgrees(r.Status)
		})
	}
}

// TestD01FrozenDiskReal has a real file system that accepts no writes,
// but can be read.
func TestD01FrozenDiskReal(t *testing.T) {
	t.Parallel()
	for _, fstype := range []string{"ext4", "xfs"} {
		for _, isolate := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/isolate=%v", fstype, isolate), func(t *testing.T) {
				t.Parallel()
				m := lab.LoopImage(t, fstype)
				s := siteIn(t, filepath.Join(m.Dir, "."), "")
				s.others = []string{"lost+found"}
				s.before = plainConfig
				s.write("config.json", plainConfig)
				m.Freeze()
				h := s.host(scaled, func(s *setup) { s.Isolate = isolate })
				r := h.start()
				t.Logf("started after %v", r.Took)
				if r.Took > startBound || r.ID.IsZero() || r.Status.Persisted {
					t.Errorf("got %+v after %v", r.Status, r.Took)
				}
				// On a slow machine the background reads it.
				h.await("the config is read", func(st installid.Status) bool { return !st.Provisional })
				s.wantUntouched()
				if isolate {
					if took := h.exit(); took > exitBound {
						t.Errorf("the host took %v to exit", took)
					}
					m.Thaw()
					eventually(t, "the child that was left behind has ended", func() bool { return len(usersOf(t, m.Dir)) == 0 })
					s.wantWhole()
				} else {
					m.Thaw()
					st := h.awaitPersisted()
					if st.ID != r.ID {
						t.Errorf("got ID %q, want %q", st.ID, r.ID)
					}
					s.wantStored(st.ID)
					h.exit()
				}
				s.wantNoTemps()
				s.wantAgrees(r.Status)
			})
		}
	}
}

// usersOf returns the processes that have a directory or a file in it open.
func usersOf(t *testing.T, dir string) (pids []string) {
	t.Helper()
	fds, err := filepath.Glob("/proc/[0-9]*/fd/*")
	must(t, err)
	for _, fd := range fds {
		if target, err := os.Readlink(fd); err == nil && (target == dir || strings.HasPrefix(target, dir+"/")) {
			pids = append(pids, strings.Split(fd, "/")[2])
		}
	}
	return pids
}

// TestD02SlowSaveReal has a disk on which one step of a save takes longer
// than an attempt may.
func TestD02SlowSaveReal(t *testing.T) {
	t.Parallel()
	for i, op := range []lab.Op{lab.Fsync, lab.Open, lab.Create, lab.Write, lab.Link, lab.Exchange, lab.FsyncDir} {
		if !chosen(i) {
			continue
		}
		t.Run(string(op), func(t *testing.T) {
			t.Parallel()
			s := newFaultSite(t, plainConfig)
			fault := s.faults.Hang(op, "", 1)
			h := s.host(func(s *setup) {
				s.Attempts, s.AttemptTimeout, s.Backoff, s.StartTimeout = 10, time.Second, 100*time.Millisecond, patience
			})
			h.send(doStart)
			eventually(t, "an attempt times out", func() bool { return fault.Happened() == 1 && h.logged(lineTimedOut) > 0 })
			fault.Release()
			r := h.receive()
			t.Logf("started after %v, %d attempts", r.Took, r.Status.Attempts)
			if !r.Status.Persisted || r.Status.Attempts < 2 || h.logged("WARN Using in-memory*") > 0 {
				t.Errorf("got %+v, want it persisted at attempt 2 or later; log %q", r.Status, h.lines())
			}
			st := h.awaitPersisted()
			s.quiet()
			s.wantStored(st.ID)
			s.wantNoTemps()
			if st.ID != r.ID {
				t.Errorf("got ID %q, and at first %q", st.ID, r.ID)
			}
			if n := h.logged("INFO Installation ID persisted*"); n != 1 {
				t.Errorf("called persisted %d times; got log %q", n, h.lines())
			}
			h.exit()
		})
	}
}

// TestD02AlwaysSlowReal has a disk on which no attempt is in time. The
// background is more patient, and succeeds.
func TestD02AlwaysSlowReal(t *testing.T) {
	t.Parallel()
	for _, op := range []lab.Op{lab.Write, lab.Fsync} {
		t.Run(string(op), func(t *testing.T) {
			t.Parallel()
			s := newFaultSite(t, plainConfig)
			s.faults.Delay(op, "", 600*time.Millisecond, lab.Always)
			h := s.host(scaled, func(s *setup) { s.StartTimeout = patience })
			r := h.start()
			if r.Took > startBound || r.ID.IsZero() {
				t.Errorf("got ID %q after %v", r.ID, r.Took)
			}
			if !r.Status.Persisted && h.logged(lineInMemory("timed out")) != 1 {
				t.Errorf("got log %q", h.lines())
			}
			st := h.awaitPersisted()
			s.quiet()
			s.wantStored(r.ID)
			s.wantNoTemps()
			if st.ID != r.ID {
				t.Errorf("got ID %q, and at first %q", st.ID, r.ID)
			}
			h.exit()
		})
	}
}

// TestD04AdoptReal lets reads hang while an ID is stored.
func TestD04AdoptReal(t *testing.T) {
	t.Parallel()
	stored := []struct{ name, config, anchor string }{
		{"config", withID(plainConfig, knownID), ""},
		{"anchor", plainConfig, knownID},
		{"both", withID(plainConfig, knownID), knownID},
	}
	for _, tt := range stored {
		for i, op := range []lab.Op{lab.Read, lab.Lookup, lab.GetAttr, lab.Open} {
			if !chosen(i) {
				continue
			}
			t.Run(tt.name+"/"+string(op), func(t *testing.T) {
				t.Parallel()
				s := newFaultSite(t, tt.config)
				if tt.anchor != "" {
					s.write(filepath.Base(s.anchor), tt.anchor+"\n")
				}
				fault := s.faults.Hang(op, "", lab.Always)
				h := s.host(scaled)
				r := h.start()
				if r.Took > startBound || r.ID.IsZero() || r.ID.String() == knownID {
					t.Errorf("got ID %q after %v", r.ID, r.Took)
				}
				if !r.Status.Provisional || r.Status.Persisted {
					t.Errorf("got %+v: something could be counted under an ID that is not the installation's", r.Status)
				}
				if n := len(s.faults.Changes()); n > 0 {
					t.Errorf("changed something while it could not read: %v", s.faults.Changes())
				}
				s.wantConfig(tt.config)
				fault.Release()
				st := h.awaitPersisted()
				if st.ID.String() != knownID || st.Provisional {
					t.Errorf("got %+v, want the stored ID", st)
				}
				if h.logged(lineAdopted) != 1 {
					t.Errorf("got log %q", h.lines())
				}
				s.quiet()
				s.before = plainConfig
				if tt.anchor == "" {
					s.wantConfig(tt.config)
				} else {
					s.wantStored(st.ID)
				}
				h.exit()
			})
		}
	}
}

// TestD17ExitReal shows what is left of a host that exits while an
// operation hangs uninterruptibly: nothing if it is isolated. In the
// process itself, the kernel keeps that thread, and thereby the process.
func TestD17ExitReal(t *testing.T) {
	t.Parallel()
	t.Run("isolated", func(t *testing.T) {
		t.Parallel()
		s := newFaultSite(t, plainConfig)
		fault := s.faults.Hang(lab.Fsync, "", lab.Always)
		h := s.host(scaled, isolated)
		h.start()
		fault.Await(1)
		took := h.exit()
		t.Logf("the host ended after %v", took)
		if took > exitBound {
			t.Errorf("the host took %v to exit", took)
		}
	})
	t.Run("isolated and killed", func(t *testing.T) {
		t.Parallel()
		s := newFaultSite(t, plainConfig)
		fault := s.faults.Hang(lab.Fsync, "", lab.Always)
		h := s.host(scaled, isolated)
		h.send(doStart)
		fault.Await(1)
		begin := time.Now()
		h.kill()
		took := time.Since(begin)
		t.Logf("the host ended after %v", took)
		if took > exitBound {
			t.Errorf("the host took %v to exit", took)
		}
	})
	t.Run("in-process", func(t *testing.T) {
		t.Parallel()
		s := newFaultSite(t, plainConfig)
		fault := s.faults.Hang(lab.Fsync, "", lab.Always)
		h := s.host(scaled)
		h.start()
		fault.Await(1)
		h.send(doExit)
		// All other threads end, including the one that ran main.
		eventually(t, "only the thread is left that the kernel holds", func() bool {
			states := threadStates(h.cmd.Process.Pid)
			return strings.Count(states, "Z") == len(states)-1 && strings.Contains(states, "D")
		})
		select {
		case <-h.exited:
			t.Error("the process has exited, although the kernel holds a thread of it")
		default:
		}
		begin := time.Now()
		fault.Release()
		h.awaitExit()
		t.Logf("the host ended %v after the kernel let go", time.Since(begin))
		s.quiet()
		s.wantWhole()
	})
}

// threadStates returns the state of each thread of a process, as one
// letter each.
func threadStates(pid int) (states string) {
	stats, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	for _, name := range stats {
		if stat, err := os.ReadFile(name); err == nil {
			states += string(stat[strings.LastIndex(string(stat), ")")+2])
		}
	}
	return states
}
