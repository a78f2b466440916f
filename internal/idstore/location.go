// Package idstore keeps an installation ID in files or in the host's own
// settings, and beside it the operator's decisions and the state of the
// reports. Its stores implement [keeper.Store].
package idstore

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/rollcall-dev/rollcall/internal/anchor"
	"github.com/rollcall-dev/rollcall/internal/configfile"
	"github.com/rollcall-dev/rollcall/internal/diagnose"
	"github.com/rollcall-dev/rollcall/internal/fsys"
	"github.com/rollcall-dev/rollcall/internal/jsonedit"
	"github.com/rollcall-dev/rollcall/internal/keeper"
)

// A Location says where on disk an ID is kept: in a config or in a state file.
// It can be passed to another process.
type Location struct {
	// ConfigPath is the path of the JSON config.
	ConfigPath string
	// Key is the key of the ID in the config.
	Key jsonedit.Key
	// EnabledKey is the key of the consent in the config. Nil means none.
	EnabledKey jsonedit.Key
	// AnchorDir is the directory of the anchor. Empty means that of the
	// config. It is created if it does not exist.
	AnchorDir string
	// StateFile is the path of the state file if there is no config.
	StateFile string
	// PolicyPath is the path of the machine-wide policy file. Empty means
	// none. Only [Records] read it.
	PolicyPath string
}

// Open returns the store at the location. It does not touch the disk.
func (l Location) Open(disk fsys.FS) (keeper.Store, error) {
	switch {
	case l.ConfigPath != "" && l.StateFile != "":
		return nil, errors.New("both a config and a state file")
	case l.StateFile == "":
		return l.openConfig(disk)
	}
	file, err := anchor.Open(disk, l.StateFile, anchor.Options{Valid: isID})
	return &StateFile{file: file}, err
}

func (l Location) openConfig(disk fsys.FS) (*ConfigFile, error) {
	config, err := configfile.Open(disk, l.ConfigPath, configfile.Options{New: newConfig(l.EnabledKey)})
	if err != nil {
		return nil, err
	}
	if err := l.Key.Check(); err != nil {
		return nil, fmt.Errorf("key: %w", err)
	}
	anchor, err := config.Anchor(l.besideConfig(".installation-id"), isID)
	return &ConfigFile{
		config:         config,
		anchor:         anchor,
		key:            l.Key,
		enabledKey:     l.EnabledKey,
		separateAnchor: l.hasSeparateAnchor(),
	}, err
}

// besideConfig returns the path of a hidden file in AnchorDir that is named
// after the config.
func (l Location) besideConfig(suffix string) string {
	return fsys.Join(cmp.Or(l.AnchorDir, fsys.Dir(l.ConfigPath)), "."+filepath.Base(l.ConfigPath)+suffix)
}

func (l Location) hasSeparateAnchor() bool {
	return l.AnchorDir != "" && filepath.Clean(l.AnchorDir) != filepath.Dir(l.ConfigPath)
}

// newConfig returns what a config that does not exist begins with: the
// operator's switch, which is off.
func newConfig(enabled jsonedit.Key) []byte {
	if len(enabled) == 0 {
		return []byte("{}\n")
	}
	var content any = false
	for _, name := range slices.Backward(enabled) {
		content = map[string]any{name: content}
	}
	text, _ := json.MarshalIndent(content, "", "  ")
	return append(text, '\n')
}

// Diagnose examines everything that saving an ID at the location depends on.
// It waits no longer than ctx.
func (l Location) Diagnose(ctx context.Context, disk fsys.FS) ([]diagnose.Finding, error) {
	store, err := l.Open(disk)
	if err != nil {
		return nil, err
	}
	if s, ok := store.(*ConfigFile); ok {
		return diagnose.Config(ctx, disk, s.config.Path(), s.key, s.anchor.Path()), nil
	}
	return diagnose.File(ctx, disk, l.StateFile, isID), nil
}
