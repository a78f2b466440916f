//go:build linux

package e2e_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tailscale/hujson"

	"github.com/rollcall-dev/rollcall"
	"github.com/rollcall-dev/rollcall/cmd/internal/test/lab"
	"github.com/rollcall-dev/rollcall/installid"
)

const (
	// plainConfig is a host's config with nothing of ours, a comment, and
	// odd spacing.
	plainConfig = "{\n\t// where to listen\n\t\"port\" : 8080,\n\t\"big\": 12345678901234567890,\n" +
		"\t\"telemetry\": {\"enabled\": false}\n}\n"

	knownID = "0b9d6f1e-7a3c-4d52-9c41-5f6e7d8c9b0a"
	otherID = "7c1f0e2d-3b4a-4c5d-8e9f-a0b1c2d3e4f5"

	nobody = 65534
)

// withID returns plainConfig with an ID where the service puts it.
func withID(config, id string) string {
	return strings.Replace(config, `"enabled": false`, `"enabled": false, "installation_id": "`+id+`"`, 1)
}

// A site is the directory of an installation, with the processes that use
// it.
type site struct {
	t      *testing.T
	config string // as the processes see it
	anchor string
	dir    string        // where the files meet no faults
	faults *lab.FaultDir // nil without faults
	before string        // the config before
	others []string      // other names that belong in the directory

	processes []<-chan struct{}
}

// newSite returns a site with a config, or without one if it is "", in a
// directory that every user can enter.
func newSite(t *testing.T, config string) *site {
	t.Helper()
	dir := t.TempDir()
	for at := dir; filepath.Dir(at) != filepath.Clean(os.TempDir()) && at != "/"; at = filepath.Dir(at) {
		must(t, os.Chmod(at, 0o755))
	}
	must(t, os.Chmod(filepath.Dir(dir), 0o755))
	return siteIn(t, dir, config)
}

// newFaultSite returns a site of which every operation can be made to
// hang, wait or fail.
func newFaultSite(t *testing.T, config string, options ...lab.Option) *site {
	t.Helper()
	s := &site{t: t}
	t.Cleanup(s.awaitProcesses) // when everything is gone that they could hang on
	s.faults = lab.FUSE(t, options...)
	s.settle(s.faults.Path, s.faults.Backing, config)
	return s
}

// siteIn returns a site in an existing directory.
func siteIn(t *testing.T, dir, config string) *site {
	t.Helper()
	s := &site{t: t}
	t.Cleanup(s.awaitProcesses)
	s.settle(dir, dir, config)
	return s
}

func (s *site) settle(path, dir, config string) {
	s.t.Helper()
	s.config = filepath.Join(path, "config.json")
	s.anchor = filepath.Join(path, ".config.json.installation-id")
	s.dir, s.before = dir, config
	if config != "" {
		s.write("config.json", config)
	}
}

func (s *site) awaitProcesses() {
	for _, exited := range s.processes {
		select {
		case <-exited:
		case <-time.After(patience):
			s.t.Error("a process did not exit, although nothing hangs")
			return
		}
	}
}

func (s *site) write(name, content string) {
	s.t.Helper()
	must(s.t, os.WriteFile(filepath.Join(s.dir, name), []byte(content), 0o644))
}

// read returns the content of a file of the site, "" if it does not
// exist.
func (s *site) read(name string) string {
	s.t.Helper()
	data, err := os.ReadFile(filepath.Join(s.dir, name))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.t.Fatal(err)
	}
	return string(data)
}

func (s *site) configNow() string { s.t.Helper(); return s.read("config.json") }

func (s *site) anchorNow() string {
	s.t.Helper()
	return strings.TrimSpace(s.read(filepath.Base(s.anchor)))
}

// idNow returns the ID in the config, "" if it has none.
func (s *site) idNow() string { s.t.Helper(); return idIn(s.t, s.configNow()) }

// idIn returns the ID in a config, which has to be valid unless it is
// empty because there is no file.
func idIn(t testing.TB, config string) string {
	t.Helper()
	if config == "" {
		return ""
	}
	var parsed struct {
		Telemetry struct {
			ID string `json:"installation_id"`
		} `json:"telemetry"`
	}
	if err := unmarshal([]byte(config), &parsed); err != nil {
		t.Errorf("the config is not valid any more: %v\n%s", err, config)
	}
	return parsed.Telemetry.ID
}

// unmarshal decodes JSON with comments and trailing commas. Its parser is
// not the product's.
func unmarshal(data []byte, to any) error {
	std, err := hujson.Standardize(bytes.Clone(data))
	if err != nil {
		return err
	}
	return json.Unmarshal(std, to)
}

