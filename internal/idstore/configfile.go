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
	"github.com/rollcall-dev/rollcall/internal/fsys"
	"github.com/rollcall-dev/rollcall/internal/jsonedit"
	"github.com/rollcall-dev/rollcall/internal/keeper"
)

// A ConfigFile keeps the ID in a JSON config that belongs to the host.
//
// A host that saves its own settings overwrites what others wrote into its
// config. So the truth is an anchor, a small file next to the config: of any
// number of racing processes exactly one publishes it, whole and durable. The
// config's key is a copy, for people and programs to read. A valid ID in the
// config takes precedence over the anchor, since the operator or an older
// version put it there.
type ConfigFile struct {
	config     *configfile.File
	anchor     *anchor.Anchor
	key        jsonedit.Key
	enabledKey jsonedit.Key // read together with the ID, may be empty
	// separateAnchor reports whether the anchor is in a directory of its own.
	// Then the ID can be persisted although the config is read-only.
	separateAnchor bool
}

var _ keeper.Store = (*ConfigFile)(nil)

func isID(text string) bool {
	_, err := installid.Parse(text)
	return err == nil
}

// idOf returns the ID that a config value holds, or zero.
func idOf(v jsonedit.Value) installid.ID {
	if v.Kind != jsonedit.String {
		return installid.ID{}
	}
	id, _ := installid.Parse(v.Text)
	return id
}

func hasID(v jsonedit.Value) bool { return !idOf(v).IsZero() }

// Load reads the config, and the anchor if the config has no valid ID.
func (s *ConfigFile) Load(ctx context.Context) (keeper.Record, error) {
	rec, configErr := s.readConfig(ctx)
	if !rec.ID.IsZero() {
		return rec, nil
	}
	text, err := s.anchor.Read(ctx)
	switch {
	case isID(text):
		rec.ID, _ = installid.Parse(text)
		rec.Place, rec.Incomplete, rec.Unread = s.anchorPlace(), true, configErr != nil
		rec.Unsynced = s.anchor.Unsynced(text)
		return rec, nil
	case configErr != nil:
		return rec, configErr
	case err == nil || errors.Is(err, fs.ErrNotExist) || configfile.Permanent(err):
		// The anchor is missing or damaged, or there cannot be one: only the
		// config counts, and it has no ID.
		return rec, keeper.ErrNotFound
	default:
		return rec, fmt.Errorf("read anchor: %w", err)
	}
}

// readConfig reads the config only. One that does not exist has no values,
// which is not an error. After an error the record has no ID.
func (s *ConfigFile) readConfig(ctx context.Context) (keeper.Record, error) {
	keys := []jsonedit.Key{s.key}
	if len(s.enabledKey) > 0 {
		keys = append(keys, s.enabledKey)
	}
	rec := keeper.Record{Place: s.configPlace()}
	values, err := s.config.Read(ctx, keys...)
	if errors.Is(err, fs.ErrNotExist) {
		return rec, nil
	}
	if err != nil {
		return rec, err
	}
	rec.ID = idOf(values[0])
	rec.Invalid = rec.ID.IsZero() && values[0].Kind != jsonedit.Absent
	rec.Unsynced = !rec.ID.IsZero() && s.config.Unsynced(s.key, values[0])
	if len(keys) > 1 {
		rec.Enabled = values[1]
	}
	return rec, nil
}

// Save publishes the anchor unless there is one, and copies its ID to the
// config unless a valid ID is there.
func (s *ConfigFile) Save(ctx context.Context, id installid.ID) (rec keeper.Record, err error) {
	// Find out whether the config can be written before writing anything.
	configErr := s.config.Check(ctx, s.key, id.String())
	missing := errors.Is(configErr, fs.ErrNotExist)
	if missing {
		configErr = nil // it will be created
	}
	if configErr != nil && !s.anchorSuffices(configErr) {
		return rec, configErr
	}
	text, anchorErr := s.anchor.Publish(ctx, id.String())
	switch {
	case anchorErr == nil:
		id, _ = installid.Parse(text)
		rec = keeper.Record{ID: id, Place: s.anchorPlace(), Incomplete: true}
	case !configfile.Permanent(anchorErr):
		return rec, fmt.Errorf("publish anchor: %w", anchorErr)
	}
	if configErr == nil {
		var now jsonedit.Value
		var wrote bool
		if now, wrote, configErr = s.config.Set(ctx, s.key, id.String(), hasID); configErr == nil {
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
	rec, err := s.readConfig(ctx)
	if err != nil {
		return keeper.Record{}, err
	}
	if rec.ID.IsZero() {
		return s.Save(ctx, id)
	}
	text, _ := s.anchor.Read(ctx)
	if anchored, _ := installid.Parse(text); anchored == rec.ID || !s.mayFollow(ctx) {
		return rec, nil
	}
	return s.replaceAnchor(ctx, rec)
}

// Replace sets the config's key and then the anchor. If it is cut off between
// the two, the new ID in the config takes precedence.
func (s *ConfigFile) Replace(ctx context.Context, id installid.ID) (keeper.Record, error) {
	rec := keeper.Record{ID: id, Place: s.configPlace(), Written: true}
	never := func(jsonedit.Value) bool { return false }
	if _, _, err := s.config.Set(ctx, s.key, id.String(), never); err != nil {
		old, readErr := s.readConfig(ctx)
		if !s.anchorSuffices(err) || readErr != nil || !old.ID.IsZero() {
			return keeper.Record{}, err
		}
		rec = keeper.Record{ID: id, Place: s.anchorPlace(), Incomplete: true} // the config has no ID and cannot have one
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
	text, _ := s.anchor.Read(ctx)
	rec, _ := s.readConfig(ctx)
	var err error
	if !rec.ID.IsZero() {
		err = s.config.Sync(ctx)
	}
	switch anchored, _ := installid.Parse(text); {
	case anchored.IsZero():
	case !rec.ID.IsZero() && anchored != rec.ID:
		if s.mayFollow(ctx) {
			s.anchor.Replace(ctx, rec.ID.String()) // if it fails, Maintain does it
		}
	default:
		err = errors.Join(err, s.anchor.Sync(ctx))
	}
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
