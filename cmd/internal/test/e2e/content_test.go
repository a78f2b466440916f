//go:build linux

package e2e_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/test/lab"
	"github.com/rollcall-dev/rollcall/installid"
)

const lineReplacing = "WARN Stored installation ID is not valid, replacing it"

// hurried shortens the waits between attempts.
func hurried(s *setup) { s.Backoff = 20 * time.Millisecond }

// TestC03EmptyReal has configs that are and stay empty or cut off. They
// are never written. If the config is empty, the anchor holds the ID; if
// it is cut off, it may have an ID, so the new one stays in memory.
func TestC03EmptyReal(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, config string
		anchored     bool
	}{
		{"empty", "", true},
		{"white space", " \n\t\r\n", true},
		{"byte order mark", "\ufeff", true},
		{"cut off", strings.TrimSuffix(plainConfig, "}\n}\n"), false},
		{"cut off in a string", `{"telemetry": {"installation_id": "0b9d`, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, "")
			s.write("config.json", tt.config)
			h := s.host(hurried)
			r := h.start()
			h.await("it is at rest", atRest)
			if r.ID.IsZero() || r.Status.Persisted != tt.anchored {
				t.Errorf("got %+v", r.Status)
			}
			s.wantConfig(tt.config)
			s.wantNoTemps()
			if want := map[bool]string{true: r.ID.String()}[tt.anchored]; s.anchorNow() != want {
				t.Errorf("got anchor %q, want %q", s.anchorNow(), want)
			}
			h.exit()

			again := s.host(hurried)
			if next := again.start(); tt.anchored && next.ID != r.ID {
				t.Errorf("got ID %s after a restart, want %s", next.ID, r.ID)
			}
			again.exit()
		})
	}
}

// TestC03ForAMomentReal has a config that another program is writing just
// now. What it writes stands, and gets the ID.
func TestC03ForAMomentReal(t *testing.T) {
	t.Parallel()
	for _, beginning := range []string{"", plainConfig[:len(plainConfig)/2]} {
		s := newSite(t, "")
		s.write("config.json", beginning)
		h := s.host(func(s *setup) { s.Attempts, s.Backoff = 100, 10*time.Millisecond })
		h.send(doStart)
		time.Sleep(30 * time.Millisecond)
		file, err := os.OpenFile(s.config, os.O_WRONLY|os.O_APPEND, 0)
		must(t, err)
		_, err = file.WriteString(plainConfig[len(beginning):])
		must(t, err)
		must(t, file.Close())
		s.before = plainConfig
		r := h.receive()
		h.awaitPersisted()
		h.exit()
		s.wantStored(r.ID)
		s.wantNoTemps()
	}
}

// TestC04NotAnObjectReal has configs without a place for the key. They
// are never written.
func TestC04NotAnObjectReal(t *testing.T) {
	t.Parallel()
	for _, config := range []string{
		"[1, 2]\n", "null\n", "\"text\"", "17", `{"telemetry": true}`, `{"telemetry": ["installation_id"]}`,
	} {
		t.Run(config, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, config)
			h := s.host(unhurried)
			r := h.start()
			if r.ID.IsZero() || r.Status.Persisted || r.Status.Attempts != 1 || r.Took > noWait {
				t.Errorf("got %+v after %v", r.Status, r.Took)
			}
			h.exit()
			h.wantLog(lineGenerated, lineFailed("not an object", 1), lineInMemory("not an object"), lineStarted(false))
			s.wantUntouched()
		})
	}
}

// TestC11NothingReal has null, which is absence, and plain denials in place of
// the section, beside which the anchor alone holds the ID. Neither is worth a
// warning.
func TestC11NothingReal(t *testing.T) {
	t.Parallel()
	for config, copied := range map[string]bool{
		`{"telemetry": {"installation_id": null}}`: true,
		`{"telemetry": null}`:                      true,
		`{"telemetry": false}`:                     false,
		`{"telemetry": "off"}`:                     false,
	} {
		for _, isolate := range []bool{false, true} {
			t.Run(config, func(t *testing.T) {
				t.Parallel()
				s := newSite(t, config)
				h := s.host(func(s *setup) { s.Isolate = isolate })
				r := h.start()
				h.exit()
				lines := []string{lineGenerated, linePersisted(1), lineStarted(true)}
				if want := strings.ReplaceAll(`{"telemetry": {"installation_id": "ID"}}`, "ID", r.ID.String()); copied {
					if got := s.read("config.json"); got != want {
						t.Errorf("got config %s, want %s", got, want)
					}
				} else {
					lines = slices.Delete(lines, 1, 2)
					if got := s.read("config.json"); got != config {
						t.Errorf("got config %s, want %s", got, config)
					}
					if !strings.Contains(r.Status.Reason, "turns telemetry off") {
						t.Errorf("got reason %q", r.Status.Reason)
					}
				}
				h.wantLog(lines...)
				again := s.host(func(s *setup) { s.Isolate = isolate })
				if next := again.start(); next.ID != r.ID || !next.Status.Persisted {
					t.Errorf("got %+v after a restart, want ID %s", next.Status, r.ID)
				}
				again.exit()
				again.wantLog(lineStarted(true))
			})
		}
	}
}

