package idstore

import (
	"cmp"
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

// stateSuffix ends the name of the file that says what was sent; it lies beside the anchor.
const stateSuffix = ".rollcall-state"

// Records are what is kept on disk besides the ID, in the same places: the operator's decisions in the config, and what
// was sent in a file beside the anchor. The methods are bounded in time and safe for concurrent use as those of a
// [Store] are.
type Records interface {
	// ReadDecisions reads the config's values at configKeys, and then those
	// of the machine-wide policy file at policyKeys. A file for which there
	// are no keys is not read. The policy is left alone if ctx ends while
	// the config is read.
	ReadDecisions(ctx context.Context, configKeys, policyKeys []jsonedit.Key) Decisions
	// WriteValue gives the config's key a value, a JSON literal such as true or 2.
	WriteValue(ctx context.Context, key jsonedit.Key, literal string) error
	// LoadState reads what SaveState wrote; fs.ErrNotExist when there is nothing.
	LoadState(ctx context.Context) ([]byte, error)
	// SaveState keeps a line of JSON, at most 1,000 bytes.
	SaveState(ctx context.Context, state []byte) error
	// Running tells which operation is in flight and since when.
	Running() (op string, since time.Time)
}

// Decisions are the values that say what the operator decided. The values of
// a file are nil if it was not read. All of them are Absent if the file does
// not exist.
type Decisions struct {
	Config, Policy       []jsonedit.Value
	ConfigErr, PolicyErr error
}

// OpenRecords gives the records of a location; it does not touch the disk.
func (l Location) OpenRecords() (Records, error) { return l.OpenRecordsFS(fsys.OS{}, nil) }

// OpenRecordsFS is OpenRecords on another file system, and beside a store of the same location, nil for none: the two
// never have an operation on the config in flight at the same time.
func (l Location) OpenRecordsFS(disk fsys.FS, store keeper.Store) (Records, error) {
	r := new(fileRecords)
	var err error
	if l.PolicyPath != "" {
		if r.policy, err = configfile.Open(disk, l.PolicyPath, configfile.Options{}); err != nil {
			return nil, err
		}
	}
	configPath, statePath := l.recordPaths()
	if s, ok := store.(*ConfigFile); ok {
		r.config = s.config.Sibling()
	} else if configPath != "" {
		if r.config, err = configfile.Open(disk, configPath, configfile.Options{New: newConfig(l.EnabledKey)}); err != nil {
			return nil, err
		}
	}
	if statePath != "" {
		if r.state, err = r.config.Anchor(statePath, isJSON); err != nil {
			return nil, err
		}
		r.beside = l.ConfigPath != "" && filepath.Dir(statePath) == filepath.Dir(configPath)
	}
	return r, err
}

// recordPaths gives the file of the operator's decisions and that of the state, empty where there is none.
func (l Location) recordPaths() (config, state string) {
	switch {
	case l.ConfigPath != "":
		dir := cmp.Or(l.AnchorDir, filepath.Dir(l.ConfigPath))
		return l.ConfigPath, filepath.Join(dir, "."+filepath.Base(l.ConfigPath)+stateSuffix)
	case l.StateFile != "":
		dir := filepath.Dir(l.StateFile)
		return filepath.Join(dir, consentFile), filepath.Join(dir, "."+filepath.Base(l.StateFile)+stateSuffix)
	case l.AnchorDir != "":
		return filepath.Join(l.AnchorDir, consentFile), filepath.Join(l.AnchorDir, "."+stateOnly+stateSuffix)
	}
	return "", ""
}

func isJSON(text string) bool { return json.Valid([]byte(text)) }

const (
	// consentFile holds the operator's decisions in the state folder, for a host without a config.
	consentFile = "consent.json"
	// stateOnly is the name of the state for a host that keeps the ID itself.
	stateOnly = "installation"
)

// ErrNoPlace says that a location has no file for what is to be kept.
var ErrNoPlace = errors.New("there is no file to keep it in")

// fileRecords are records in files; each is nil where the location has none.
type fileRecords struct {
	config *configfile.File
	policy *configfile.File
	state  *anchor.Anchor
	beside bool // whether the state lies beside the host's config
}

func (r *fileRecords) ReadDecisions(ctx context.Context, configKeys, policyKeys []jsonedit.Key) (d Decisions) {
	if len(configKeys) > 0 {
		d.Config, d.ConfigErr = readIfThere(ctx, r.config, configKeys)
	}
	if len(policyKeys) > 0 && ctx.Err() == nil {
		d.Policy, d.PolicyErr = readIfThere(ctx, r.policy, policyKeys)
	}
	return d
}

func readIfThere(ctx context.Context, file *configfile.File, keys []jsonedit.Key) ([]jsonedit.Value, error) {
	if file == nil {
		return make([]jsonedit.Value, len(keys)), nil
	}
	values, err := file.Read(ctx, keys...)
	if errors.Is(err, fs.ErrNotExist) {
		return make([]jsonedit.Value, len(keys)), nil
	}
	return values, err
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
	if r.beside {
		// A config that is read-only is taken at its word, as the store does.
		if err := r.config.CheckWritable(ctx); fsys.IsReadOnly(err) {
			return fmt.Errorf("nothing is written beside the config: %w", err)
		}
	}
	return r.state.Replace(ctx, string(state))
}

func (r *fileRecords) Running() (op string, since time.Time) {
	if r.config != nil {
		if op, since = r.config.Running(); op != "" {
			return op, since
		}
	}
	if r.state != nil {
		if op, since = r.state.Running(); op != "" {
			return op, since
		}
	}
	if r.policy != nil {
		return r.policy.Running()
	}
	return "", time.Time{}
}
