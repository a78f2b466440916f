package configfile_test

import (
	"syscall"
	"testing"

	"github.com/rollcall-dev/rollcall/internal/jsonedit"
	"github.com/rollcall-dev/rollcall/internal/test/faultfs"
)

// TestUnsynced checks that what could not be synced is unsynced, and nothing
// else.
func TestUnsynced(t *testing.T) {
	bubble(t, func(t *testing.T, disk *faultfs.FS) {
		f := open(t, disk)
		a := anchorOf(t, f)
		ours, others := jsonedit.Value{Kind: jsonedit.String, Text: id}, jsonedit.Value{Kind: jsonedit.String, Text: otherID}
		require := func(when string, want bool) {
			t.Helper()
			if f.Unsynced(key, ours) != want || a.Unsynced(id) != want {
				t.Errorf("%s: got %v, %v, want %v", when, f.Unsynced(key, ours), a.Unsynced(id), want)
			}
			if f.Unsynced(key, others) || f.Unsynced(jsonedit.Key{"a"}, ours) || f.Unsynced(key, jsonedit.Value{}) {
				t.Errorf("%s: others are not trusted", when)
			}
			if a.Unsynced(otherID) || a.Unsynced("") {
				t.Errorf("%s: other anchors are not trusted", when)
			}
		}
		require("at first", false)
		fault := disk.Inject(faultfs.Rule{Op: faultfs.OpSyncDir, Name: "app", Err: syscall.EIO})
		set(t.Context(), f, id)
		a.Publish(t.Context(), id)
		require("after a sync that failed", true)
		fault.Remove()
		set(t.Context(), f, id)
		a.Publish(t.Context(), id)
		require("after the next one", false)
	})
}

// TestUnsyncedIsOneValue keeps the value that the operator has written after a
// save failed.
func TestUnsyncedIsOneValue(t *testing.T) {
	bubble(t, func(t *testing.T, disk *faultfs.FS) {
		f := open(t, disk)
		fault := disk.Inject(faultfs.Rule{Op: faultfs.OpSyncDir, Err: syscall.EIO})
		if _, err := set(t.Context(), f, id); err == nil {
			t.Error("no error")
		}
		fault.Remove()
		disk.WriteFile(configPath, []byte(withID(config, otherID)), 0o444)
		now, wrote, err := f.Set(t.Context(), key, id, keepID)
		if now.Text != otherID || wrote || err != nil {
			t.Errorf("got %v, %v, %v", now, wrote, err)
		}
	})
}
