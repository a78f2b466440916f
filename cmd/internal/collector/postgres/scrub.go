package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
)

// Erases implements [collector.Store]: PostgreSQL leaves deleted rows in its pages,
// in its log, and on its standbys.
func (s *Store) Erases() collector.Erasure { return collector.ErasedFromAnswers }

// scrubbed are the tables that hold something about installations.
var scrubbed = []string{"rollcall_identity", "rollcall_installation", "rollcall_record", "rollcall_journal"}

// ScrubFiles rewrites the tables, so that their files hold nothing that was deleted
// before. Commits and other reads wait meanwhile. It needs the rights of the
// tables' owner, and free space for a copy of the largest table. What the server
// keeps elsewhere, as in its log, is not affected.
func (s *Store) ScrubFiles(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, table := range scrubbed {
		if _, err := s.db.pool.Exec(ctx, "VACUUM FULL "+pgx.Identifier{table}.Sanitize()); err != nil {
			return fmt.Errorf("scrub: %w", explain(ctx, err))
		}
	}
	if _, err := s.db.pool.Exec(ctx, "UPDATE rollcall_fence SET scrub = false WHERE id = 1 AND token = $1", s.token[:]); err != nil {
		return fmt.Errorf("scrub: %w", explain(ctx, err))
	}
	return nil
}

// Unscrubbed reports whether files may hold data that was deleted since the last
// scrub.
func (db *DB) Unscrubbed(ctx context.Context) (due bool, err error) {
	err = db.pool.QueryRow(ctx, "SELECT scrub FROM rollcall_fence WHERE id = 1").Scan(&due)
	return due, wrap("read the fence", explain(ctx, err))
}
