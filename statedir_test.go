package rollcall_test

import (
	"path"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollcall-dev/rollcall"
	"github.com/rollcall-dev/rollcall/internal/test/faultfs"
)

func useApp(c *rollcall.Config) { c.ConfigPath, c.App = "", "my-app2" }

// TestStateFolder: where the ID of a host without a config is kept, by the environment.
func TestStateFolder(t *testing.T) {
	if runtime.GOOS == "windows" || runtime.GOOS == "darwin" {
		t.Skip("the folders of Linux")
	}
	const file = "/installation-id"
	tests := []struct {
		name                           string
		stateDir, stateDirs, xdg, home string
		want, wrong                    string
	}{
		{name: "StateDir", stateDir: "/a/b", stateDirs: "/x", xdg: "/y", home: "/h", want: "/a/b" + file},
		{name: "systemd", stateDirs: "/var/lib/app", xdg: "/y", home: "/h", want: "/var/lib/app" + file},
		{name: "systemd, several", stateDirs: "/var/lib/app:/var/lib/other", want: "/var/lib/app" + file},
		{name: "systemd, relative", stateDirs: "lib/app", xdg: "/y", home: "/h", wrong: "App: environment variable STATE_DIRECTORY: not an absolute path"},
		{name: "systemd, relative, several", stateDirs: "lib:/var/lib/app", home: "/h", wrong: "App: environment variable STATE_DIRECTORY: not an absolute path"},
		{name: "systemd, root", stateDirs: "/", home: "/h", wrong: "App: environment variable STATE_DIRECTORY: the root directory"},
		{name: "systemd, root in other words", stateDirs: "/var/..", home: "/h", wrong: "App: environment variable STATE_DIRECTORY: the root directory"},
		{name: "XDG", xdg: "/y/state", home: "/h", want: "/y/state/my-app2" + file},
		{name: "XDG, relative", xdg: "y/state", home: "/h", want: "/h/.local/state/my-app2" + file},
		{name: "XDG, root", xdg: "/", home: "/h", want: "/h/.local/state/my-app2" + file},
		{name: "home", home: "/home/me", want: "/home/me/.local/state/my-app2" + file},
		{name: "no home", wrong: "App: no directory for its state: "},
		{name: "home is relative", home: "me", wrong: "App: no directory for its state: not an absolute path"},
		{name: "home is the root", home: "/", wrong: "App: no directory for its state: the root directory"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv("STATE_DIRECTORY", tt.stateDirs)
			t.Setenv("XDG_STATE_HOME", tt.xdg)
			t.Setenv("HOME", tt.home)
			if tt.wrong != "" {
				config := rollcall.Config{StateDir: tt.stateDir}.On(faultfs.New())
				useApp(&config)
				if _, err := rollcall.New(config); err == nil || !strings.HasPrefix(err.Error(), "rollcall: Config."+tt.wrong) {
					t.Errorf("got error %v, want %q", err, tt.wrong)
				}
				return
			}
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, "")
				service := r.start(useApp, func(c *rollcall.Config) { c.StateDir = tt.stateDir })
				r.wantFile(tt.want, service.ID().String()+"\n")
				r.wantFiles(tt.want)
				if st := service.Status(); st.Place != "state file "+tt.want {
					t.Errorf("got place %q", st.Place)
				}
			})
		})
	}
}

// TestStateFile goes through the life of a state file.
func TestStateFile(t *testing.T) {
	const file = "/var/lib/app/installation-id"
	t.Setenv("STATE_DIRECTORY", path.Dir(file))
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "")
		service := r.start(useApp)
		id := service.ID().String()
		r.log.wantTimed(in(0, generated(service.ID())), in(0, persisted(1)), in(0, started(true)))
		if data, _ := r.fs.Crash(faultfs.LoseUnsynced).ReadFile(file); string(data) != id+"\n" {
			t.Errorf("got %q after a power cut", data)
		}
		r.stop(service)

		r.log.reset()
		r.fs.ResetLog()
		service = r.start(useApp)
		r.log.want(started(true))
		r.wantState(service, id, true)
		time.Sleep(3 * time.Hour)
		r.wantNoMutation()

		r.log.reset()
		r.fs.Delete(file)
		time.Sleep(66 * time.Minute)
		r.log.want("INFO Installation ID persisted to config attempt=*")
		r.wantFile(file, id+"\n")

		r.log.reset()
		r.fs.WriteFile(file, []byte(otherID+"\n"), 0o644)
		time.Sleep(66 * time.Minute)
		r.log.want(adopted(otherID))
		r.wantState(service, otherID, true)

		r.log.reset()
		r.fs.WriteFile(file, []byte("rubbish"), 0o644)
		time.Sleep(66 * time.Minute)
		r.log.want(replacing, "INFO Installation ID persisted to config attempt=*")
		r.wantFile(file, otherID+"\n")

		reset, err := service.Reset(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		r.wantFile(file, reset.String()+"\n")
		r.wantFiles(file)
	})
}

// TestStateFileFaults: the same rules hold as for a config.
func TestStateFileFaults(t *testing.T) {
	const file = "/var/lib/app/installation-id"
	t.Setenv("STATE_DIRECTORY", path.Dir(file))
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
					r.fs.WriteFile(file, []byte(knownID+"\n"), 0o644)
				}
				fault := r.fs.Inject(tt.rule)
				service := r.start(useApp)
				if d := time.Since(r.log.begin); d != tt.took {
					t.Errorf("Start took %v, want %v", d, tt.took)
				}
				r.wantState(service, service.ID().String(), false)
				if st := service.Status(); !strings.Contains(st.Reason, tt.says) {
					t.Errorf("got reason %q", st.Reason)
				}
				fault.Release()
				time.Sleep(2 * time.Hour)
				if tt.rule.Op == faultfs.OpRead {
					r.wantState(service, knownID, true)
				}
				r.wantFile(file, service.ID().String()+"\n")
				r.wantState(service, service.ID().String(), true)
			})
		})
	}
}
