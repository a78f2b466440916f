package sqlite

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/durable"
)

// The log must never fill the disk: what is in it has to be copied to the file,
// which then grows. So a commit leaves free what the log could make the file
// grow by, and a reserve besides, for the next start, for verbs, and for
// deletions, which may use most of it.
const (
	spaceReserve  = 1 << 20
	scrubReserve  = 128 << 10
	framePageSize = pageSize + 24 // of a page in the log
	// smallBatch is the number of pages that every batch needs at least. So on a
	// full disk there is no room for a probe of the store, or an entry of the
	// audit log, while reports are refused; otherwise the store would seem to
	// recover and fail by turns.
	smallBatch = 32
)

// makeRoom ensures that a batch of so many pages, and the log that is not copied
// yet, fit on the disk. It copies the log if need be, and else returns
// [collector.ErrUnavailable]. The caller holds mu.
func (s *Store) makeRoom(ctx context.Context, pages int, scrub bool) error {
	reserve := int64(spaceReserve)
	if scrub {
		reserve = scrubReserve
	} else {
		pages = max(pages, smallBatch)
	}
	enough := func() (free int64, ok bool) {
		free, known := durable.FreeSpace(filepath.Dir(s.file))
		if !known {
			return 0, true
		}
		// The batch goes to the log, and later to the file.
		need := 2*int64(pages)*framePageSize + reserve
		// What the log holds has its place there, and needs another in the file.
		need += min(s.checkpoints.changed.Load()*pageSize, s.logSize())
		return free, free >= need
	}
	if _, ok := enough(); ok {
		return nil
	}
	if err := s.checkpoints.empty(ctx); err != nil {
		return err
	}
	if free, ok := enough(); !ok {
		return fmt.Errorf("%w: the disk is full: %d kB are free, and some are kept in reserve", collector.ErrUnavailable, free>>10)
	}
	return nil
}

// logSize returns the size of the log in bytes.
func (s *Store) logSize() int64 {
	info, err := os.Stat(s.file + logSuffix)
	if err != nil {
		return 0
	}
	return info.Size()
}

// checkSpace refuses an upgrade if there is too little space: an upgrade copies the
// file, and may write all of it to the log and back.
func (s *Store) checkSpace() error {
	info, err := os.Stat(s.file)
	if err != nil {
		return err
	}
	need := 3*info.Size() + spaceReserve
	if free, known := durable.FreeSpace(filepath.Dir(s.file)); known && free < need {
		return fmt.Errorf("%w: the upgrade needs %d MB of free space, for a backup and its work, and %d MB are free",
			ErrNoSpace, need>>20+1, free>>20)
	}
	return nil
}
