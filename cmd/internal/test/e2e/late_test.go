//go:build linux

package e2e_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/test/lab"
	"github.com/rollcall-dev/rollcall/installid"
)

// editedConfig is plainConfig after an operator's edit.
const editedConfig = "{\"port\": 9090, \"telemetry\": {\"enabled\": false}}\n"

// An edit is a way in which programs save.
type edit string

const (
	inPlace  edit = "in place"  // truncate and write
	byRename edit = "by rename" // a new file takes the place of the old one
)

// editorChild saves a file. Its arguments are the path, the content and
// the way.
const editorChild = "editor"

func runEditor() {
	if err := edit(os.Args[3]).save(os.Args[1], os.Args[2]); err != nil {
		panic(err)
	}
}

func (e edit) save(path, content string) (err error) {
	if e == inPlace {
		for range 10 { // a file server may say that a file that was just replaced does not exist
			if err = os.WriteFile(path, []byte(content), 0o644); !errors.Is(err, fs.ErrNotExist) {
				break
			}
		}
		return err
	}
	temp := filepath.Join(filepath.Dir(path), "editor.tmp")
	if err := os.WriteFile(temp, []byte(content), 0o644); err != nil {
		return err
	}
	return os.Rename(temp, path)
}

// edit lets an operator save the config, and waits for that, unless the
// kernel blocks the operator behind the hanging operation. Done is closed
// when the config is saved.
func (s *site) edit(how edit, content string) (done <-chan struct{}) {
	s.t.Helper()
	cmd := lab.Command(s.t, editorChild, s.config, content, string(how))
	cmd.Stderr = os.Stderr
	must(s.t, cmd.Start())
	saved := make(chan struct{})
	go func() {
		defer close(saved)
		if err := cmd.Wait(); err != nil {
			s.t.Errorf("the operator cannot save: %v", err)
		}
	}()
	s.processes = append(s.processes, saved)
	select {
	case <-saved:
	case <-time.After(time.Second):
	}
	return saved
}

// lateOps are the operations of a save that can complete late, after
// Start has given up.
var lateOps = []lab.Op{
	lab.Lookup, lab.Open, lab.Read, lab.Create, lab.Write, lab.SetAttr, lab.Fsync, lab.Flush, lab.Link, lab.Exchange, lab.Rename,
	lab.FsyncDir, lab.Unlink,
}

const noExchange = "no exchange"

// abilities are what file systems support.
var abilities = []struct {
	name  string
	limit func(*lab.FaultDir)
	never lab.Op   // which a save does not use then
	quick []lab.Op // where a save takes another path; the rest is for soaking
}{
	{"all", func(*lab.FaultDir) {}, lab.Rename, lateOps},
	{noExchange, (*lab.FaultDir).WithoutExchange, lab.Exchange, []lab.Op{lab.Fsync, lab.Rename, lab.FsyncDir}},
	{"no links", (*lab.FaultDir).WithoutLinks, lab.Link, []lab.Op{lab.Fsync, lab.Rename}},
}

// eachLate calls test for each operation and each way to edit.
func eachLate(t *testing.T, ops []lab.Op, answer bool, test func(l *lateSave, how edit)) {
	i := 0
	for _, can := range abilities {
		for _, op := range ops {
			if op == can.never || !soaking() && !slices.Contains(can.quick, op) {
				continue
			}
			if i++; !chosen(i) {
				continue
			}
			for _, how := range []edit{inPlace, byRename} {
				t.Run(fmt.Sprintf("%s/%s/%s", can.name, op, how), func(t *testing.T) {
					t.Parallel()
					s := newFaultSite(t, plainConfig)
					l := s.hangSave(op, answer)
					l.can = can.name
					can.limit(s.faults) // of two rules the first applies
					test(l, how)
				})
			}
		}
	}
}

// TestD03LateReal lets an abandoned save continue after an operator has
// edited the config on the same machine.
func TestD03LateReal(t *testing.T) {
	t.Parallel()
	eachLate(t, lateOps, false, func(l *lateSave, how edit) {
		l.start()
		l.finish(l.edit(how, editedConfig))
	})
}

