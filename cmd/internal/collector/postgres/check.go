package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
)

// invariants are queries whose result must be 0.
var invariants = []struct{ query, complaint string }{
	{"SELECT count(*) FROM rollcall_identity i WHERE NOT EXISTS (SELECT FROM rollcall_installation s WHERE s.place = i.place)",
		"identities have no installation"},
	{"SELECT count(*) FROM rollcall_installation s WHERE NOT EXISTS (SELECT FROM rollcall_identity i WHERE i.place = s.place)",
		"installations have no identity"},
	{"SELECT count(*) - count(DISTINCT place) FROM rollcall_identity", "identities share an installation"},
	{"SELECT count(*) FROM rollcall_journal WHERE number > (SELECT max(seq) FROM rollcall_fence)", "entries of the journal are newer than the last commit"},
	{"SELECT 1 - count(*) FROM rollcall_fence WHERE id = 1", "fence is missing"},
}

// Check implements [collector.Store]. It reads every row in one snapshot, and
// compares its checksum.
func (r *reader) Check(ctx context.Context) error {
	if err := r.check(ctx); err != nil {
		return fmt.Errorf("check: %w", explain(ctx, err))
	}
	return nil
}

func (r *reader) check(ctx context.Context) error {
	return r.snapshot(ctx, func(s *snapshot) error {
		var found []error
		for _, invariant := range invariants {
			var count int64
			if err := s.tx.QueryRow(ctx, invariant.query).Scan(&count); err != nil {
				return err
			}
			if count != 0 {
				found = append(found, fmt.Errorf("%d %s", count, invariant.complaint))
			}
		}
		for _, read := range []func() error{
			func() error { return readAll(s.Identities(ctx)) },
			func() error { return readAll(s.Installations(ctx)) },
			func() error { return readAll(s.Journal(ctx)) },
			func() error { return readAll(s.AllRecords(ctx)) },
		} {
			if err := read(); errors.Is(err, ErrDamaged) {
				found = append(found, err)
			} else if err != nil {
				return err
			}
		}
		if len(found) > 0 {
			return fmt.Errorf("%w: %w", ErrDamaged, errors.Join(found...))
		}
		return nil
	})
}

// Size implements [collector.Store]: the tables with their indexes, or the length of
// what is in them if the engine does not know.
func (r *reader) Size(ctx context.Context) (size int64, err error) {
	err = r.pool.QueryRow(ctx, `SELECT coalesce(sum(pg_total_relation_size(to_regclass(name))), 0)::bigint FROM unnest(ARRAY['rollcall_identity',
		'rollcall_installation', 'rollcall_record', 'rollcall_journal', 'rollcall_fence', 'rollcall_schema']) AS name`).Scan(&size)
	if err != nil && ctx.Err() == nil && !errors.Is(explain(ctx, err), collector.ErrUnavailable) {
		err = r.pool.QueryRow(ctx, `SELECT ((SELECT count(*) FROM rollcall_identity) * 28 + (SELECT coalesce(sum(8 + length(state)), 0) FROM rollcall_installation)
			+ (SELECT coalesce(sum(8 + length(kind) + length(name) + length(data)), 0) FROM rollcall_record)
			+ (SELECT coalesce(sum(8 + length(data)), 0) FROM rollcall_journal))::bigint`).Scan(&size)
	}
	return size, wrap("read the size", explain(ctx, err))
}
