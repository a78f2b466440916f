package idstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/rollcall-dev/rollcall/installid"
	"github.com/rollcall-dev/rollcall/internal/anchor"
	"github.com/rollcall-dev/rollcall/internal/configfile"
	"github.com/rollcall-dev/rollcall/internal/fsys"
	"github.com/rollcall-dev/rollcall/internal/jsonedit"
	"github.com/rollcall-dev/rollcall/internal/keeper"
)

// DefaultKey is where the ID lives in a config.
const DefaultKey = "telemetry.installation_id"

// A ConfigFile keeps the ID in a JSON config that belongs to the host.
//
// A host that saves its own settings overwrites what others wrote into its config. So the truth is an anchor, a small
// file beside the config, published whole and durable under its final name by exactly one of any number of racing
// processes; the config's key is its copy, for people and programs to read. A valid ID in the config wins over the
// anchor: the operator put it there, or an older version did.
type ConfigFile struct {
	config *configfile.File
	anchor *anchor.Anchor
	key    jsonedit.Key
	// enabled is the config's consent key, read together with the ID.
	enabled jsonedit.Key
	// fresh is what a config that had to be made says there.
	fresh jsonedit.Value
	// apart says that the anchor lives in a folder of its own, so that a read-only config has a persisted ID too.
	apart bool
}

// ConfigOptions say where a [ConfigFile] keeps what.
type ConfigOptions struct {
	// Key is where the ID lives; nil is DefaultKey.
	Key jsonedit.Key
	// EnabledKey is the config's consent key; nil for none.
	EnabledKey jsonedit.Key
	// Fresh is what stands at EnabledKey in the document of configfile.Options.New.
	Fresh jsonedit.Value
	// AnchorDir is the folder for the anchor; empty is the config's own. It and its parents are made when missing.
	AnchorDir string
}

// newConfigFile gives the store of the config at path; it does not touch the disk.
func newConfigFile(config *configfile.File, opts ConfigOptions) (*ConfigFile, error) {
	if opts.Key == nil {
		opts.Key, _ = jsonedit.ParseKey(DefaultKey)
	}
	if err := opts.Key.Check(); err != nil {
		return nil, fmt.Errorf("key: %w", err)
	}
	anchor, err := config.Anchor(anchorPath(config.Path(), opts.AnchorDir), isID)
	if err != nil {
		return nil, err
	}
	return &ConfigFile{
		config:  config,
		anchor:  anchor,
		key:     opts.Key,
		enabled: opts.EnabledKey,
		fresh:   opts.Fresh,
		apart:   opts.AnchorDir != "" && filepath.Clean(opts.AnchorDir) != filepath.Dir(config.Path()),
	}, nil
}

// anchorPath returns the path of the anchor of a config: in dir, or next to the
// config if dir is empty.
func anchorPath(config, dir string) string {
	if dir == "" {
		dir = fsys.Dir(config)
	}
	return fsys.Join(dir, "."+filepath.Base(config)+".installation-id")
}

func isID(text string) bool {
	_, err := installid.Parse(text)
	return err == nil
}

// storedID is the ID that a config value holds, or the zero ID.
func storedID(v jsonedit.Value) installid.ID {
	if v.Kind != jsonedit.String {
		return installid.ID{}
	}
	id, _ := installid.Parse(v.Text)
	return id
}

// Load looks into the config, and into the anchor when no valid ID is there.
func (s *ConfigFile) Load(ctx context.Context) (keeper.Record, error) {
	rec, configErr := s.readConfig(ctx)
	if configErr == nil && !rec.ID.IsZero() {
		return rec, nil
	}
	text, err := s.anchor.Read(ctx)
	switch {
	case err == nil && isID(text):
		rec.ID, _ = installid.Parse(text)
		rec.Place, rec.Incomplete, rec.Unread = s.anchorPlace(), true, configErr != nil
		rec.Unsynced = s.anchor.Unsynced(text)
		return rec, nil
	case configErr != nil:
		return rec, configErr
	case err == nil || errors.Is(err, fs.ErrNotExist) || configfile.Permanent(err):
		// No anchor, a damaged one, or no place for one: the config alone decides, and it has no ID.
		return rec, keeper.ErrNotFound
	default:
		return rec, fmt.Errorf("read anchor: %w", err)
	}
}

// readConfig reads what the config says. A config that does not exist says nothing, without an error.
func (s *ConfigFile) readConfig(ctx context.Context) (keeper.Record, error) {
	keys := []jsonedit.Key{s.key}
	if s.enabled != nil {
		keys = append(keys, s.enabled)
	}
	rec := keeper.Record{Place: s.configPlace()}
	values, err := s.config.Read(ctx, keys...)
	if errors.Is(err, fs.ErrNotExist) {
		return rec, nil
	}
	if err != nil {
		return rec, err
	}
	rec.ID = storedID(values[0])
	rec.Replaced = rec.ID.IsZero() && values[0].Kind != jsonedit.Absent
	rec.Unsynced = !rec.ID.IsZero() && s.config.Unsynced(s.key, values[0])
	if s.enabled != nil {
		rec.Enabled = values[1]
	}
	return rec, nil
}

