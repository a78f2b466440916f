package keeper_test

import (
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollcall-dev/rollcall/internal/test/faultfs"
)

const lineRetired = "INFO Stored installation ID was reset or forgotten, replacing it"

// resetElsewhere resets the ID in another process.
func (r *rig) resetElsewhere() (id string) {
	r.t.Helper()
	reset, err := r.newKeeperOn(r.fs.As("operator")).Reset(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	return reset.String()
}

// TestRetiredNotAdopted is D21: the host saves a config from before a reset,
// while the process runs and before it starts. The anchor's ID is used, and
// written over the old one.
func TestRetiredNotAdopted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, withID(knownID))
		k := r.start()
		synctest.Wait()
		id := r.resetElsewhere()
		r.fs.WriteFile(configPath, []byte(withID(knownID)), 0o640)
		r.log.reset()
		k.LookSoon() // as whoever saw that its ID is retired asks
		synctest.Wait()
		r.wantState(k, id, true)
		r.log.want(adopted(id))

		r.log.reset()
		again := r.start()
		r.wantState(again, id, true)
		synctest.Wait()
		r.log.want(lineRetired, started(true), "INFO Installation ID persisted to config attempt=*")
		r.wantFile(configPath, withID(id))
		for range 5 { // the host goes on
			r.fs.WriteFile(configPath, []byte(withID(knownID)), 0o640)
			time.Sleep(66 * time.Minute)
			r.wantState(k, id, true)
			r.wantState(again, id, true)
			r.wantFile(configPath, withID(id))
		}
	})
}

// TestRetiredEverywhere: both copies are from before the reset. A process that
// still uses the old ID, and one that starts, agree on a new one.
func TestRetiredEverywhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, withID(knownID))
		r.fs.WriteFile(anchorPath, []byte(knownID+"\n"), 0o640)
		k := r.start()
		synctest.Wait()
		r.resetElsewhere()
		r.fs.WriteFile(configPath, []byte(withID(knownID)), 0o640)
		r.fs.WriteFile(anchorPath, []byte(knownID+"\n"), 0o640)
		r.log.reset()
		again := r.start()
		id := again.ID().String()
		if id == knownID {
			t.Error("the old ID is back")
		}
		r.wantState(again, id, true)
		r.log.want(lineRetired, generated(again.ID()), "INFO Installation ID persisted to config attempt=1", started(true))
		time.Sleep(2 * time.Hour)
		r.wantState(k, id, true)
	})
	synctest.Test(t, func(t *testing.T) { // the running process alone
		r := newRig(t, withID(knownID))
		r.fs.WriteFile(anchorPath, []byte(knownID+"\n"), 0o640)
		k := r.start()
		synctest.Wait()
		r.resetElsewhere()
		r.fs.WriteFile(configPath, []byte(withID(knownID)), 0o640)
		r.fs.WriteFile(anchorPath, []byte(knownID+"\n"), 0o640)
		r.log.reset()
		time.Sleep(2 * time.Hour)
		id := k.ID()
		if id.String() == knownID {
			t.Error("the old ID is still in use")
		}
		r.wantPersisted(k, id.String())
		r.log.want(lineRetired, generated(id), "INFO Installation ID persisted to config attempt=*")
	})
}

// TestRetiredBackup: both copies are from before a reset, as in a backup of the
// directory that somebody restores while a process runs with the present ID. It
// writes that over them within a minute, before a start makes another one.
func TestRetiredBackup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, withID(knownID))
		r.fs.WriteFile(anchorPath, []byte(knownID+"\n"), 0o640)
		k := r.start(func(s *setup) { s.Look = true })
		synctest.Wait()
		id := r.resetElsewhere()
		time.Sleep(2 * time.Minute)
		r.wantPersisted(k, id)
		r.fs.WriteFile(configPath, []byte(withID(knownID)), 0o640)
		r.fs.WriteFile(anchorPath, []byte(knownID+"\n"), 0o640)
		time.Sleep(2 * time.Minute)
		r.wantPersisted(k, id)
		r.wantFile(configPath, withID(id))
		r.wantFile(anchorPath, id+"\n")
		r.wantState(r.start(), id, true)
	})
}

// TestResetNotStored: the old ID is retired, and the new one cannot be stored. It
// serves from memory until it can be.
func TestResetNotStored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, withID(knownID))
		k := r.start()
		synctest.Wait()
		r.log.reset()
		var faults []*faultfs.Fault
		for _, temp := range []string{".config.json.rollcall-*", "..config.json.installation-id.rollcall-*"} {
			faults = append(faults, r.fs.Inject(faultfs.Rule{Op: faultfs.OpSync, Name: temp, Err: syscall.EIO}))
		}
		id, err := k.Reset(t.Context())
		if err == nil || id.IsZero() || id.String() == knownID || k.ID() != id {
			t.Fatalf("got ID %q, %v, and %q in use", id, err, k.ID())
		}
		if st := k.Status(); st.Persisted || st.Reason == "" {
			t.Errorf("got %+v", st)
		}
		synctest.Wait()
		for _, fault := range faults {
			fault.Remove()
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		r.wantPersisted(k, id.String())
		r.wantFile(configPath, withID(id.String()))
		r.stop(k)
		r.wantState(r.start(), id.String(), true)
	})
}

// TestLedgerUnreadable: the stored ID stays in use, and nothing is written.
func TestLedgerUnreadable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, withID(knownID))
		r.fs.WriteFile("/srv/app/.config.json.retired-ids", []byte("rubbish"), 0o640)
		r.fs.ResetLog()
		k := r.start()
		r.wantState(k, knownID, true)
		time.Sleep(48 * time.Hour)
		r.wantState(k, knownID, true)
		if id, err := k.Reset(t.Context()); err == nil || !id.IsZero() {
			t.Errorf("got ID %q, %v", id, err)
		}
		r.wantNoMutation()
		r.log.want(started(true))
	})
}

// TestLookSoon: a look that is asked for often does not put off the check.
func TestLookSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, withID(knownID))
		k := r.start(func(s *setup) { s.Options.Look = false })
		synctest.Wait()
		for range 7 { // the host removes the key each time
			r.fs.WriteFile(configPath, []byte(hostConfig), os.FileMode(0o640))
			for range 66 {
				k.LookSoon()
				time.Sleep(time.Minute)
			}
			r.wantFile(configPath, withID(knownID))
		}
	})
}
