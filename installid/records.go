package installid

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/rollcall-dev/rollcall/configfile"
	"github.com/rollcall-dev/rollcall/internal/fsys"
)

// stateSuffix ends the name of the file that says what was sent; it lies beside the anchor.
const stateSuffix = ".rollcall-state"

// Records are what is kept on disk besides the ID, in the same places: the operator's decisions in the config, and what
// was sent in a file beside the anchor. The methods are bounded in time and safe for concurrent use as those of a
// [Store] are.
type Records interface {
	// ReadValues reads the config's values at the keys, all Absent when there is no config.
	ReadValues(ctx context.Context, keys []configfile.Key) ([]configfile.Value, error)
	// WriteValue gives the config's key a value, a JSON literal such as true or 2.
	WriteValue(ctx context.Context, key configfile.Key, literal string) error
	// ReadPolicy reads the machine-wide policy file's values at the keys, all Absent when there is no such file.
	ReadPolicy(ctx context.Context, keys []configfile.Key) ([]configfile.Value, error)
	// LoadState reads what SaveState wrote; fs.ErrNotExist when there is nothing.
	LoadState(ctx context.Context) ([]byte, error)
	// SaveState keeps a line of JSON, at most 1,000 bytes.
	SaveState(ctx context.Context, state []byte) error
	// Running tells which operation is in flight and since when.
	Running() (op string, since time.Time)
}

// OpenRecords gives the records of a location; it does not touch the disk.
func (l Location) OpenRecords() (Records, error) { return l.OpenRecordsFS(fsys.OS{}) }

// OpenRecordsFS is OpenRecords on another file system.
func (l Location) OpenRecordsFS(fsys fsys.FS) (Records, error) {
	configPath, base := l.ConfigPath, filepath.Base(l.ConfigPath)
	stateDir := l.AnchorDir
	if l.StateFile != "" {
		// A host without a config has its operator's decisions in a file of their own.
		configPath = filepath.Join(filepath.Dir(l.StateFile), consentFile)
		base, stateDir = filepath.Base(l.StateFile), filepath.Dir(l.StateFile)
	}
	config, err := configfile.OpenFS(fsys, configPath, configfile.Options{New: newConfig(l.EnabledKey)})
	if err != nil {
		return nil, err
	}
	if stateDir == "" {
		stateDir = filepath.Dir(configPath)
	}
	r := &fileRecords{config: config, state: config.AnchorAt(filepath.Join(stateDir, "."+base+stateSuffix), isJSON)}
	if l.PolicyPath != "" {
		if r.policy, err = configfile.OpenFS(fsys, l.PolicyPath, configfile.Options{}); err != nil {
			return nil, err
		}
	}
	return r, nil
}

func isJSON(text string) bool { return json.Valid([]byte(text)) }

// consentFile holds the operator's decisions beside a state file.
const consentFile = "consent.json"

type fileRecords struct {
	config *configfile.File
	policy *configfile.File // nil for none
	state  *configfile.Anchor
}

func (r *fileRecords) ReadValues(ctx context.Context, keys []configfile.Key) ([]configfile.Value, error) {
	return readIfThere(ctx, r.config, keys)
}

func (r *fileRecords) ReadPolicy(ctx context.Context, keys []configfile.Key) ([]configfile.Value, error) {
	if r.policy == nil {
		return make([]configfile.Value, len(keys)), nil
	}
	return readIfThere(ctx, r.policy, keys)
}

func readIfThere(ctx context.Context, file *configfile.File, keys []configfile.Key) ([]configfile.Value, error) {
	values, err := file.Read(ctx, keys...)
	if errors.Is(err, fs.ErrNotExist) {
		return make([]configfile.Value, len(keys)), nil
	}
	return values, err
}

func (r *fileRecords) WriteValue(ctx context.Context, key configfile.Key, literal string) error {
	return r.config.SetLiteral(ctx, key, literal)
}

func (r *fileRecords) LoadState(ctx context.Context) ([]byte, error) {
	text, err := r.state.Read(ctx)
	return []byte(text), err
}

func (r *fileRecords) SaveState(ctx context.Context, state []byte) error {
	return r.state.Replace(ctx, string(state))
}

func (r *fileRecords) Running() (op string, since time.Time) { return r.config.Running() }
