package replace_test

import (
	"context"
	"errors"
	"syscall"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/internal/fsys"
	"github.com/rollcall-dev/rollcall/internal/replace"
	"github.com/rollcall-dev/rollcall/internal/test/faultfs"
)

// TestProbe lets each operation fail that is probed. Only its own field says so,
// and no temporary file is left.
func TestProbe(t *testing.T) {
	for _, tt := range []struct {
		op    faultfs.Op
		skip  int
		field func(replace.Support) error
	}{
		{"", 0, nil},
		{faultfs.OpWrite, 0, func(s replace.Support) error { return s.Create }},
		{faultfs.OpWrite, 1, func(s replace.Support) error { return s.Exchange }},
		{faultfs.OpLink, 0, func(s replace.Support) error { return s.Link }},
		{faultfs.OpExchange, 0, func(s replace.Support) error { return s.Exchange }},
		{faultfs.OpSyncDir, 0, func(s replace.Support) error { return s.SyncDir }},
		{faultfs.OpLock, 0, func(s replace.Support) error { return s.Lock }},
	} {
		bubble(t, func(t *testing.T, disk *faultfs.FS) {
			if tt.op != "" {
				disk.Inject(faultfs.Rule{Op: tt.op, Skip: tt.skip, Err: syscall.EIO})
			}
			s := replace.Probe(t.Context(), disk, configPath, replace.Access{Perm: 0o666})
			failed := 0
			for _, err := range []error{s.Create, s.Link, s.Exchange, s.SyncDir, s.Lock} {
				if err != nil {
					failed++
				}
			}
			if tt.field == nil && failed != 0 || tt.field != nil && (failed != 1 || !errors.Is(tt.field(s), syscall.EIO)) {
				t.Errorf("%s %d: got %+v", tt.op, tt.skip, s)
			}
			requireNoTemps(t, disk)
			requireContent(t, disk, configPath, config)
		})
	}
}

// TestProbeLocked waits a second for the lock.
func TestProbeLocked(t *testing.T) {
	bubble(t, func(t *testing.T, disk *faultfs.FS) {
		disk.As("other").LockDir("/etc/app")
		begin := time.Now()
		s := replace.Probe(t.Context(), disk, configPath, replace.Access{Perm: 0o666})
		if took := time.Since(begin); !errors.Is(s.Lock, fsys.ErrLocked) || took != time.Second {
			t.Errorf("got %v after %v", s.Lock, took)
		}
	})
}

// TestProbeAbandoned stops at the next operation.
func TestProbeAbandoned(t *testing.T) {
	for _, tt := range []struct{ during, not faultfs.Op }{
		{faultfs.OpSync, faultfs.OpLink}, {faultfs.OpLink, faultfs.OpExchange}, {faultfs.OpExchange, faultfs.OpSyncDir},
		{faultfs.OpSyncDir, faultfs.OpLock},
	} {
		bubble(t, func(t *testing.T, disk *faultfs.FS) {
			ctx, cancel := context.WithCancel(t.Context())
			disk.Inject(faultfs.Rule{Op: tt.during, Do: cancel})
			disk.ResetLog()
			replace.Probe(ctx, disk, configPath, replace.Access{Perm: 0o666})
			if did(disk, tt.not) {
				t.Errorf("abandoned during %s: did %s", tt.during, tt.not)
			}
			requireNoTemps(t, disk)
		})
	}
}
