package postgres

import (
	"context"
	"time"
)

// SetLimits shortens how long a store waits for an answer, and how long it tries
// to find out what became of a commit.
func (s *Store) SetLimits(answer, doubt time.Duration) { s.answerLimit, s.doubtLimit = answer, doubt }

// OpenFrom is Open with another oldest version.
func OpenFrom(ctx context.Context, c Config, minVersion int) (*DB, error) {
	c.minVersion = minVersion
	return Open(ctx, c)
}
