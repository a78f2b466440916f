package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
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
	addSetting(flags, textSetting(&s.configKey, "key", rollcall.DefaultIDKey), "config-key", "where in it the ID lives")
	addSetting(flags, textSetting(&s.enabledKey, "key", rollcall.DefaultConsentKey), "enabled-key",
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
		StateDir: s.stateDir,
		ID:       rollcall.IDConfig{Key: s.configKey},
		Consent:  rollcall.ConsentConfig{Key: s.enabledKey},
		Isolate:  s.isolate,
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

// flagOf maps the path of a field of [rollcall.Config] to the flag that sets it.
var flagOf = map[string]string{
	"ConfigPath":            "config",
	"StateDir":              "state-dir",
	"App":                   "app",
	"Isolate":               "isolate",
	"Endpoint":              "endpoint",
	"Version":               "host-version",
	"ID.Key":                "config-key",
	"ID.AfterConsent":       "after-consent",
	"Consent.Key":           "enabled-key",
	"Consent.DenyVariable":  "deny-variable",
	"Consent.PolicyPath":    "policy",
	"Reporting.Proxy":       "proxy",
	"Reporting.CAFile":      "ca-file",
	"Limits.Attempts":       "attempts",
	"Limits.AttemptTimeout": "attempt-timeout",
	"Limits.StartTimeout":   "start-timeout",
	"Limits.Backoff":        "backoff",
}

// inFlags names the flag or the variable in an error about a field of
// [rollcall.Config].
func inFlags(cmd *cobra.Command, err error) error {
	field, ok := errors.AsType[*rollcall.ConfigError](err)
	if !ok {
		return err
	}
	flag := cmd.Flag(flagOf[field.Field])
	switch {
	case field.Variable != "":
		return fmt.Errorf("environment variable %s: %w", field.Variable, field.Err)
	case flag == nil:
		return field.Err
	case originOf(flag) == byVariable:
		return fmt.Errorf("environment variable %s: %w", variableOf(flag), field.Err)
	default:
		return fmt.Errorf("--%s: %w", flag.Name, field.Err)
	}
}
