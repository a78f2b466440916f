package rollcall_test

import (
	"bytes"
	"os"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollcall-dev/rollcall"
	"github.com/rollcall-dev/rollcall/internal/test/faultfs"
)

// TestIDFromEnvironment is C10: nothing is read, and nothing from the
// environment reaches the disk.
func TestIDFromEnvironment(t *testing.T) {
	for _, variable := range []string{"", "MYAPP_ID"} {
		for _, config := range []string{"", hostConfig, withID(otherID)} {
			t.Run(variable, func(t *testing.T) {
				if variable == "" {
					t.Setenv(rollcall.DefaultIDVariable, "\ufeff"+strings.ToUpper(knownID)+"\r\n") // as in a secret
				} else {
					t.Setenv(variable, knownID)
				}
				synctest.Test(t, func(t *testing.T) {
					r := newRig(t, config)
					named := func(c *rollcall.Config) { c.ID.Variable = variable }
					service := r.start(named)
					r.log.want(started(true))
					r.wantState(service, knownID, true)
					time.Sleep(7 * 24 * time.Hour)
					if _, err := service.Reset(t.Context()); err == nil || !strings.Contains(err.Error(), "environment variable") {
						t.Errorf("Reset: got error %v", err)
					}
					r.wantState(service, knownID, true)
					r.wantNoMutation()
					for _, name := range r.fs.Files() {
						if data, _ := r.fs.ReadFile(name); bytes.Contains(bytes.ToLower(data), []byte(knownID)) {
							t.Errorf("%s holds the ID from the environment", name)
						}
					}
				})
			})
		}
	}
}

// TestEmptyVariable: an empty variable counts as unset.
func TestEmptyVariable(t *testing.T) {
	t.Setenv(rollcall.DefaultIDVariable, "")
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, withID(otherID))
		r.wantState(r.start(), otherID, true)
	})
}

// TestEnvironmentStaysOut sets every variable that is read, and checks
// everything that is written.
func TestEnvironmentStaysOut(t *testing.T) {
	const mark = "from-the-environment"
	for _, name := range []string{"DO_NOT_TRACK", "ROLLCALL_TELEMETRY", "HOME", "XDG_STATE_HOME", "STATE_DIRECTORY", "USER", "HOSTNAME"} {
		t.Setenv(name, "/"+mark)
	}
	t.Setenv(rollcall.DefaultIDVariable, "")
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "")
		r.start()
		time.Sleep(3 * time.Hour)
		for _, name := range r.fs.Files() {
			if data := r.read(name); strings.Contains(data, mark) || strings.Contains(name, mark) {
				t.Errorf("%s: %s", name, data)
			}
		}
	})
	if os.Getenv("HOME") != "/"+mark {
		t.Error("the environment was changed")
	}
}

func useApp(c *rollcall.Config) { c.ConfigPath, c.App = "", "my-app2" }

// TestStateDirectory: the environment decides where the ID of a host without a
// config is kept.
func TestStateDirectory(t *testing.T) {
	if runtime.GOOS == "windows" || runtime.GOOS == "darwin" {
		t.Skip("the directories of Linux")
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
