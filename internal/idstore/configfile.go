package idstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/rollcall-dev/rollcall/installid"
	"github.com/rollcall-dev/rollcall/internal/anchor"
	"github.com/rollcall-dev/rollcall/internal/configfile"
	"github.com/rollcall-dev/rollcall/internal/consent"
	"github.com/rollcall-dev/rollcall/internal/fsys"
	"github.com/rollcall-dev/rollcall/internal/jsonedit"
	"github.com/rollcall-dev/rollcall/internal/keeper"
	"github.com/rollcall-dev/rollcall/internal/lasting"
)

// A ConfigFile keeps the ID in a JSON config that belongs to the host.
//
// A host that saves its own settings overwrites what others wrote into its
// config. So the truth is an anchor, a small file next to the config: of any
// number of racing processes exactly one publishes it, whole and durable. The
// config's key is a copy, for people and programs to read. A valid ID in the
// config takes precedence over the anchor, since the operator or an older
// version put it there, unless it was retired: then the config is a stale copy.
type ConfigFile struct {
	config     *configfile.File
	anchor     *anchor.Anchor
	retired    *ledger
	key        jsonedit.Key
	enabledKey jsonedit.Key // read together with the ID, may be empty
	// separateAnchor reports whether the operator named a directory for the
	// anchor. Then the ID can be persisted although the config is read-only.
	separateAnchor bool
}

var _ keeper.Store = (*ConfigFile)(nil)

// ParseID returns the ID that a text holds, which may have white space and a
// byte order mark around it.
func ParseID(text string) (installid.ID, error) { return installid.Parse(anchor.Trim(text)) }

func isID(text string) bool {
	_, err := ParseID(text)
	return err == nil
}

// idOf returns the ID that a config value holds, or zero.
func idOf(v jsonedit.Value) installid.ID {
	if v.Kind != jsonedit.String {
		return installid.ID{}
	}
	id, _ := ParseID(v.Text)
	return id
}

// hasID reports whether a config value is an ID that counts.
func (s *ConfigFile) hasID(v jsonedit.Value) bool {
	id := idOf(v)
	return !id.IsZero() && !s.retired.has(id)
}

// Load reads the config, and the anchor if the config has no ID that counts.
func (s *ConfigFile) Load(ctx context.Context) (keeper.Record, error) {
	then := s.retired.refreshInFlight
	if s.separateAnchor { // perhaps on a disk that hangs, while the config's does not
		then = func(context.Context) {}
	}
	rec, configErr := s.readConfigThen(ctx, then)
	if s.separateAnchor && !rec.ID.IsZero() {
		s.retired.refreshToUse(ctx)
		s.dropRetired(&rec)
	}
	if !rec.ID.IsZero() {
		return rec, nil
	}
	text, err := s.anchor.Read(ctx)
	if isID(text) {
		s.retired.refreshToUse(ctx)
	}
	switch {
	case s.retired.valid(text):
		rec.ID, _ = ParseID(text)
		rec.Place, rec.OnlyAnchor, rec.Incomplete, rec.Unread = s.anchorPlace(), true, true, configErr != nil
		rec.Unsynced = s.anchor.Unsynced(text)
		return rec, nil
	case configErr != nil:
		return rec, configErr
	case isID(text):
		rec.Retired = true
		return rec, keeper.ErrNotFound
	case err == nil || errors.Is(err, fs.ErrNotExist) || configfile.Permanent(err):
		// The anchor is missing or damaged, or there cannot be one: only the
		// config counts, and it has no ID.
		return rec, keeper.ErrNotFound
	default:
		return rec, fmt.Errorf("read anchor: %w", err)
	}
}

// readConfig reads the config only. One that does not exist has no values,
// which is not an error. After an error the record has no ID, and a retired ID
// is none.
func (s *ConfigFile) readConfig(ctx context.Context) (keeper.Record, error) {
	return s.readConfigThen(ctx, func(context.Context) {})
}

// readConfigThen is readConfig with then as part of the operation in flight.
func (s *ConfigFile) readConfigThen(ctx context.Context, then func(context.Context)) (keeper.Record, error) {
	keys := s.keys()
	rec := keeper.Record{Place: s.configPlace()}
	values, err := s.config.ReadThen(ctx, then, keys...)
	if errors.Is(err, fs.ErrNotExist) {
		return rec, nil
	}
	if err != nil {
		return rec, err
	}
	rec.ID = idOf(values[0])
	if consent.Denies(values[0]) {
		rec.Reason = reasonOff
	}
	rec.Invalid = rec.ID.IsZero() && !values[0].IsAbsent() && values[0].Kind != jsonedit.Blocked
	s.dropRetired(&rec)
	rec.Unsynced = !rec.ID.IsZero() && s.config.Unsynced(s.key, values[0])
	if len(keys) > 1 {
		rec.Enabled = values[1]
	}
	return rec, nil
}

