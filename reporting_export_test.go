package rollcall

import (
	"context"
	"time"

	"github.com/rollcall-dev/rollcall/report"
)

// SetFaultCounts sets the count of every fault.
func SetFaultCounts(s *Service, n int) {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	for _, f := range s.faults.counted {
		f.Count = n
	}
}

// ReportFaultAt is ReportFault at a given time.
func ReportFaultAt(s *Service, fault Fault, now time.Time) { s.faults.add(fault, now) }

// BuildHeartbeat returns the heartbeat for the given decisions.
func BuildHeartbeat(ctx context.Context, s *Service, d Decisions) report.Heartbeat {
	h, _ := s.heartbeat(ctx, d, s.keeper.Status().Status)
	return h
}
