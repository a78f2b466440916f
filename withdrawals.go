package rollcall

import (
	"cmp"
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/rollcall-dev/rollcall/installid"
	"github.com/rollcall-dev/rollcall/internal/consent"
	"github.com/rollcall-dev/rollcall/internal/idstore"
)

// The log lines about withdrawals.
const (
	msgStale   = "Telemetry stays denied, although the settings grant it"
	msgRetired = "Installation ID in the environment was reset or forgotten, telemetry is denied"
	msgUnread  = "Record of withdrawals cannot be read, telemetry is denied"

	keyConsent  = "consent"
	keySince    = "since"
	keyBy       = "by"
	keyFile     = "file"
	keyVariable = "variable"

	staleNote = "the operator denied it through Rollcall, so that the settings are an old copy, or were edited since; grant it again through Rollcall, or remove the file"
)

// unreadWithdrawals are those of a service that has not read them.
func (s *Service) unreadWithdrawals() consent.Withdrawals {
	w := consent.Withdrawals{Path: s.files.Denial}
	if w.Path != "" {
		w.Problem = consent.NotRead
	}
	return w
}

// readWithdrawals reads what the operator withdrew through Rollcall, and
// whether the ID was retired.
func (s *Service) readWithdrawals(ctx context.Context, id installid.ID) consent.Withdrawals {
	if ctx.Err() != nil { // a hung disk is not asked again
		return s.unreadWithdrawals()
	}
	read, err := s.records.ReadWithdrawals(ctx, id)
	switch {
	case err != nil && ctx.Err() != nil:
		return s.unreadWithdrawals()
	case err != nil:
		return consent.Withdrawals{Problem: consent.Unreadable, Path: cmp.Or(read.Unread, s.files.Denial)}
	}
	w := consent.Withdrawals{
		Path:         s.files.Denial,
		Telemetry:    consent.Denial(read.Telemetry),
		Health:       consent.Denial(read.Health),
		UpdateCheck:  consent.Denial(read.UpdateCheck),
		FromVariable: s.idVariable != "",
	}
	if forgotten := s.forgotten.Load(); read.Retired || forgotten != nil && *forgotten == id {
		w.RetiredIn = cmp.Or(s.idVariable, s.files.Retired, "this process")
	}
	return w
}

// A subjectWarning is what was last warned of about one consent.
type subjectWarning struct{ atomic.Pointer[Source] }

// isNew reports whether source differs from the last one. The zero source
// stands for nothing to warn of.
func (w *subjectWarning) isNew(source Source) bool {
	last := w.Swap(&source)
	return source != (Source{}) && (last == nil || *last != source)
}

// warnOfWithdrawals warns once of what keeps telemetry denied against the
// settings.
func (s *Service) warnOfWithdrawals(d Decisions) {
	s.warn(&s.warned, "telemetry", d.Telemetry)
	if d.Health.Source == d.Telemetry.Source {
		d.Health = Decision{}
	}
	s.warn(&s.healthWarned, "health reports", d.Health)
	if d.UpdateCheck.Source == d.Telemetry.Source {
		d.UpdateCheck = Decision{}
	}
	s.warn(&s.updateWarned, "update check", d.UpdateCheck)
}

func (s *Service) warn(last *subjectWarning, subject string, d Decision) {
	source := d.Source
	switch {
	case source.Kind == SourceEnvironment && source.Problem == ProblemRetired:
		if last.isNew(source) {
			s.log.Error(msgRetired, keyVariable, source.Name)
		}
	case source.Kind != SourceWithdrawal || d.Setting != Granted || source.Problem == ProblemRetired || source.Problem == ProblemNotRead:
		last.isNew(Source{})
	case !last.isNew(source):
	case source.Problem == ProblemUnreadable:
		s.log.Warn(msgUnread, keyFile, source.Name)
	default:
		s.log.Warn(msgStale, keyConsent, subject, slog.Time(keySince, source.Since), keyBy, source.By, keyFile, source.Name, keyNote, staleNote)
	}
}

// undoTimeout bounds the removal of a denial after a deletion that failed.
const undoTimeout = 5 * time.Second

// forgettingSuffix marks the denial that Forget records. Undoing that one leaves
// every other denial in place, even one by the same person.
const forgettingSuffix = " (to forget the installation)"

// recordForgetting records a denial before the collector is asked to delete,
// so that no report follows the deletion even if this process is killed. undo
// removes the record, unless somebody denied telemetry before or meanwhile.
func (s *Service) recordForgetting(ctx context.Context) (undo func()) {
	before, err := s.records.ReadWithdrawals(ctx, installid.ID{})
	denial := newDenial(ctx)
	denial.By += forgettingSuffix
	if err != nil || before.Telemetry.Denied || s.records.Deny(ctx, idstore.Telemetry, denial) != nil {
		return func() {}
	}
	return func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTimeout)
		defer cancel()
		s.records.Grant(ctx, idstore.Telemetry, denial) // if it fails, telemetry stays denied
	}
}