// Save publishes the anchor, unless one is there, and copies what it says to the config, unless a valid ID is there.
func (s *ConfigFile) Save(ctx context.Context, id installid.ID) (keeper.Record, error) {
	// Whatever rules out writing to the config is found before anything is written at all.
	unwritable := s.config.Check(ctx, s.key, id.String())
	missing := errors.Is(unwritable, fs.ErrNotExist)
	if missing {
		unwritable = nil // it will be made
	}
	if unwritable != nil && !s.anchorHolds(unwritable) {
		return keeper.Record{}, unwritable
	}
	rec := keeper.Record{}
	text, anchorErr := s.anchor.Publish(ctx, id.String())
	switch {
	case anchorErr == nil:
		id, _ = installid.Parse(text)
		rec = keeper.Record{ID: id, Place: s.anchorPlace(), Incomplete: true}
	case !configfile.Permanent(anchorErr):
		return keeper.Record{}, fmt.Errorf("publish anchor: %w", anchorErr)
	}
	if unwritable != nil {
		if anchorErr != nil {
			unwritable = errors.Join(unwritable, fmt.Errorf("publish anchor: %w", anchorErr))
		}
		return rec, unwritable
	}
	rec, err := s.copyToConfig(ctx, rec, id, anchorErr)
	if missing && rec.Written {
		rec.Enabled = s.fresh
	}
	return rec, err
}

// anchorHolds tells whether the ID may go into the anchor although the config cannot be written, for err. A config that
// is empty may stay so; one that is read-only is taken at its word, unless the anchor lives elsewhere. One that could
// not be read, or not be understood, may hold an ID, which a new one in the anchor would hide.
func (s *ConfigFile) anchorHolds(err error) bool {
	return errors.Is(err, jsonedit.ErrEmpty) || s.apart && fsys.IsReadOnly(err)
}

// copyToConfig sets the config's key to id, unless a valid one is there. rec is what is durable already.
func (s *ConfigFile) copyToConfig(ctx context.Context, rec keeper.Record, id installid.ID, anchorErr error) (keeper.Record, error) {
	now, wrote, err := s.config.Set(ctx, s.key, id.String(), func(v jsonedit.Value) bool { return !storedID(v).IsZero() })
	if err != nil {
		if anchorErr != nil {
			err = fmt.Errorf("%w (no anchor either: %w)", err, anchorErr)
		}
		return rec, err
	}
	found := storedID(now)
	return keeper.Record{
		ID:      found,
		Place:   s.configPlace(),
		Written: wrote,
		// Where no anchor can be, the config alone is all there is to make.
		Incomplete: anchorErr == nil && found != id,
	}, nil
}

// Maintain makes the anchor or the config's key when one of them is missing, and lets the anchor follow a config in
// which the operator has put another ID.
func (s *ConfigFile) Maintain(ctx context.Context, id installid.ID) (keeper.Record, error) {
	rec, err := s.readConfig(ctx)
	if err != nil {
		return keeper.Record{}, err
	}
	if rec.ID.IsZero() {
		return s.Save(ctx, id)
	}
	text, err := s.anchor.Read(ctx)
	if anchored, _ := installid.Parse(text); err == nil && anchored == rec.ID {
		return rec, nil
	}
	if !s.mayFollow(ctx) {
		return rec, nil
	}
	if err := s.anchor.Replace(ctx, rec.ID.String()); err != nil && !configfile.Permanent(err) {
		rec.Incomplete = true
		return rec, fmt.Errorf("publish anchor: %w", err)
	}
	return rec, nil
}

// Replace sets the config's key and then the anchor. Should it be cut off between the two, the config's ID is the new
// one and wins.
func (s *ConfigFile) Replace(ctx context.Context, id installid.ID) (keeper.Record, error) {
	rec := keeper.Record{ID: id, Place: s.configPlace(), Written: true}
	never := func(jsonedit.Value) bool { return false }
	if _, _, err := s.config.Set(ctx, s.key, id.String(), never); err != nil {
		old, readErr := s.readConfig(ctx)
		if !s.anchorHolds(err) || readErr != nil || !old.ID.IsZero() {
			return keeper.Record{}, err
		}
		rec = keeper.Record{ID: id, Place: s.anchorPlace(), Incomplete: true} // the config has none, and cannot have one
	}
	if err := s.anchor.Replace(ctx, id.String()); err != nil && !configfile.Permanent(err) {
		rec.Incomplete = true
		return rec, fmt.Errorf("replace anchor: %w", err)
	}
	return rec, nil
}

// Recover makes durable what is stored, lets the anchor follow a config whose ID it does not have, and removes temporary
// files of killed processes.
func (s *ConfigFile) Recover(ctx context.Context) error {
	// The anchor is read first: a reset changes it last, so that a reset which comes between the two reads is not undone.
	text, anchorErr := s.anchor.Read(ctx)
	rec, configErr := s.readConfig(ctx)
	var err error
	if configErr == nil && !rec.ID.IsZero() {
		err = s.config.Sync(ctx)
	}
	switch anchored, _ := installid.Parse(text); {
	case anchorErr != nil || anchored.IsZero():
	case configErr == nil && !rec.ID.IsZero() && anchored != rec.ID:
		if s.mayFollow(ctx) {
			s.anchor.Replace(ctx, rec.ID.String()) // best effort: the next look does it as well
		}
	default:
		err = errors.Join(err, s.anchor.Sync(ctx))
	}
	s.config.Sweep(ctx) // best effort: what stays is swept at the next start
	s.anchor.Sweep(ctx)
	return err
}

// mayFollow tells whether the anchor may be written to where the config has an ID already. A config that is read-only is
// taken at its word.
func (s *ConfigFile) mayFollow(ctx context.Context) bool {
	return s.apart || s.config.CheckWritable(ctx) == nil
}

// Running tells which file operation is in flight and since when.
func (s *ConfigFile) Running() (op string, since time.Time) { return s.config.Running() }

func (s *ConfigFile) configPlace() string {
	return "config " + s.config.Path() + ", key " + s.key.String()
}

func (s *ConfigFile) anchorPlace() string { return "anchor " + s.anchor.Path() }