// dropRetired removes the ID from a record if it does not count.
func (s *ConfigFile) dropRetired(rec *keeper.Record) {
	if s.retired.has(rec.ID) {
		rec.ID, rec.Retired, rec.Unsynced = installid.ID{}, true, false
	}
}

// reasonOff is why only the anchor holds the ID beside a config such as
// {"telemetry": false}: there is no object to write the copy into.
const reasonOff = "the config turns telemetry off with a plain value, which leaves no place for a copy of the ID"

// keys returns the keys that are read together: that of the ID, and that of the
// consent if there is one.
func (s *ConfigFile) keys() []jsonedit.Key {
	keys := []jsonedit.Key{s.key}
	if len(s.enabledKey) > 0 {
		keys = append(keys, s.enabledKey)
	}
	return keys
}

// A plan is what Save will do, as far as that is known without writing.
type plan struct {
	configErr error         // why only the anchor is written
	missing   bool          // there is no config, and one is created
	off       keeper.Record // has a reason if the config has no place for the ID
}

// plan returns what Save will do with the ID, and an error if it will do
// nothing. The diagnosis goes by it too.
func (s *ConfigFile) plan(ctx context.Context, id installid.ID) (p plan, err error) {
	if err := s.retired.check(ctx, id); err != nil {
		return p, err
	}
	p.configErr = s.config.Check(ctx, s.key, id.String())
	if p.missing = errors.Is(p.configErr, fs.ErrNotExist); p.missing {
		p.configErr = nil
	}
	if errors.Is(p.configErr, jsonedit.ErrNotObject) {
		p.off, _ = s.readConfig(ctx)
	}
	if p.configErr != nil && p.off.Reason == "" && !s.anchorSuffices(p.configErr) {
		return p, p.configErr
	}
	return p, nil
}

// reasonOldID is why only the anchor holds the ID beside a read-only config.
const reasonOldID = "the config still has the old ID, which does not count any more, until the config can be written"

// Save publishes the anchor unless there is one, and copies its ID to the
// config unless an ID that counts is there.
func (s *ConfigFile) Save(ctx context.Context, id installid.ID) (rec keeper.Record, err error) {
	p, err := s.plan(ctx, id)
	if err != nil {
		return rec, err
	}
	configErr, missing, off := p.configErr, p.missing, p.off
	text, anchorErr := s.anchor.Publish(ctx, id.String())
	switch {
	case anchorErr == nil:
		id, _ = ParseID(text)
		rec = keeper.Record{ID: id, Place: s.anchorPlace(), OnlyAnchor: true, Incomplete: true, Reason: off.Reason}
		if off.Reason != "" {
			return rec, nil
		}
	case !configfile.Permanent(anchorErr):
		return rec, fmt.Errorf("publish anchor: %w", anchorErr)
	}
	if configErr == nil {
		var now jsonedit.Value
		var wrote bool
		if now, wrote, configErr = s.config.Set(ctx, s.key, id.String(), s.hasID); configErr == nil {
			// Where no anchor is possible, the config is the only copy.
			rec = keeper.Record{ID: idOf(now), Place: s.configPlace(), Written: wrote, Incomplete: anchorErr == nil && idOf(now) != id}
			if missing && wrote && len(s.enabledKey) > 0 {
				rec.Enabled = jsonedit.Value{Kind: jsonedit.Bool, Text: "false"} // as in newConfig
			}
			return rec, nil
		}
	}
	if anchorErr != nil {
		configErr = fmt.Errorf("%w (no anchor either: %w)", configErr, anchorErr)
	}
	return rec, configErr
}

// anchorSuffices reports whether the ID may go into the anchor although the
// config cannot be written because of err. An empty config may stay empty. A
// read-only one is honoured: only a separate anchor may be written. A config
// that could not be read or parsed may hold an ID, which a new one in the
// anchor would hide.
func (s *ConfigFile) anchorSuffices(err error) bool {
	return errors.Is(err, jsonedit.ErrEmpty) || s.separateAnchor && fsys.IsReadOnly(err)
}

// Maintain writes the anchor or the config's key if one of them is missing.
// The anchor follows a config in which the operator put another ID.
func (s *ConfigFile) Maintain(ctx context.Context, id installid.ID) (keeper.Record, error) {
	if err := s.retired.refresh(ctx); err != nil {
		return keeper.Record{}, err
	}
	rec, err := s.readConfig(ctx)
	if err != nil {
		return keeper.Record{}, err
	}
	if rec.ID.IsZero() {
		return s.Save(ctx, id)
	}
	text, _ := s.anchor.Read(ctx)
	if anchored, _ := ParseID(text); anchored == rec.ID || !s.mayFollow(ctx) {
		return rec, nil
	}
	return s.replaceAnchor(ctx, rec)
}

