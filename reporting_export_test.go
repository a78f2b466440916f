package rollcall

import (
	"context"
	"time"

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

// ReportIssueAt reports an issue at a time.
func ReportIssueAt(s *Service, issue Issue, now time.Time) { s.issues.add(issue, now) }

// BuildHeartbeat makes a heartbeat for decisions that are known.
func BuildHeartbeat(ctx context.Context, s *Service, d Decisions) report.Heartbeat {
	return s.heartbeat(ctx, d, s.keeper.Status())
}
