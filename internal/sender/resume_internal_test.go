//go:build !rollcall_nosend

package sender

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// Reports about one ID resume the TLS session of the last one. Nothing else does:
// the collector learns from no session that two IDs are of one installation, or
// that it asks for releases.
func TestResume(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	cert := ca.issue(nil)
	run(t, "reports", func(t *testing.T, r *rig, m *memoryNet) {
		var resumed []bool
		server := m.serve(&cert, func(_ http.ResponseWriter, req *http.Request) { resumed = append(resumed, req.TLS.DidResume) })
		s := r.onNet(m, server.URL, func(c *Config) { c.CAFile = ca.file })
		r.succeeds(s)
		r.succeeds(s)
		r.id = testID(2) // a reset
		r.succeeds(s)
		r.succeeds(s)
		if err := s.Forget(t.Context(), r.id); err != nil {
			t.Fatal(err)
		}
		r.id = testID(3)
		r.heartbeat = func(context.Context) ([]byte, error) {
			r.id = testID(4) // another process replaces it while the report is made
			return []byte("{}"), nil
		}
		r.succeeds(s)
		if want := []bool{false, true, false, true, false, false}; !slices.Equal(resumed, want) {
			t.Errorf("resumed: got %v, want %v", resumed, want)
		}
	})
	// A certificate that is not trusted any more is not, in a resumed session
	// either.
	run(t, "another authority", func(t *testing.T, r *rig, m *memoryNet) {
		trusted := filepath.Join(t.TempDir(), "ca.pem")
		copyFile(t, ca.file, trusted)
		server := m.serve(&cert, func(http.ResponseWriter, *http.Request) {})
		s := r.onNet(m, server.URL, func(c *Config) { c.CAFile = trusted })
		r.succeeds(s)
		copyFile(t, newAuthority(t).file, trusted)
		r.fails(s, "the collector's certificate is not trusted")
	})
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	data, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, data, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}
