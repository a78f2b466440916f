package sqlite

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
)

// Commit implements [collector.Store]. With Scrub, it empties the log before the
// batch, and afterwards wipes the file and empties the log again. If the second
// part fails, a batch that wrote something is reported as written, and the
// scrub continues in the background as soon as possible.
func (s *Store) Commit(ctx context.Context, b *collector.Batch) (journal int64, err error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	for _, row := range b.PutInstallations {
		if len(row.State) == 0 {
			return 0, fmt.Errorf("installation %d of app %d has an empty state", row.Num, row.App)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if b.Scrub {
		// The file grows to its final size now, so that the rest needs less
		// space on the disk.
		if err := s.checkpoints.empty(ctx); err != nil {
			return 0, fmt.Errorf("scrub: %w", explain(ctx, err))
		}
	}
	pages := pagesOf(b)
	if pages > 0 {
		// Without the caller's context: interrupting a statement would roll
		// everything back, and a context that can end costs a goroutine for each
		// statement. The wait is for at most one lock of another process.
		inner := context.WithoutCancel(ctx)
		if journal, err = s.transact(inner, b); err != nil {
			return 0, fmt.Errorf("commit: %w", explain(inner, err))
		}
		s.checkpoints.wrote(pages)
	}
	if b.Scrub {
		if err := s.scrub(ctx); err != nil {
			if pages == 0 {
				return 0, fmt.Errorf("scrub: %w", explain(ctx, err))
			}
			s.checkpoints.scrubLater(err)
		}
	}
	return journal, nil
}

// pagesOf estimates how many pages a batch changes; 0 means that it is empty.
func pagesOf(b *collector.Batch) int {
	pages := len(b.PutIdentities) + len(b.PutInstallations) + len(b.DropIdentities) + len(b.DropInstallations)
	if b.TrimJournal > 0 {
		pages++
	}
	if len(b.Journal) > 0 {
		pages += 1 + len(b.Journal)/pageSize
	}
	for _, row := range b.Records {
		pages += 1 + len(row.Data)/pageSize
	}
	return pages
}

// transact writes the batch in one transaction. The caller holds mu.
func (s *Store) transact(ctx context.Context, b *collector.Batch) (journal int64, err error) {
	w, err := s.preparedWriter(ctx)
	if err != nil {
		return 0, err
	}
	if _, err = w.begin.ExecContext(ctx); err == nil {
		if journal, err = w.apply(ctx, b); err == nil {
			_, err = w.commit.ExecContext(ctx)
		}
	}
	if err != nil {
		s.dropUnlessIdle(ctx, w)
	}
	return journal, err
}

// apply writes the batch in its order. It sorts the rows to put in the order of
// their trees, so that it visits each page once.
func (w *writer) apply(ctx context.Context, b *collector.Batch) (journal int64, err error) {
	if b.TrimJournal > 0 {
		if _, err := w.trimJournal.ExecContext(ctx, b.TrimJournal); err != nil {
			return 0, err
		}
	}
	if len(b.Journal) > 0 {
		result, err := w.addJournal.ExecContext(ctx, b.Journal)
		if err != nil {
			return 0, err
		}
		if journal, err = result.LastInsertId(); err != nil {
			return 0, err
		}
	}
	byKey := func(a, b collector.Identity) int { return bytes.Compare(a.Key[:], b.Key[:]) }
	for _, row := range sorted(b.PutIdentities, byKey) {
		if _, err := w.putIdentity.ExecContext(ctx, row.Key[:], int64(row.App), int64(row.Num)); err != nil {
			return 0, err
		}
	}
	byID := func(a, b collector.Installation) int { return cmp.Compare(rowID(a.App, a.Num), rowID(b.App, b.Num)) }
	for _, row := range sorted(b.PutInstallations, byID) {
		if _, err := w.putInstallation.ExecContext(ctx, rowID(row.App, row.Num), row.State); err != nil {
			return 0, err
		}
	}
	for _, key := range b.DropIdentities {
		if _, err := w.dropIdentity.ExecContext(ctx, key[:]); err != nil {
			return 0, err
		}
	}
	for _, row := range b.DropInstallations {
		if _, err := w.dropInstallation.ExecContext(ctx, rowID(row.App, row.Num)); err != nil {
			return 0, err
		}
	}
	for _, row := range b.Records {
		if row.Data == nil {
			_, err = w.dropRecord.ExecContext(ctx, row.Kind, int64(row.App), int64(row.Day), row.Name)
		} else {
			_, err = w.putRecord.ExecContext(ctx, row.Kind, int64(row.App), int64(row.Day), row.Name, row.Data)
		}
		if err != nil {
			return 0, err
		}
	}
	return journal, nil
}

// sorted returns the rows in order. Rows with the same key keep their order,
// because the last one wins.
func sorted[T any](rows []T, compare func(a, b T) int) []T {
	if slices.IsSortedFunc(rows, compare) {
		return rows
	}
	rows = slices.Clone(rows)
	slices.SortStableFunc(rows, compare)
	return rows
}

// rowID returns the key of an installation's row. The rows of an app are
// adjacent, in the order of their numbers.
func rowID(app collector.AppNum, num collector.Num) int64 { return int64(app)<<32 | int64(num) }