// TestD03LateElsewhereReal is the same with an operator on another
// machine that shares the disk. No lock of the kernel stops that
// operator, even while an exchange hangs.
func TestD03LateElsewhereReal(t *testing.T) {
	t.Parallel()
	eachLate(t, lateOps, false, func(l *lateSave, how edit) {
		l.start()
		l.editElsewhere(how)
		if l.can == noExchange && l.op == lab.Rename && how == byRename {
			// Nothing can protect this edit, as the documentation says.
			l.fault.Release()
			l.host.awaitPersisted()
			return
		}
		l.finish(nil)
	})
}

// TestD03LateAnswerReal lets an abandoned save hang after the operation
// has been executed.
func TestD03LateAnswerReal(t *testing.T) {
	t.Parallel()
	ops := []lab.Op{lab.Create, lab.Write, lab.Fsync, lab.Link, lab.Exchange, lab.Rename, lab.FsyncDir, lab.Unlink}
	eachLate(t, ops, true, func(l *lateSave, how edit) {
		l.start()
		l.editElsewhere(how)
		l.finish(nil)
	})
}

// TestD03LateOtherIDReal has the operator put another ID into the config
// meanwhile.
func TestD03LateOtherIDReal(t *testing.T) {
	t.Parallel()
	for _, op := range []lab.Op{lab.Create, lab.Fsync, lab.Link, lab.Exchange, lab.FsyncDir} {
		for _, how := range []edit{inPlace, byRename} {
			t.Run(fmt.Sprintf("%s/%s", op, how), func(t *testing.T) {
				t.Parallel()
				s := newFaultSite(t, plainConfig)
				l := s.hangSave(op, false)
				l.start()
				saved := l.edit(how, withID(editedConfig, otherID))
				l.fault.Release()
				<-saved
				// The anchor may follow only at the next wake, a minute
				// later.
				st := l.host.await("the ID is persisted", func(st installid.Status) bool { return st.Persisted && atRest(st) })
				if st.ID.String() != otherID && st.ID != l.started.ID { // if the edit came last
					t.Errorf("got %+v", st)
				}
				l.host.exit()
				s.quiet()
				s.wantConfig(withID(editedConfig, otherID))
				s.wantNoTemps()
				if id := s.restart(); id.String() != otherID {
					t.Errorf("got ID %q after a restart, want the operator's", id)
				}
				s.wantConfig(withID(editedConfig, otherID))
			})
		}
	}
}

// A lateSave is a save with an operation that hangs.
type lateSave struct {
	*site
	can     string // the abilities
	op      lab.Op
	fault   *lab.Fault
	host    *host
	started reply
}

// hangSave lets the operation, or its reply, hang once.
func (s *site) hangSave(op lab.Op, answer bool) *lateSave {
	s.t.Helper()
	hang := s.faults.Hang
	if answer {
		hang = s.faults.HangReply
	}
	return &lateSave{site: s, op: op, fault: hang(op, "", 1), host: s.host()}
}

// start starts the service, which stops waiting as soon as the operation
// hangs.
func (l *lateSave) start() {
	l.t.Helper()
	l.host.send(doStart)
	l.fault.Await(1)
	l.host.send(doHurry)
	l.started = l.host.receive()
}

// editElsewhere saves the config beneath the file system.
func (l *lateSave) editElsewhere(how edit) {
	l.t.Helper()
	must(l.t, how.save(filepath.Join(l.dir, "config.json"), editedConfig))
}

// finish lets the save continue, and checks that the edit and the ID
// stand. The edit is under way until saved is closed; nil means that it
// is over.
func (l *lateSave) finish(saved <-chan struct{}) {
	l.t.Helper()
	if saved != nil {
		select {
		case <-saved:
			saved = nil
		default:
		}
	}
	l.fault.Release()
	if saved != nil {
		<-saved
	}
	st := l.host.awaitPersisted()
	l.quiet()
	if st.ID != l.started.ID {
		l.t.Errorf("got ID %q, want %q", st.ID, l.started.ID)
	}
	l.before = editedConfig
	// An edit that the kernel blocked until the save was over may have
	// removed the ID.
	if saved == nil || l.configNow() != editedConfig {
		l.wantConfig(withID(editedConfig, st.ID.String()))
	}
	if got := l.anchorNow(); got != st.ID.String() {
		l.t.Errorf("got ID %q in the anchor, want %q", got, st.ID)
	}
	l.wantNoTemps()
	l.host.exit()
	l.wantAgrees(st)
}
