package rollcall

import (
	"context"

	"github.com/rollcall-dev/rollcall/report"
)

// SetIssueCounts sets the counts of all issues.
func SetIssueCounts(s *Service, n int) {
	s.issues.mu.Lock()
	defer s.issues.mu.Unlock()
	for _, group := range s.issues.groups {
		group.Count = n
	}
}

// BuildHeartbeat makes a heartbeat for decisions that are known.
func BuildHeartbeat(ctx context.Context, s *Service, d Decisions) report.Heartbeat {
	return s.heartbeat(ctx, d, s.keeper.Status())
}
