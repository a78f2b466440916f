package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/rollcall-dev/rollcall"
	"github.com/rollcall-dev/rollcall/internal/keeper"
	"github.com/spf13/cobra"
)

// defaultConfig is the host's config when nobody names one.
var defaultConfig = filepath.Join("config", "config.json")

// storage are the settings that say where the ID is kept. All verbs that touch the disk share them.
type storage struct {
	config     string
	configKey  string
	enabledKey string
	stateDir   string
	app        string
	noConfig   bool
	isolate    bool
}

func (s *storage) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	addSetting(flags, textSetting(&s.config, "file", defaultConfig), "config", "the host's JSON config")
	addSetting(flags, textSetting(&s.configKey, "key", rollcall.DefaultConfigKey), "config-key", "where in it the ID lives")
	addSetting(flags, textSetting(&s.enabledKey, "key", rollcall.DefaultEnabledKey), "enabled-key",
		"where in it the operator's consent is")
	addSetting(flags, textSetting(&s.stateDir, "folder", ""), "state-dir",
		"absolute path of a folder for the anchor, instead of the config's own, or for the state file")
	addSetting(flags, textSetting(&s.app, "name", ""), "app",
		"the host's name: by which a collector knows it, and that of its state folder")
	addSetting(flags, boolSetting(&s.noConfig, false), "no-config",
		"the host has no JSON config: the ID lives in a state file of --app")
	addSetting(flags, boolSetting(&s.isolate, true), "isolate",
		"do the file work in a child process, so that a hung disk cannot keep this one from ending")
	// These fail only for a flag that does not exist.
	_ = cmd.MarkFlagFilename("config", "json", "jsonc")
	_ = cmd.MarkFlagDirname("state-dir")
}

// rollcallConfig gives the settings as the library takes them.
func (s *storage) rollcallConfig(cmd *cobra.Command) (rollcall.Config, error) {
	c := rollcall.Config{
		ConfigKey:  s.configKey,
		EnabledKey: s.enabledKey,
		StateDir:   s.stateDir,
		Isolate:    s.isolate,
	}
	c.App = s.app
	switch {
	case s.noConfig && originOf(cmd.Flag("config")) == byFlag:
		return c, withHint(errors.New("both --config and --no-config are given"), "give the one that says where the ID is to be kept")
	case s.noConfig && s.app == "":
		return c, withHint(errors.New("--no-config: the state folder has no name"), "give one with --app")
	case s.noConfig:
	case s.config == "":
		return c, withHint(errors.New("--config: empty"), "leave it out for %s", defaultConfig)
	default:
		c.ConfigPath = s.config
	}
	return c, nil
}

// open gives the place where the ID is kept; it does not touch the disk.
func (s *storage) open(cmd *cobra.Command) (keeper.Store, error) {
	config, err := s.rollcallConfig(cmd)
	if err != nil {
		return nil, err
	}
	store, err := config.OpenStore()
	if err != nil {
		return nil, inFlags(cmd, err)
	}
	return store, nil
}

// load reads the ID that is stored, and changes nothing.
func load(ctx context.Context, store keeper.Store, limit time.Duration) (keeper.Record, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	rec, err := store.Load(ctx)
	switch {
	case errors.Is(err, keeper.ErrNotFound):
		return rec, withHint(err, "the agent makes one when it starts: rollcall agent")
	case err != nil:
		return rec, withHint(fmt.Errorf("read installation ID: %w", err), "rollcall doctor looks for the cause")
	}
	return rec, nil
}

// flagOf tells which flag sets a field of [rollcall.Config].
var flagOf = map[string]string{
	"ConfigPath":     "config",
	"ConfigKey":      "config-key",
	"EnabledKey":     "enabled-key",
	"StateDir":       "state-dir",
	"App":            "app",
	"Isolate":        "isolate",
	"Endpoint":       "endpoint",
	"Version":        "host-version",
	"DenyVariable":   "deny-variable",
	"PolicyPath":     "policy",
	"Proxy":          "proxy",
	"CAFile":         "ca-file",
	"Attempts":       "attempts",
	"AttemptTimeout": "attempt-timeout",
	"StartTimeout":   "start-timeout",
	"Backoff":        "backoff",
}

// fieldName is a field in the text of an error about another one.
var fieldName = regexp.MustCompile(`\b(ConfigPath|ConfigKey|EnabledKey|StateDir|AttemptTimeout|StartTimeout|Endpoint)\b`)

// inFlags words an error about a field of [rollcall.Config] for those who know flags and variables only.
func inFlags(cmd *cobra.Command, err error) error {
	_, text, found := strings.Cut(err.Error(), "Config.")
	field, reason, ok := strings.Cut(text, ": ")
	if !found || !ok {
		return err
	}
	reason = fieldName.ReplaceAllStringFunc(reason, func(name string) string { return "--" + flagOf[name] })
	flag := cmd.Flag(flagOf[field])
	switch {
	case flag == nil, strings.HasPrefix(reason, "environment variable "):
		return errors.New(reason)
	case originOf(flag) == byVariable:
		return fmt.Errorf("environment variable %s: %s", variableOf(flag), reason)
	default:
		return fmt.Errorf("--%s: %s", flag.Name, reason)
	}
}
