//go:build linux

package e2e_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rollcall-dev/rollcall/cmd/internal/test/lab"
	"github.com/rollcall-dev/rollcall/installid"
)

// doubted lets the host judge its disk.
func doubted(s *setup) { s.doubted = true }

const lineDoubted = "WARN Installation ID counts as in-memory (its disk may not last)*"

// wantDoubted starts a host, and checks that its ID counts as in-memory for a
// reason, and is stored all the same.
func (s *site) wantDoubted(reason string, change ...func(*setup)) installid.ID {
	s.t.Helper()
	h := s.host(append(change, doubted)...)
	r := h.start()
	if r.ID.IsZero() || r.Status.Persisted || !strings.Contains(r.Status.Reason, reason) {
		s.t.Errorf("got %+v, want it in memory: %s", r.Status, reason)
	}
	if h.logged(lineDoubted) != 1 || h.logged(lineStarted(false)) != 1 {
		s.t.Errorf("got log %q", h.lines())
	}
	h.exit()
	return r.ID
}

// TestD24ContainerReal runs containers one after the other. Without a mounted
// directory each has another ID, and says that this one will not last. With one
// all have the same, which counts as persisted at once.
func TestD24ContainerReal(t *testing.T) {
	t.Parallel()
	lab.Need(t, lab.Root)
	for _, isolate := range []bool{false, true} {
		t.Run(fmt.Sprintf("isolate=%v", isolate), func(t *testing.T) {
			t.Parallel()
			ids := make(map[installid.ID]bool)
			for range 2 {
				root := lab.Container(t)
				s := siteIn(t, filepath.Join(root, "srv", "config"), "")
				in := func(u *setup) { u.root, u.Isolate, u.ConfigPath = root, isolate, "/srv/config/config.json" }
				ids[s.wantDoubted("the container's own layer", in)] = true
			}
			if len(ids) != 2 {
				t.Errorf("got IDs %v, want two", ids)
			}

			var last installid.ID
			dir := t.TempDir()
			for range 2 {
				root := lab.Container(t)
				lab.BindDir(t, dir, filepath.Join(root, "config"))
				s := siteIn(t, filepath.Join(root, "config"), "")
				in := func(u *setup) { u.root, u.Isolate, u.ConfigPath = root, isolate, "/config/config.json" }
				h := s.host(in, doubted)
				r := h.start()
				if !r.Status.Persisted || !last.IsZero() && r.ID != last {
					t.Errorf("got %+v, want it persisted, with ID %v", r.Status, last)
				}
				if last = r.ID; h.logged(lineDoubted) != 0 {
					t.Errorf("got log %q", h.lines())
				}
				h.exit()
			}
		})
	}
}

// TestD24VolumeReal keeps an ID in memory and in a volume without a name. It
// stays the same and does not count as persisted.
func TestD24VolumeReal(t *testing.T) {
	t.Parallel()
	lab.Need(t, lab.Root)
	volume := filepath.Join(t.TempDir(), "volumes", strings.Repeat("0f", 32), "_data")
	must(t, os.MkdirAll(volume, 0o755))
	mounted := t.TempDir()
	lab.BindDir(t, volume, mounted)
	for reason, dir := range map[string]string{"memory (tmpfs)": lab.Tmpfs(t, ""), "": mounted} {
		s := siteIn(t, dir, plainConfig)
		first := s.wantDoubted(reason)
		if again := s.wantDoubted("mount a directory of the machine"); again != first {
			t.Errorf("%s: got ID %v after a restart, want %v", reason, again, first)
		}
		s.wantStored(first)
	}
}

// TestD23ReplacedReal has a config that is mounted as a single file, and then
// replaced where it is mounted from, as an editor does.
func TestD23ReplacedReal(t *testing.T) {
	t.Parallel()
	lab.Need(t, lab.Root)
	for name, config := range map[string]string{"with an ID": withID(plainConfig, knownID), "without": plainConfig} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, config)
			source := filepath.Join(t.TempDir(), "config.json")
			must(t, os.WriteFile(source, []byte(config), 0o644))
			lab.BindFileOn(t, source, s.config)
			must(t, os.WriteFile(source+".new", []byte("{}"), 0o644))
			must(t, os.Rename(source+".new", source))

			h := s.host(doubted)
			r := h.start()
			if r.Status.Persisted || !strings.Contains(r.Status.Reason, "replaced where it is mounted from") {
				t.Errorf("got %+v", r.Status)
			}
			if name == "with an ID" && r.ID.String() != knownID {
				t.Errorf("got ID %v", r.ID)
			}
			h.exit()
			s.wantUntouched()
			if data, err := os.ReadFile(source); string(data) != "{}" || err != nil {
				t.Errorf("the new file holds %q, %v", data, err)
			}

			// With a state directory the ID is persisted there.
			if name == "without" {
				state := t.TempDir()
				var last installid.ID
				for range 2 {
					h := s.host(func(s *setup) { s.StateDir = state })
					r := h.start()
					if !r.Status.Persisted || !last.IsZero() && r.ID != last {
						t.Errorf("with a state directory: got %+v", r.Status)
					}
					last = r.ID
					h.exit()
				}
			}
			s.wantConfig(config)
		})
	}
}

// TestD23StolenReal has a host in a container that mounts the config as a
// single file, and a service outside, which must not replace it: the host would
// go on saving to a file that nobody else sees.
func TestD23StolenReal(t *testing.T) {
	t.Parallel()
	lab.Need(t, lab.Root, lab.Tool("unshare"))
	for name, config := range map[string]string{"small": small, "large": large} {
		for _, namespace := range []string{"own", "another"} {
			t.Run(name+"/"+namespace, func(t *testing.T) {
				t.Parallel()
				s := newSite(t, config)
				inside := filepath.Join(t.TempDir(), "config.json")
				must(t, os.WriteFile(inside, nil, 0o644))
				save := func(text string) { must(t, os.WriteFile(inside, []byte(text), 0o644)) }
				if namespace == "own" {
					lab.BindFileOn(t, s.config, inside)
				} else {
					save = lab.InNamespace(t, s.config, inside)
				}
				before, err := os.Stat(s.config)
				must(t, err)
				r, st := s.startOnce()
				after, err := os.Stat(s.config)
				must(t, err)
				if !os.SameFile(before, after) {
					t.Error("another file is there now")
				}
				if !r.Status.Persisted || s.anchorNow() != r.ID.String() {
					t.Errorf("got %+v", r.Status)
				}
				if name == "small" {
					s.wantInPlace(r)
				} else if s.wantConfig(config); !strings.Contains(st.Reason, "tearing") {
					t.Errorf("got %+v", st)
				}
				save("{\"saved\": true}\n") // as the host does inside
				s.wantConfig("{\"saved\": true}\n")
			})
		}
	}
}
