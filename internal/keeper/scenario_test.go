package keeper_test

import (
	"io/fs"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollcall-dev/rollcall/internal/jsonedit"
	"github.com/rollcall-dev/rollcall/internal/test/faultfs"
)

// The five scenarios of the original, with its log lines.

func TestNormalStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, hostConfig)
		k := r.start()
		r.log.wantTimed(in(0, generated(k.ID())), in(0, persisted(1)), in(0, started(true)))
		r.wantFile(configPath, withID(k.ID().String()))
		r.wantFiles(anchorPath, configPath)
		r.wantPersisted(k, k.ID().String())
	})
}

func TestSlowDisk(t *testing.T) {
	slow := func(op faultfs.Op, times int) faultfs.Rule {
		return faultfs.Rule{Op: op, Delay: 7 * time.Second, Times: times}
	}
	tests := []struct {
		name string
		rule faultfs.Rule
		want []string // between the first line and the last
		end  time.Duration
	}{
		{"one sync", slow(faultfs.OpSync, 1), []string{
			in(5*time.Second, timedOut(1)), in(7*time.Second, persisted(2)),
		}, 7 * time.Second},
		{"two syncs", slow(faultfs.OpSync, 2), []string{
			in(5*time.Second, timedOut(1)), in(11*time.Second, timedOut(2)), in(14*time.Second, persisted(3)),
		}, 14 * time.Second},
		{"the commit itself, completed late", slow(faultfs.OpExchange, 1), []string{
			in(5*time.Second, timedOut(1)), in(7*time.Second, persisted(2)),
		}, 7 * time.Second},
		{"the sync of the directory", slow(faultfs.OpSyncDir, 1), []string{
			in(5*time.Second, timedOut(1)), in(7*time.Second, persisted(2)),
		}, 7 * time.Second},
		{"the release of the lock", slow(faultfs.OpUnlock, 1), []string{
			in(5*time.Second, timedOut(1)), in(7*time.Second, persisted(2)),
		}, 7 * time.Second},
		{"but inside the limit", faultfs.Rule{Op: faultfs.OpSync, Delay: 2 * time.Second}, []string{
			in(4*time.Second, persisted(1)),
		}, 4 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, hostConfig)
				r.fs.Inject(tt.rule)
				k := r.start()
				want := append([]string{in(0, generated(k.ID()))}, tt.want...)
				r.log.wantTimed(append(want, in(tt.end, started(true)))...)
				r.wantPersisted(k, k.ID().String())
				r.wantFile(configPath, withID(k.ID().String()))
				if st := k.Status(); st.LastError != "" || st.Reason != "" || st.Incomplete {
					t.Errorf("got %+v after success", st)
				}
			})
		})
	}
}

func TestReadOnly(t *testing.T) {
	tests := []struct {
		name   string
		config string
		set    func(*faultfs.FS)
		says   string
	}{
		{"mode 0444", hostConfig, func(fs *faultfs.FS) { fs.Chmod(configPath, 0o444) }, "mode 0444"},
		{"mode 0444, not root", hostConfig, func(fs *faultfs.FS) {
			fs.Chmod(configPath, 0o444)
			fs.Chown(configPath, 1000, 1000)
			fs.SetUser(1000, 1000)
		}, "mode 0444"},
		{"file system", hostConfig, func(fs *faultfs.FS) { fs.MarkReadOnly("/") }, "read-only file system"},
		{"file system, no config", "", func(fs *faultfs.FS) {
			fs.MkdirAll("/srv/app", 0o755)
			fs.MarkReadOnly("/")
		}, "read-only file system"},
		{"mount", hostConfig, func(fs *faultfs.FS) { fs.MarkReadOnly("/srv") }, "read-only file system"},
		{"immutable", hostConfig, func(fs *faultfs.FS) { fs.MarkImmutable(configPath) }, "operation not permitted"},
		{"no permission on the file", hostConfig, func(fs *faultfs.FS) { fs.SetUser(1000, 1000, 0) }, "permission denied"},
		{"no permission to read", hostConfig, func(fs *faultfs.FS) { fs.SetUser(1000, 1000) }, "permission denied"},
		{"no permission on the directory, no config", "", func(fs *faultfs.FS) {
			fs.MkdirAll("/srv/app", 0o755)
			fs.SetUser(1000, 1000)
		}, "permission denied"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, tt.config)
				tt.set(r.fs)
				before := r.fs.Files()
				k := r.start()
				why := "*" + tt.says + "*"
				lines := []string{
					in(0, generated(k.ID())),
					in(0, failed(why, 1)),
					in(0, inMemory(k.ID(), why)),
					in(0, started(false)),
				}
				if strings.Contains(tt.name, "to read") {
					lines[0], lines[1] = lines[1], lines[0]
				}
				r.log.wantTimed(lines...)
				r.wantState(k, k.ID().String(), false)
				if st := k.Status(); !strings.Contains(st.Reason, tt.says) || st.Attempts != 1 {
					t.Errorf("got reason %q after %d attempts", st.Reason, st.Attempts)
				}
				r.wantFiles(before...)
				if tt.config != "" {
					r.wantFile(configPath, tt.config)
				}
			})
		})
	}
}

func TestMissingDirectory(t *testing.T) {
	tests := []struct {
		umask, file, dir fs.FileMode
	}{
		{0o022, 0o644, 0o755},
		{0o027, 0o640, 0o750},
		{0o077, 0o600, 0o700},
	}
	for _, tt := range tests {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, "")
			r.fs.SetUmask(tt.umask)
			k := r.start()
			id := k.ID().String()
			r.log.wantTimed(in(0, generated(k.ID())), in(0, persisted(1)), in(0, started(true)))
			r.wantFile(configPath, "{\n  \"telemetry\": {\n    \"enabled\": false,\n    \"installation_id\": \""+id+"\"\n  }\n}\n")
			r.wantFiles(anchorPath, configPath)
			r.wantPersisted(k, id)
			for name, want := range map[string]fs.FileMode{
				configPath: tt.file, anchorPath: tt.file, "/srv": fs.ModeDir | tt.dir, "/srv/app": fs.ModeDir | tt.dir,
			} {
				if a, err := r.fs.Attributes(name); err != nil || a.Mode != want {
					t.Errorf("%s: got mode %v, %v, want %v", name, a.Mode, err, want)
				}
			}
			if got, want := k.Status().Enabled, (jsonedit.Value{Kind: jsonedit.Bool, Text: "false"}); got != want {
				t.Errorf("got consent key %v in the new config, want %v", got, want)
			}
		})
	}
}

func TestRestart(t *testing.T) {
	for name, anchor := range map[string]string{"with anchor": knownID + "\n", "without": ""} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, withID(knownID))
				if anchor != "" {
					r.fs.WriteFile(anchorPath, []byte(anchor), 0o640)
				}
				k := r.start()
				r.log.wantTimed(in(0, started(true)))
				r.wantState(k, knownID, true)
				if st := k.Status(); st.Unread || st.Provisional || !st.Settled || st.Reason != "" || st.LastError != "" {
					t.Errorf("got %+v", st)
				}
				synctest.Wait() // for the background
				r.wantNoMutation()
				r.wantFile(configPath, withID(knownID))
			})
		})
	}
}
