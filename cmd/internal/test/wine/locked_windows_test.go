package wine

import (
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/windows"
)

// hold opens a file as a host does that keeps it open, and returns the function
// that closes it.
func hold(t *testing.T, name string, access, share uint32) (release func()) {
	t.Helper()
	path, err := windows.UTF16PtrFromString(name)
	must(t, err)
	file, err := windows.CreateFile(path, access, share, nil, windows.OPEN_EXISTING, windows.FILE_ATTRIBUTE_NORMAL, 0)
	must(t, err)
	return func() { must(t, windows.CloseHandle(file)) }
}

// TestLocked is a host that keeps its config open and shares it with nobody:
// the start is bounded, an ID in memory serves, and it is persisted once the
// host lets go.
func TestLocked(t *testing.T) {
	t.Parallel()
	s := newSite(t, hostConfig)
	release := hold(t, s.config, windows.GENERIC_READ|windows.GENERIC_WRITE, 0)
	begin := time.Now()
	a := s.agent("--backoff", "100ms")
	a.wait("Telemetry service started")
	a.wait("has_persistent_id=false")
	if took := time.Since(begin); took > 20*time.Second {
		t.Errorf("the start took %v", took)
	}
	s.wantNoTemps()
	release()
	a.wait(persisted) // after a minute
	if id := s.id(); id == "" || s.read(s.anchor) != id+"\n" {
		t.Errorf("got ID %q and anchor %q", id, s.read(s.anchor))
	}
}

// TestOpenInHost is a host that keeps its config open and lets others read it,
// or write it too, but not replace it.
func TestOpenInHost(t *testing.T) {
	for name, tt := range map[string]struct{ access, share uint32 }{
		"reading":                {windows.GENERIC_READ, windows.FILE_SHARE_READ},
		"reading, others write":  {windows.GENERIC_READ, windows.FILE_SHARE_READ | windows.FILE_SHARE_WRITE},
		"writing, others read":   {windows.GENERIC_READ | windows.GENERIC_WRITE, windows.FILE_SHARE_READ},
		"writing, others delete": {windows.GENERIC_READ | windows.GENERIC_WRITE, windows.FILE_SHARE_READ | windows.FILE_SHARE_WRITE | windows.FILE_SHARE_DELETE},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, hostConfig)
			release := hold(t, s.config, tt.access, tt.share)
			a := s.agent("--backoff", "100ms")
			a.wait("Telemetry service started")
			a.wait("has_persistent_id=true")
			a.stop()
			id := strings.TrimSpace(s.read(s.anchor))
			if got := s.id(); id == "" || got != "" && got != id {
				t.Errorf("got anchor %q, and ID %q in the config", id, got)
			}
			release()
			s.agent()
			eventually(t, func() bool { return s.id() == id }, func() string { return "copied to the config" })
			s.wantNoTemps()
		})
	}
}
