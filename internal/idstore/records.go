package idstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/rollcall-dev/rollcall/internal/anchor"
	"github.com/rollcall-dev/rollcall/internal/configfile"
	"github.com/rollcall-dev/rollcall/internal/fsys"
	"github.com/rollcall-dev/rollcall/internal/jsonedit"
	"github.com/rollcall-dev/rollcall/internal/keeper"
)

// Records are what is kept on disk besides the ID, in the same places: the
// operator's decisions in the config, and what was sent in a state file next
// to the anchor. Like those of a [keeper.Store], the methods return soon after
// their context ends and are safe for concurrent use.
type Records interface {
	// ReadDecisions reads the config's values at configKeys, and then those
	// of the machine-wide policy file at policyKeys. A file for which there
	// are no keys is not read, nor is the policy if ctx ends while the config
	// is read.
	ReadDecisions(ctx context.Context, configKeys, policyKeys []jsonedit.Key) Decisions
	// WriteValue sets the config's key to a JSON literal such as true or 2.
	WriteValue(ctx context.Context, key jsonedit.Key, literal string) error
	// LoadState reads what SaveState wrote. The error is fs.ErrNotExist if
	// there is nothing.
	LoadState(ctx context.Context) ([]byte, error)
	// SaveState keeps one line of JSON of at most 1,000 bytes.
	SaveState(ctx context.Context, state []byte) error
	// Running returns the operation in flight and when it began, or "".
	Running() (op string, since time.Time)
}

// Decisions are the values that say what the operator decided. The values of
// a file are nil if it was not read, and all Absent if it does not exist.
type Decisions struct {
	Config, Policy       []jsonedit.Value
	ConfigErr, PolicyErr error
}

// ErrNoPlace is returned by Records that have no file to write to.
var ErrNoPlace = errors.New("there is no file to keep it in")

// fileRecords are records in files. Each is nil if the location has none.
type fileRecords struct {
	config *configfile.File
	policy *configfile.File
	state  *anchor.Anchor
	// besideConfig reports whether the state is next to the host's config.
	besideConfig bool
}

// OpenRecords returns the records of the location. It does not touch the disk.
// The records never use the config at the same time as store, which is a store
// of the same location or nil.
func (l Location) OpenRecords(disk fsys.FS, store keeper.Store) (Records, error) {
	r := new(fileRecords)
	var err error
	if l.PolicyPath != "" {
		if r.policy, err = configfile.Open(disk, l.PolicyPath, configfile.Options{}); err != nil {
			return nil, err
		}
	}
	configPath, statePath := l.recordPaths()
	if configPath == "" {
		return r, nil
	}
	if s, ok := store.(*ConfigFile); ok {
		r.config = s.config.Sibling()
	} else if r.config, err = configfile.Open(disk, configPath, configfile.Options{New: newConfig(l.EnabledKey)}); err != nil {
		return nil, err
	}
	isJSON := func(text string) bool { return json.Valid([]byte(text)) }
	r.state, err = r.config.Anchor(statePath, isJSON)
	r.besideConfig = l.ConfigPath != "" && !l.hasSeparateAnchor()
	return r, err
}

// recordPaths returns the paths of the operator's decisions and of the state,
// or "" if there is no place for them.
func (l Location) recordPaths() (config, state string) {
	const (
		stateSuffix = ".rollcall-state"
		consentFile = "consent.json" // the decisions for a host without a config
	)
	switch {
	case l.ConfigPath != "":
		return l.ConfigPath, l.besideConfig(stateSuffix)
	case l.StateFile != "":
		dir := fsys.Dir(l.StateFile)
		return fsys.Join(dir, consentFile), fsys.Join(dir, "."+filepath.Base(l.StateFile)+stateSuffix)
	case l.AnchorDir != "": // of a host that keeps the ID itself
		return fsys.Join(l.AnchorDir, consentFile), fsys.Join(l.AnchorDir, ".installation"+stateSuffix)
	}
	return "", ""
}

// DecisionsPath returns the file of the operator's decisions, or "" if there
// is none.
func (l Location) DecisionsPath() string {
	path, _ := l.recordPaths()
	return path
}

func (r *fileRecords) ReadDecisions(ctx context.Context, configKeys, policyKeys []jsonedit.Key) (d Decisions) {
	d.Config, d.ConfigErr = readValues(ctx, r.config, configKeys)
	if ctx.Err() == nil {
		d.Policy, d.PolicyErr = readValues(ctx, r.policy, policyKeys)
	}
	return d
}

func readValues(ctx context.Context, file *configfile.File, keys []jsonedit.Key) ([]jsonedit.Value, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	if file != nil {
		values, err := file.Read(ctx, keys...)
		if !errors.Is(err, fs.ErrNotExist) {
			return values, err
		}
	}
	return make([]jsonedit.Value, len(keys)), nil
}

func (r *fileRecords) WriteValue(ctx context.Context, key jsonedit.Key, literal string) error {
	if r.config == nil {
		return ErrNoPlace
	}
	return r.config.SetLiteral(ctx, key, literal)
}

func (r *fileRecords) LoadState(ctx context.Context) ([]byte, error) {
	if r.state == nil {
		return nil, fs.ErrNotExist
	}
	text, err := r.state.Read(ctx)
	return []byte(text), err
}

func (r *fileRecords) SaveState(ctx context.Context, state []byte) error {
	if r.state == nil {
		return ErrNoPlace
	}
	if r.besideConfig { // a read-only config is honoured here too
		if err := r.config.CheckWritable(ctx); fsys.IsReadOnly(err) {
			return fmt.Errorf("nothing is written beside the config: %w", err)
		}
	}
	return r.state.Replace(ctx, string(state))
}

func (r *fileRecords) Running() (op string, since time.Time) {
	if r.config != nil {
		op, since = r.config.Running() // of the state too
	}
	if op == "" && r.policy != nil {
		return r.policy.Running()
	}
	return op, since
}