// wantConfig checks the config to the byte.
func (s *site) wantConfig(want string) {
	s.t.Helper()
	if got := s.configNow(); got != want {
		s.t.Errorf("got config\n%s\nwant\n%s", got, want)
	}
}

// wantUntouched checks that the directory holds the unchanged config and
// nothing else.
func (s *site) wantUntouched() {
	s.t.Helper()
	s.wantConfig(s.before)
	for _, name := range s.names() {
		if name != "config.json" && !slices.Contains(s.others, name) {
			s.t.Errorf("left behind: %s", name)
		}
	}
}

// wantStored checks that the ID is in the anchor and in the config, which
// is otherwise unchanged.
func (s *site) wantStored(id installid.ID) {
	s.t.Helper()
	switch {
	case s.before != "":
		s.wantConfig(withID(s.before, id.String()))
	case s.idNow() != id.String():
		s.t.Errorf("got ID %q in the config, want %q", s.idNow(), id)
	}
	if got := s.anchorNow(); got != id.String() {
		s.t.Errorf("got ID %q in the anchor, want %q", got, id)
	}
}

// wantWhole checks that the config is unchanged but for an ID.
func (s *site) wantWhole() {
	s.t.Helper()
	now := s.configNow()
	id := idIn(s.t, now)
	if now == s.before || id != "" && (now == withID(s.before, id) || s.before == "" && isFresh(now, id)) {
		return
	}
	s.t.Errorf("got config\n%s\nwant\n%s\nbut for the ID", now, s.before)
}

// isFresh reports whether the service created the config.
func isFresh(config, id string) bool {
	return config == "{\n  \"telemetry\": {\n    \"enabled\": false,\n    \"installation_id\": \""+id+"\"\n  }\n}\n"
}

// names returns the names in the directory, none if it does not exist.
func (s *site) names() (names []string) {
	s.t.Helper()
	entries, err := os.ReadDir(s.dir)
	if !errors.Is(err, fs.ErrNotExist) {
		must(s.t, err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

var tempName = regexp.MustCompile(`^\.([a-z]+\.json|\.[a-z]+\.json\.(?:installation-id|retired-ids|telemetry-denied))\.rollcall-([0-9]+)-[A-Z2-7]{8}\.tmp$`)

// temps returns the temporary files in the directory. Any other file that
// does not belong there is an error.
func (s *site) temps() (temps []string) {
	s.t.Helper()
	for _, name := range s.names() {
		switch {
		case tempName.MatchString(name):
			temps = append(temps, name)
		case name != "config.json" && name != filepath.Base(s.anchor) && !slices.Contains(withdrawalNames, name) && !slices.Contains(s.others, name):
			s.t.Errorf("left behind: %s", name)
		}
	}
	return temps
}

// withdrawalNames are the files of what the operator withdrew.
var withdrawalNames = []string{".config.json.retired-ids", ".config.json.telemetry-denied"}

func (s *site) wantNoTemps() {
	s.t.Helper()
	if temps := s.temps(); len(temps) > 0 {
		s.t.Errorf("left behind: %q", temps)
	}
}

// quiet waits until no operation has come for a while and none is in
// flight.
func (s *site) quiet() {
	s.t.Helper()
	last, since := -1, time.Now()
	eventually(s.t, "the file system is quiet", func() bool {
		s.t.Helper()
		calls := s.faults.Calls()
		for _, c := range calls {
			if !c.Done {
				last = -1
				return false
			}
		}
		if len(calls) != last {
			last, since = len(calls), time.Now()
		}
		return time.Since(since) > 200*time.Millisecond
	})
}

// restart starts a service on the site in this process, so the disk must
// not hang. It checks that the ID is persisted in all its places, and
// returns it.
func (s *site) restart() installid.ID {
	s.t.Helper()
	service, err := rollcall.New(rollcall.Config{ConfigPath: s.config})
	must(s.t, err)
	must(s.t, service.Start(s.t.Context()))
	eventually(s.t, "the ID is persisted in all places", func() bool {
		st := service.Status()
		return st.Persisted && !st.Incomplete && !st.NextTry.IsZero()
	})
	must(s.t, service.Stop(s.t.Context()))
	return service.ID()
}

// wantAgrees checks that a start from now on uses the ID that is stored,
// or in use and called persisted.
func (s *site) wantAgrees(st installid.Status) {
	s.t.Helper()
	stored := s.idNow()
	if stored == "" {
		stored = s.anchorNow()
	}
	id := s.restart()
	if stored != "" && id.String() != stored {
		s.t.Errorf("got ID %q after a restart, want %q, which was stored", id, stored)
	}
	if st.Persisted && id != st.ID {
		s.t.Errorf("got ID %q after a restart, want %q, which was called persisted", id, st.ID)
	}
	s.wantStored(id)
}
