package rollcall_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/rollcall-dev/rollcall"
)

// TestSetVersion: what is sent has the version set last, and a version that is
// not counted withholds it.
func TestSetVersion(t *testing.T) {
	s := newSite(t, granted)
	service := s.start(func(c *rollcall.Config) { c.Version = "1.2.3" })
	service.SetVersion("v2.0.0")
	contains(t, "preview", string(preview(t, service).Heartbeat), `"version":"2.0.0"`)
	send(t, service)
	if got := s.lastHeartbeat().Version; got != "2.0.0" {
		t.Errorf("got version %q, want 2.0.0", got)
	}

	// A service of a test binary is not counted, whatever its version.
	counted := s.make(func(c *rollcall.Config) { c.Version, c.Reporting.Development = "1.2.3", false })
	counted.SetVersion("dev")
	var why *rollcall.NotCountedError
	if err := counted.SendNow(t.Context()); !errors.As(err, &why) || !why.Development || why.Version != "dev" {
		t.Errorf("got %v, want one about a development version", err)
	}
}

func TestHostValues(t *testing.T) {
	s := newSite(t, granted)
	service := s.make()
	if got, err := service.LoadHostValues(t.Context()); got != nil || err != nil {
		t.Errorf("got %q, %v before anything was saved", got, err)
	}
	const values = `{"version":"1.2.3"}`
	if err := service.SaveHostValues(t.Context(), []byte(values)); err != nil {
		t.Fatal(err)
	}
	if got, err := s.make().LoadHostValues(t.Context()); string(got) != values || err != nil {
		t.Errorf("got %q, %v, want %q", got, err, values)
	}
	if got := s.read(service.Files().Host); got != values+"\n" {
		t.Errorf("got %q in the file", got)
	}
	long := `"` + strings.Repeat("x", rollcall.MaxHostValues) + `"`
	if err := service.SaveHostValues(t.Context(), []byte(long)); err == nil {
		t.Error("more than MaxHostValues bytes were kept")
	}
}
