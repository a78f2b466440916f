package bench

import (
	"bytes"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/engine"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/simulate"
	"github.com/rollcall-dev/rollcall/report"
)

// zeroID is the ID in a template; numberedID returns the IDs that replace
// it.
const zeroID = "00000000-0000-4000-8000-000000000000"

func numberedID(n int) string { return fmt.Sprintf("%08x-0000-4000-8000-%012x", n, n) }

func heartbeat(version string) report.Heartbeat {
	return report.Heartbeat{
		Schema: report.SchemaVersion, App: appKey, InstallationID: zeroID, IDPersistence: report.Persisted, SentAt: time.Now(),
		Version: version, Platform: report.Platform{System: "linux", Release: "6.12", Machine: "amd64"},
		Deployment: report.DeploymentContainer, Client: report.Client{Name: "rollcall-go", Version: "0.1.0"},
		Facts: report.Facts{{Name: "store.kind", Value: "sqlite"}, {Name: "tls", Value: "true"}, {Name: "users", Value: "2-9"}},
	}
}

// A template is a heartbeat whose ID is patched in place, so that
// creating one costs next to nothing.
type template struct {
	body []byte
	at   int
}

func newTemplate(version string) *template {
	h := heartbeat(version)
	body := h.AppendJSON(nil)
	return &template{body, bytes.Index(body, []byte(zeroID))}
}

// with returns the heartbeat of installation n, which is valid until the
// next call.
func (t *template) with(n int) []byte {
	id := t.body[t.at : t.at+len(zeroID)]
	hex(id[:8], n)
	hex(id[24:], n)
	return t.body
}

func hex(dst []byte, n int) {
	var buf [16]byte
	digits := strconv.AppendInt(buf[:0], int64(n), 16)
	for i := range len(dst) - len(digits) {
		dst[i] = '0'
	}
	copy(dst[len(dst)-len(digits):], digits)
}

// loadKnown creates n installations that were seen yesterday.
func loadKnown(t *testing.T, dir string, n int) {
	t.Helper()
	inStore(t, dir, func(c *engine.Engine, app collector.App) {
		today, _, err := c.Today(app.Num)
		if err != nil {
			t.Fatal(err)
		}
		l, err := c.Load(t.Context(), app.Num)
		if err != nil {
			t.Fatal(err)
		}
		h := heartbeat("1.0.0")
		for _, day := range []collector.Day{today - 2, today - 1} {
			if err := l.Day(t.Context(), day); err != nil {
				t.Fatal(err)
			}
			for i := range n {
				h.InstallationID = numberedID(i)
				if err := l.Heartbeat(t.Context(), collector.Received{App: app.Num, Heartbeat: h}); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := l.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
}

// The mix of a day: every newEvery-th heartbeat is from a new
// installation, and every changedEvery-th from one with another version.
// The others are the first of a known installation on the day.
const (
	newEvery     = 100
	changedEvery = 20
)

// mixed returns the source of one connection, which sends every
// connections-th installation from n to end, exclusively. New ones have
// numbers from known on.
func mixed(n, end, known int) simulate.Source {
	same, changed := newTemplate("1.0.0"), newTemplate("1.1.0")
	n -= connections
	return func([]byte) (string, []byte, bool) {
		n += connections
		switch {
		case n >= end:
			return "", nil, false
		case n%newEvery == 1:
			return simulate.HeartbeatPath, same.with(known + n), true
		case n%changedEvery == 2:
			return simulate.HeartbeatPath, changed.with(n), true
		}
		return simulate.HeartbeatPath, same.with(n), true
	}
}