// Replace retires the old ID and every copy of it, and then sets the config's
// key and the anchor. If it is cut off after the first step, the next start
// creates another ID; after the second, the new ID in the config takes
// precedence. A read-only config keeps its copy, which does not count any more.
func (s *ConfigFile) Replace(ctx context.Context, old, id installid.ID) (keeper.Record, error) {
	if err := s.retired.refresh(ctx); err != nil {
		return keeper.Record{}, err
	}
	stored, err := s.readConfig(ctx)
	if err != nil {
		return keeper.Record{}, err
	}
	text, _ := s.anchor.Read(ctx)
	anchored, _ := ParseID(text)
	if err := s.retired.retire(ctx, old, stored.ID, anchored); err != nil {
		return keeper.Record{}, err
	}
	rec := keeper.Record{ID: id, Place: s.configPlace(), Written: true}
	never := func(jsonedit.Value) bool { return false }
	if _, _, err := s.config.Set(ctx, s.key, id.String(), never); err != nil {
		// The copy in the config does not count any more, so the anchor suffices.
		if anchorErr := s.anchor.Replace(ctx, id.String()); anchorErr != nil {
			return keeper.Record{Retired: true}, errors.Join(err, fmt.Errorf("replace anchor: %w", anchorErr))
		}
		rec = keeper.Record{ID: id, Place: s.anchorPlace(), OnlyAnchor: true, Incomplete: true, Reason: stored.Reason}
		if fsys.IsReadOnly(err) && !stored.ID.IsZero() {
			rec.Reason = reasonOldID
		}
		if fsys.IsReadOnly(err) || stored.Reason != "" { // it cannot have the new ID
			err = nil
		}
		return rec, err
	}
	return s.replaceAnchor(ctx, rec)
}

// replaceAnchor makes the anchor follow rec, which is durable already. The
// record is complete without an anchor where none is possible.
func (s *ConfigFile) replaceAnchor(ctx context.Context, rec keeper.Record) (keeper.Record, error) {
	if err := s.anchor.Replace(ctx, rec.ID.String()); err != nil && !configfile.Permanent(err) {
		rec.Incomplete = true
		return rec, fmt.Errorf("replace anchor: %w", err)
	}
	return rec, nil
}

// Recover makes the stored ID durable, lets the anchor follow the config, and
// removes temporary files of killed processes.
func (s *ConfigFile) Recover(ctx context.Context) error {
	// A reset replaces the anchor last. Reading it first means that a reset
	// between the two reads is not undone.
	known := s.retired.refresh(ctx) == nil // which IDs count
	text, _ := s.anchor.Read(ctx)
	rec, _ := s.readConfig(ctx)
	var err error
	if !rec.ID.IsZero() {
		err = s.config.Sync(ctx)
	}
	switch anchored, _ := ParseID(text); {
	case anchored.IsZero():
	case !rec.ID.IsZero() && anchored != rec.ID:
		if known && s.mayFollow(ctx) {
			s.anchor.Replace(ctx, rec.ID.String()) // if it fails, Maintain does it
		}
	default:
		err = errors.Join(err, s.anchor.Sync(ctx))
	}
	s.retired.sweep(ctx)
	s.config.Sweep(ctx) // what remains is removed at the next start
	s.anchor.Sweep(ctx)
	return err
}

// mayFollow reports whether the anchor may be written although the config has
// an ID. A read-only config is honoured.
func (s *ConfigFile) mayFollow(ctx context.Context) bool {
	return s.separateAnchor || s.config.CheckWritable(ctx) == nil
}

// Running returns the file operation in flight and when it began.
func (s *ConfigFile) Running() (op string, since time.Time) { return s.config.Running() }

func (s *ConfigFile) configPlace() string {
	return "config " + s.config.Path() + ", key " + s.key.String()
}

func (s *ConfigFile) anchorPlace() string { return "anchor " + s.anchor.Path() }

// doubts implements [filed]: an ID in a config that goes away can come back
// from the anchor.
func (s *ConfigFile) doubts(rec keeper.Record) []doubtFunc {
	if rec.OnlyAnchor {
		return []doubtFunc{s.anchor.Doubt}
	}
	return []doubtFunc{s.config.Doubt, func(ctx context.Context) (lasting.Doubt, error) {
		text, err := s.anchor.Read(ctx)
		if anchored, _ := ParseID(text); err != nil || anchored != rec.ID {
			return lasting.Doubt{Reason: "no anchor"}, nil
		}
		return s.anchor.Doubt(ctx)
	}}
}
