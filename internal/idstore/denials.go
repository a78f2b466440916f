package idstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/rollcall-dev/rollcall/installid"
	"github.com/rollcall-dev/rollcall/internal/jsonedit"
)

// Withdrawals are what the operator withdrew through Rollcall. They outlive
// every copy of the config.
type Withdrawals struct {
	Telemetry, Health, UpdateCheck Denial
	// Retired reports whether the ID that was asked about was reset or
	// forgotten.
	Retired bool
	// Unread is the path of the file that could not be read, if one could not.
	Unread string
}

// A Denial is a recorded denial. The zero value is none.
type Denial struct {
	Denied bool
	Since  time.Time // in UTC; zero if that is not known
	By     string    // who ordered it
}

// A Subject is what a denial is about.
type Subject int

// The subjects.
const (
	Telemetry Subject = iota
	Health
	UpdateCheck
)

// Of returns the denial of a subject.
func (w *Withdrawals) Of(s Subject) *Denial {
	switch s {
	case Health:
		return &w.Health
	case UpdateCheck:
		return &w.UpdateCheck
	default:
		return &w.Telemetry
	}
}

// denies reports whether there is a denial of anything.
func (w Withdrawals) denies() bool {
	return w.Telemetry.Denied || w.Health.Denied || w.UpdateCheck.Denied
}

// denialNote tells people what the file of denials is.
const denialNote = "The operator denied this through Rollcall. It stays denied, whatever the config says, until it is " +
	"granted through Rollcall: with 'rollcall enable', on the operator's page, or by the library's SetConsent. " +
	"Removing this file ends the denial too."

// denialFile is the content of the file of denials.
type denialFile struct {
	Note        string        `json:"note"`
	Telemetry   *denialRecord `json:"telemetry,omitempty"`
	Health      *denialRecord `json:"health,omitempty"`
	UpdateCheck *denialRecord `json:"update_check,omitempty"`
}

type denialRecord struct {
	At string `json:"denied_at"`
	By string `json:"by"`
}

// denialKeys are the keys of the file of denials, three for each subject.
var denialKeys = []jsonedit.Key{
	{"telemetry"}, {"telemetry", "denied_at"}, {"telemetry", "by"},
	{"health"}, {"health", "denied_at"}, {"health", "by"},
	{"update_check"}, {"update_check", "denied_at"}, {"update_check", "by"},
}

// errNoDenial means that there is a file of denials, and that it denies nothing
// that this version knows. It would have been removed.
var errNoDenial = errors.New("it names no denial")

// parseDenials returns the denials in a file with this text. An error means
// that the file cannot be understood.
func parseDenials(text string) (w Withdrawals, err error) {
	values, err := jsonedit.Scan([]byte(text), denialKeys)
	if err != nil {
		return w, err
	}
	for i, d := range []*Denial{&w.Telemetry, &w.Health, &w.UpdateCheck} {
		subject, at, by := values[3*i], values[3*i+1], values[3*i+2]
		if subject.IsAbsent() {
			continue
		}
		d.Denied, d.By = true, by.Text
		if since, err := time.Parse(time.RFC3339, at.Text); err == nil {
			d.Since = since.UTC()
		}
	}
	if !w.denies() {
		return w, errNoDenial
	}
	return w, nil
}

// formatDenials returns the text of the file, which is "" without a denial.
func formatDenials(w Withdrawals) (string, error) {
	if !w.denies() {
		return "", nil
	}
	record := func(d Denial) *denialRecord {
		if !d.Denied {
			return nil
		}
		return &denialRecord{d.Since.UTC().Format(time.RFC3339), d.By}
	}
	text, err := json.MarshalIndent(denialFile{denialNote, record(w.Telemetry), record(w.Health), record(w.UpdateCheck)}, "", "  ")
	return string(text), err
}

func (r *fileRecords) ReadWithdrawals(ctx context.Context, id installid.ID) (w Withdrawals, err error) {
	if r.denials == nil {
		return w, nil
	}
	text, err := r.denials.Read(ctx)
	switch {
	case isAbsent(err):
	case err != nil:
		return Withdrawals{Unread: r.denials.Path()}, fmt.Errorf("read denial: %w", err)
	default:
		if w, err = parseDenials(text); err != nil {
			return Withdrawals{Unread: r.denials.Path()}, fmt.Errorf("read denial %s: %w", r.denials.Path(), err)
		}
	}
	if err := r.retired.refresh(ctx); err != nil {
		w.Unread = r.retired.file.Path()
		return w, err
	}
	w.Retired = r.retired.has(id)
	return w, nil
}

// Deny changes the file even if the config is read-only, and so does Grant:
// the operator ordered it.
func (r *fileRecords) Deny(ctx context.Context, s Subject, d Denial) error {
	return r.changeDenial(ctx, s, func(now Denial) Denial {
		if now.Denied && now.By == d.By {
			return now
		}
		return d
	})
}

func (r *fileRecords) Grant(ctx context.Context, s Subject, only Denial) error {
	err := r.changeDenial(ctx, s, func(now Denial) Denial {
		if only.Denied && (now.By != only.By || !now.Since.Equal(only.Since)) {
			return now
		}
		return Denial{}
	})
	if errors.Is(err, ErrNoPlace) {
		return nil
	}
	return err
}

func (r *fileRecords) changeDenial(ctx context.Context, s Subject, change func(now Denial) Denial) error {
	if r.denials == nil {
		return ErrNoPlace
	}
	return r.denials.Update(ctx, func(old string, exists bool) (string, error) {
		var w Withdrawals
		if exists {
			var err error
			if w, err = parseDenials(old); err != nil { // what it says about the other subjects is unknown
				unknown := Denial{Denied: true, Since: time.Now(), By: "a damaged denial file"}
				w = Withdrawals{Telemetry: unknown, Health: unknown, UpdateCheck: unknown}
				*w.Of(s) = Denial{}
			}
		}
		*w.Of(s) = change(*w.Of(s))
		return formatDenials(w)
	})
}

func (r *fileRecords) Retire(ctx context.Context, id installid.ID) error {
	if r.retired == nil {
		return ErrNoPlace
	}
	return r.retired.retire(ctx, id)
}
