package dashboard_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/access"
	"github.com/rollcall-dev/rollcall/report"
)

// The page says what was turned away, with examples that are plain text, and an
// admin clears it.
func TestTurnedAway(t *testing.T) {
	s := newSite(t)
	for n := range collector.MaxValues + 2 {
		s.send(report.Heartbeat{
			Schema: 1, App: "app", InstallationID: fmt.Sprintf("%08x-0000-4000-8000-%012x", n, n), IDPersistence: report.Persisted,
			SentAt: time.Now(), Version: "1.0", Platform: report.Platform{System: fmt.Sprintf("<b>\u202e%d", n)},
		})
	}
	admin, reader := s.token(access.Admin, "app"), s.token(access.Read, "app")
	page := s.get("/a/app/quality", admin, http.StatusOK)
	if !strings.Contains(page, `\u202e250`) || strings.Contains(page, "<b>\u202e") || strings.Contains(page, "\u202e250") {
		t.Error("the page has no example of what was turned away, or not as plain text")
	}
	const button = "<button>Clear</button>"
	if !strings.Contains(page, button) || strings.Contains(s.get("/a/app/quality", reader, http.StatusOK), button) {
		t.Error("not only an admin can clear")
	}
	if resp, _ := s.do("POST", "/a/app/quality", reader, nil); resp.StatusCode != http.StatusNotFound {
		t.Errorf("reader: got %d, want 404", resp.StatusCode)
	}
	if resp, _ := s.do("POST", "/a/app/quality", admin, nil); resp.StatusCode != http.StatusSeeOther {
		t.Errorf("admin: got %d, want 303", resp.StatusCode)
	}
	if page := s.get("/a/app/quality", admin, http.StatusOK); !strings.Contains(page, "Nothing was turned away.") {
		t.Error("the list is not empty afterwards")
	}
	if q, err := s.c.TurnedAway(s.app.Num); err != nil || len(q.Tables) > 0 {
		t.Errorf("got %+v, %v", q, err)
	}
}
