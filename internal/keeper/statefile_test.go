package keeper_test

import (
	"path"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollcall-dev/rollcall/internal/idstore"
	"github.com/rollcall-dev/rollcall/internal/test/faultfs"
)

const stateFile = "/var/lib/app/installation-id"

func inStateFile(s *setup) {
	s.Location, s.InStateFile = idstore.Location{StateFile: stateFile}, true
}

// persistedToFile is persisted for a state file.
func persistedToFile(attempt string) string {
	return "INFO Installation ID persisted to state file attempt=" + attempt
}

// TestStateFile runs keepers on a state file through its life.
func TestStateFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "")
		k := r.start(inStateFile)
		id := k.ID().String()
		r.log.wantTimed(in(0, generated(k.ID())), in(0, persistedToFile("1")), in(0, started(true)))
		if data, _ := r.fs.Crash(faultfs.LoseUnsynced).ReadFile(stateFile); string(data) != id+"\n" {
			t.Errorf("got %q after a power cut", data)
		}
		r.stop(k)

		r.log.reset()
		r.fs.ResetLog()
		k = r.start(inStateFile)
		r.log.want(started(true))
		r.wantState(k, id, true)
		time.Sleep(3 * time.Hour)
		r.wantNoMutation()

		r.log.reset()
		r.fs.Delete(stateFile)
		time.Sleep(66 * time.Minute)
		r.log.want(persistedToFile("1"))
		r.wantFile(stateFile, id+"\n")

		r.log.reset()
		r.fs.WriteFile(stateFile, []byte(otherID+"\n"), 0o644)
		time.Sleep(66 * time.Minute)
		r.log.want(adopted(otherID))
		r.wantState(k, otherID, true)

		r.log.reset()
		r.fs.WriteFile(stateFile, []byte("rubbish"), 0o644)
		time.Sleep(66 * time.Minute)
		r.log.want(replacing, persistedToFile("1"))
		r.wantFile(stateFile, otherID+"\n")

		reset, err := k.Reset(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		r.wantFile(stateFile, reset.String()+"\n")
		r.wantFiles(stateFile, path.Join(path.Dir(stateFile), "retired-ids"))
	})
}

// TestStateFileFaults: the same rules hold as for a config.
func TestStateFileFaults(t *testing.T) {
	tests := []struct {
		name string
		rule faultfs.Rule
		took time.Duration
		says string
	}{
		{"read hangs", faultfs.Rule{Op: faultfs.OpOpen, Hang: true}, 18 * time.Second, "timed out"},
		{"sync hangs", faultfs.Rule{Op: faultfs.OpSync, Hang: true}, 18 * time.Second, "timed out"},
		{"disk full", faultfs.Rule{Op: faultfs.OpWrite, Err: syscall.ENOSPC}, 3 * time.Second, "no space left"},
		{"read-only", faultfs.Rule{Op: faultfs.OpMkdir, Err: syscall.EROFS}, 0, "read-only file system"},
		{"unreadable", faultfs.Rule{Op: faultfs.OpRead, Err: syscall.EIO}, 3 * time.Second, "input/output error"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, "")
				if tt.rule.Op == faultfs.OpRead {
					r.fs.WriteFile(stateFile, []byte(knownID+"\n"), 0o644)
				}
				fault := r.fs.Inject(tt.rule)
				k := r.start(inStateFile)
				if d := time.Since(r.log.begin); d != tt.took {
					t.Errorf("Start took %v, want %v", d, tt.took)
				}
				r.wantState(k, k.ID().String(), false)
				synctest.Wait()
				for _, line := range r.log.lines {
					if strings.Contains(line.text, "onfig") {
						t.Errorf("the log names a config: %s", line.text)
					}
				}
				if st := k.Status(); !strings.Contains(st.Reason, tt.says) {
					t.Errorf("got reason %q", st.Reason)
				}
				fault.Release()
				time.Sleep(2 * time.Hour)
				if tt.rule.Op == faultfs.OpRead {
					r.wantState(k, knownID, true)
				}
				r.wantFile(stateFile, k.ID().String()+"\n")
				r.wantState(k, k.ID().String(), true)
			})
		})
	}
}