// TestC12PaddedReal has an ID with white space or a byte order mark around it:
// it is that ID, and stays as it is written.
func TestC12PaddedReal(t *testing.T) {
	t.Parallel()
	for _, padding := range [][2]string{{" ", ""}, {"", "\r\n"}, {"\ufeff", "\n"}} {
		padded := padding[0] + knownID + padding[1]
		quoted, err := json.Marshal(padded)
		must(t, err)
		config := strings.Replace(withID(plainConfig, "X"), `"X"`, string(quoted), 1)
		s := newSite(t, config)
		h := s.host()
		r := h.start()
		h.exit()
		h.wantLog(lineStarted(true))
		if got := s.read("config.json"); r.ID.String() != knownID || got != config {
			t.Errorf("got ID %s and config %s", r.ID, got)
		}

		s = newSite(t, plainConfig)
		s.write(filepath.Base(s.anchor), padded)
		h = s.host()
		r = h.start()
		h.exit()
		if got := s.read(filepath.Base(s.anchor)); r.ID.String() != knownID || got != padded {
			t.Errorf("got ID %s and anchor %q", r.ID, got)
		}
	}
}

// TestC07NotAnIDReal has something else in the place of the ID. It is
// replaced once, and the log does not repeat it.
func TestC07NotAnIDReal(t *testing.T) {
	t.Parallel()
	values := map[string]string{
		"empty":      `""`,
		"blank":      `"  "`,
		"not a UUID": `"sekret"`,
		"nil UUID":   `"00000000-0000-0000-0000-000000000000"`,
		"all ones":   `"ffffffff-ffff-ffff-ffff-ffffffffffff"`,
		"number":     `12345`,
		"object":     `{"sekret": [1]}`,
		"one MB":     `"` + strings.Repeat("sekret", 1<<20/6) + `"`,
	}
	for name, value := range values {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, strings.Replace(withID(plainConfig, "X"), `"X"`, value, 1))
			first := s.host(func(s *setup) { s.AttemptTimeout, s.StartTimeout = patience, patience })
			r := first.start()
			first.awaitPersisted()
			first.exit()
			s.before = plainConfig
			s.wantStored(r.ID)
			s.wantNoTemps()

			h := s.host()
			if next := h.start(); next.ID != r.ID {
				t.Errorf("got ID %s after a restart, want %s", next.ID, r.ID)
			}
			h.exit()
			h.wantLog(lineStarted(true))
		})
	}
	s := newSite(t, withID(plainConfig, "sekret"))
	h := s.host()
	h.start()
	h.exit()
	h.wantLog(lineReplacing, lineGenerated, linePersisted(1), lineStarted(true))
}

// TestD16ConfirmedReal: an ID that is found is synced after the start,
// without writing anything. The process that stored it may have been
// killed before it could sync.
func TestD16ConfirmedReal(t *testing.T) {
	t.Parallel()
	for _, isolate := range []bool{false, true} {
		s := newFaultSite(t, withID(plainConfig, knownID))
		s.write(filepath.Base(s.anchor), knownID+"\n")
		s.faults.ClearCalls()
		h := s.host(func(s *setup) { s.Isolate = isolate })
		h.start()
		h.await("it is at rest", atRest)
		h.exit()
		synced := map[string]int{}
		for _, c := range s.faults.Calls() {
			if c.Op == lab.Fsync || c.Op == lab.FsyncDir {
				synced[c.Name]++
			}
		}
		for _, name := range []string{"/config.json", "/" + filepath.Base(s.anchor), "/"} {
			if synced[name] == 0 {
				t.Errorf("%s was not synced, but %v", name, synced)
			}
		}
		for _, c := range s.faults.Changes() {
			t.Errorf("changed something: %v", c)
		}
	}
}

// TestResetKilledReal: a reset was killed when the config had the new ID
// and the anchor still had the old one.
func TestResetKilledReal(t *testing.T) {
	t.Parallel()
	s := newSite(t, withID(plainConfig, knownID))
	s.write(filepath.Base(s.anchor), otherID+"\n")
	h := s.host()
	h.start()
	h.await("the anchor follows", func(st installid.Status) bool { return s.anchorNow() == knownID && atRest(st) })
	h.exit()
	h.wantLog(lineStarted(true))
	s.wantConfig(s.before)
	s.wantNoTemps()
}

// TestConfigKeptOpenReal has a host that keeps its config open for
// writing. The start returns before its three attempts are over, because
// the anchor holds the ID.
func TestConfigKeptOpenReal(t *testing.T) {
	t.Parallel()
	s := newSite(t, plainConfig)
	file, err := os.OpenFile(s.config, os.O_RDWR, 0)
	must(t, err)
	defer file.Close()
	h := s.host(func(s *setup) { s.Backoff = 10 * time.Second }) // time for a busy host to report its start
	r := h.start()
	if !r.Status.Persisted || !r.Status.Incomplete || r.Status.Attempts != 1 {
		t.Errorf("got %+v", r.Status)
	}
	s.wantConfig(plainConfig)
	if s.anchorNow() != r.ID.String() {
		t.Errorf("got anchor %q, want %q", s.anchorNow(), r.ID)
	}
	must(t, file.Close())
	h.awaitPersisted()
	h.exit()
	s.wantStored(r.ID)
	s.wantNoTemps()
}
