//go:build rollcall_nosend

package rollcall_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/rollcall-dev/rollcall"
)

// TestNoSend runs in a build without the sender: everything but sending works.
func TestNoSend(t *testing.T) {
	s := newSite(t, grantedBoth)
	service := s.start()
	service.ReportFault(diskFull)
	const without = "built without the ability to send"
	for name, err := range map[string]error{
		"SendNow":   service.SendNow(t.Context()),
		"SendIfDue": service.SendIfDue(t.Context()),
		"Upload":    service.Upload(t.Context(), preview(t, service).Heartbeat),
		"Forget":    service.Forget(t.Context()),
	} {
		if !errors.Is(err, rollcall.ErrNoEndpoint) || !strings.Contains(err.Error(), without) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	updating := newSite(t, updatesOnly).start(withUpdates)
	if _, err := updating.CheckUpdate(t.Context()); !errors.Is(err, rollcall.ErrNoEndpoint) || !strings.Contains(err.Error(), without) {
		t.Errorf("CheckUpdate: got %v", err)
	}
	updating.Decisions(t.Context())
	contains(t, "update status", updating.Status().Updates.Withheld, without)
	p := preview(t, service)
	if len(p.Heartbeat) == 0 || len(p.Health) == 0 {
		t.Errorf("got %+v", p)
	}
	contains(t, "preview", p.Withheld, without)
	contains(t, "status", service.Status().Reporting.Withheld, without)
	s.log.want("INFO Generated *", "INFO Installation ID persisted *", "INFO Telemetry service started enabled=true has_persistent_id=true")
	s.wantRequests()
}
