package idstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/rollcall-dev/rollcall/internal/configfile"
	"github.com/rollcall-dev/rollcall/internal/diagnose"
	"github.com/rollcall-dev/rollcall/internal/fsys"
	"github.com/rollcall-dev/rollcall/internal/jsonedit"
	"github.com/rollcall-dev/rollcall/internal/keeper"
)

// A Location says where on disk an ID is kept: in a config or in a plain file. It can be given to another process.
type Location struct {
	// ConfigPath is the JSON config, Key the ID's place in it, EnabledKey the one of the consent, and AnchorDir the
	// folder for the anchor; see ConfigOptions.
	ConfigPath string       `json:"config_path,omitempty"`
	Key        jsonedit.Key `json:"key,omitempty"`
	EnabledKey jsonedit.Key `json:"enabled_key,omitempty"`
	AnchorDir  string       `json:"anchor_dir,omitempty"`
	// StateFile is the plain file, when there is no config.
	StateFile string `json:"state_file,omitempty"`
	// PolicyPath is the machine-wide policy file, which only records are read from; empty for none.
	PolicyPath string `json:"policy_path,omitempty"`
}

// off is the consent in a new config.
const off = "false"

// newConfig is what a config that does not exist begins with: the operator sees the switch, and that it is off.
func newConfig(enabled jsonedit.Key) []byte {
	if len(enabled) == 0 {
		return []byte("{}\n")
	}
	text := off
	for depth, name := range slices.Backward(enabled) {
		quoted, _ := json.Marshal(name)
		text = fmt.Sprintf("{\n%s%s: %s\n%s}", indent(depth+1), quoted, text, indent(depth))
	}
	return []byte(text + "\n")
}

func indent(depth int) string { return strings.Repeat("  ", depth) }

// Open gives the store at the location; it does not touch the disk.
func (l Location) Open() (keeper.Store, error) { return l.OpenFS(fsys.OS{}) }

// OpenFS is Open on another file system.
func (l Location) OpenFS(disk fsys.FS) (keeper.Store, error) {
	switch {
	case l.ConfigPath != "" && l.StateFile != "":
		return nil, errors.New("both a config and a state file")
	case l.StateFile != "":
		return newStateFile(disk, l.StateFile)
	}
	config, err := configfile.Open(disk, l.ConfigPath, configfile.Options{New: newConfig(l.EnabledKey)})
	if err != nil {
		return nil, err
	}
	opts := ConfigOptions{Key: l.Key, EnabledKey: l.EnabledKey, AnchorDir: l.AnchorDir}
	if len(l.EnabledKey) > 0 {
		opts.Fresh = jsonedit.Value{Kind: jsonedit.Bool, Text: off}
	}
	return newConfigFile(config, opts)
}

// Diagnose looks at all that saving an ID at the location depends on. It waits no longer than ctx.
func (l Location) Diagnose(ctx context.Context, disk fsys.FS) ([]diagnose.Finding, error) {
	store, err := l.OpenFS(disk)
	if err != nil {
		return nil, err
	}
	switch s := store.(type) {
	case *ConfigFile:
		return diagnose.Config(ctx, disk, s.config.Path(), s.key, s.anchor.Path()), nil
	case *StateFile:
		return diagnose.File(ctx, disk, s.file.Path(), isID), nil
	}
	return nil, nil
}
