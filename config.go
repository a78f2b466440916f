package rollcall

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/rollcall-dev/rollcall/configfile"
	"github.com/rollcall-dev/rollcall/installid"
	"github.com/rollcall-dev/rollcall/internal/fsys"
	"github.com/rollcall-dev/rollcall/internal/isolate"
)

// The defaults of [Config].
const (
	DefaultConfigKey  = installid.DefaultKey
	DefaultEnabledKey = "telemetry.enabled"
	DefaultIDVariable = "ROLLCALL_INSTALLATION_ID"
)

// Config says where a [Service] keeps its installation ID, and how long it may try. Of ConfigPath, Load with Save, and
// App exactly one is set; each names a place for the ID. An ID in the environment goes before all of them.
type Config struct {
	// ConfigPath is the host's own JSON config, which may have comments and trailing commas. It and missing parent
	// folders are made when missing. A relative path is taken from the working directory at the time of New.
	ConfigPath string
	// ConfigKey is where in the config the ID lives, in dotted form; empty is DefaultConfigKey.
	ConfigKey string
	// EnabledKey is where in the config the operator's consent is, in dotted form; empty is DefaultEnabledKey.
	EnabledKey string

	// Load and Save read and store the ID in a settings object of the host, instead of ConfigPath. Load returns "" when
	// there is none. They may be slow, hang, fail or panic; they are never called two at a time. An error that wraps one
	// of package fs or an errno is judged by it: a permanent one is not retried at once.
	Load func(ctx context.Context) (string, error)
	Save func(ctx context.Context, id string) error

	// App is the host's name, for hosts without a JSON config: the ID lives in the file installation-id in the app's
	// state folder: $STATE_DIRECTORY (set by systemd) if that is set, else App in $XDG_STATE_HOME, else in the
	// system's place for a user's state. Letters, digits, '.', '_' and '-'.
	App string

	// StateDir is an absolute path: the folder for the anchor of ConfigPath, instead of the config's own. With it a
	// read-only config has a persisted ID too. Together with App it is the folder of the state file.
	StateDir string

	// IDVariable names the environment variable that gives the ID where a deployment injects it; empty is
	// DefaultIDVariable. When it is set and not empty, nothing is read or written. A value that is not an ID is an error
	// of New, and is not part of its text.
	IDVariable string

	// Attempts is how often saving is tried before the ID in memory serves; 0 is 3, at most 100.
	Attempts int
	// AttemptTimeout bounds one attempt; 0 is 5 seconds, at most 24 hours. So are the next two bounded.
	AttemptTimeout time.Duration
	// StartTimeout bounds Start as a whole; 0 is 20 seconds.
	StartTimeout time.Duration
	// Backoff is the wait after the first attempt, doubled after each further one; 0 is 1 second.
	Backoff time.Duration

	// Lazy makes Start return without waiting for the disk; the same work goes on in the background.
	Lazy bool
	// Isolate does the file work in a child process, so that a disk that hangs uninterruptibly cannot keep the host from
	// ending. The host calls [RunChild] first in main. Not together with Load and Save.
	Isolate bool
	// AfterConsent makes no ID before the operator has granted telemetry in the config. A stored ID is used. Only with
	// ConfigPath, since nowhere else is there an answer to read.
	AfterConsent bool

	// Logger gets the few log lines; nil discards them.
	Logger *slog.Logger
	// Observer is told what happens, for metrics; nil for none.
	Observer Observer

	// fs is the file system, another one in tests.
	fs fsys.FS
}

// An Observer is told what a service does. See package metrics for one that serves Prometheus.
type Observer = installid.Observer

// New checks the config and does nothing else: it opens no file, starts no goroutine and writes nothing. An error names
// the field that is wrong.
func New(config Config) (*Service, error) {
	s, err := newService(config)
	if err != nil {
		return nil, fmt.Errorf("rollcall: Config.%w", err)
	}
	return s, nil
}

func newService(config Config) (*Service, error) {
	config = config.withDefaults()
	store, err := config.store()
	if err != nil {
		return nil, err
	}
	s := &Service{config: config, log: config.Logger}
	s.keeper, err = installid.NewKeeper(store, installid.Options{
		Attempts:       config.Attempts,
		AttemptTimeout: config.AttemptTimeout,
		StartTimeout:   config.StartTimeout,
		Backoff:        config.Backoff,
		Lazy:           config.Lazy,
		MayCreate:      config.mayCreate(),
		OnSettled:      s.onSettled,
		Logger:         config.Logger,
		Observer:       config.Observer,
	})
	if err != nil {
		return nil, err
	}
	return s, nil
}

func (c Config) withDefaults() Config {
	c.ConfigKey = cmp.Or(c.ConfigKey, DefaultConfigKey)
	c.EnabledKey = cmp.Or(c.EnabledKey, DefaultEnabledKey)
	c.IDVariable = cmp.Or(c.IDVariable, DefaultIDVariable)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.fs == nil {
		c.fs = fsys.OS{}
	}
	return c
}

// store gives the place for the ID: the environment, or else the one that the config names.
func (c Config) store() (installid.Store, error) {
	location, err := c.location()
	if err != nil {
		return nil, err
	}
	if strings.ContainsAny(c.IDVariable, "=\x00") {
		return nil, errors.New("IDVariable: not the name of an environment variable")
	}
	if text := os.Getenv(c.IDVariable); text != "" {
		id, err := installid.Parse(text)
		if err != nil {
			return nil, fmt.Errorf("IDVariable: environment variable %s: %w", c.IDVariable, err)
		}
		return installid.NewFixedStore(id, "environment variable "+c.IDVariable)
	}
	switch {
	case c.Load != nil:
		return installid.NewFuncStore(c.Load, c.Save)
	case c.Isolate:
		store, err := isolate.NewStore(location)
		if err != nil {
			return nil, fmt.Errorf("Isolate: %w", err)
		}
		return store, nil
	default:
		return location.OpenFS(c.fs)
	}
}

// location checks the fields that say where the ID is kept. It is empty with Load and Save.
func (c Config) location() (installid.Location, error) {
	var l installid.Location
	places := 0
	for _, given := range []bool{c.ConfigPath != "", c.Load != nil || c.Save != nil, c.App != ""} {
		if given {
			places++
		}
	}
	if places != 1 {
		return l, errors.New("ConfigPath: exactly one of ConfigPath, Load with Save, and App has to be set")
	}
	if c.StateDir != "" {
		if err := checkStateDir(c.StateDir); err != nil {
			return l, fmt.Errorf("StateDir: %w", err)
		}
	}
	if c.AfterConsent && c.ConfigPath == "" {
		return l, errors.New("AfterConsent: without ConfigPath there is nowhere to read the consent from")
	}
	switch {
	case c.ConfigPath != "":
		return c.configLocation()
	case c.App != "":
		file, err := stateFile(c.App, c.StateDir, os.Getenv)
		if err != nil {
			return l, err
		}
		l.StateFile = file
	case c.Load == nil:
		return l, errors.New("Load: missing, while Save is set")
	case c.Save == nil:
		return l, errors.New("Save: missing, while Load is set")
	case c.Isolate:
		return l, errors.New("Isolate: Load and Save are functions of this process and cannot run in a child")
	case c.StateDir != "":
		return l, errors.New("StateDir: not used with Load and Save")
	}
	return l, nil
}

func (c Config) configLocation() (l installid.Location, err error) {
	if l.ConfigPath, err = filepath.Abs(c.ConfigPath); err != nil {
		return l, fmt.Errorf("ConfigPath: %w", err)
	}
	switch {
	case strings.ContainsRune(c.ConfigPath, 0):
		return l, errors.New("ConfigPath: NUL byte in it")
	case os.IsPathSeparator(c.ConfigPath[len(c.ConfigPath)-1]):
		return l, errors.New("ConfigPath: the path of a folder")
	}
	if l.Key, err = parseKey(c.ConfigKey); err != nil {
		return l, fmt.Errorf("ConfigKey: %w", err)
	}
	if l.EnabledKey, err = parseKey(c.EnabledKey); err != nil {
		return l, fmt.Errorf("EnabledKey: %w", err)
	}
	if n := min(len(l.Key), len(l.EnabledKey)); slices.Equal(l.Key[:n], l.EnabledKey[:n]) {
		return l, errors.New("EnabledKey: the same as ConfigKey, or one of them inside the other")
	}
	l.AnchorDir = c.StateDir
	return l, nil
}

func parseKey(dotted string) (configfile.Key, error) {
	if !utf8.ValidString(dotted) {
		return nil, fmt.Errorf("key %q: not UTF-8", dotted)
	}
	return configfile.ParseKey(dotted)
}

// mayCreate is the question whether a new ID may be made, nil when it always may.
func (c Config) mayCreate() func(configfile.Value) bool {
	if !c.AfterConsent {
		return nil
	}
	return func(enabled configfile.Value) bool {
		state, _ := effectiveConsent(os.Getenv, enabled, false, c.EnabledKey)
		return state == Granted
	}
}

// OpenStore gives the store of the ID that a [Service] with this config would use, for tools that look at it or reset
// it. It does not touch the disk, and the file work is done in this process.
func (c Config) OpenStore() (installid.Store, error) {
	c.Isolate = false
	store, err := c.withDefaults().store()
	if err != nil {
		return nil, fmt.Errorf("rollcall: Config.%w", err)
	}
	return store, nil
}

// Diagnose looks at all that saving the ID depends on; see [configfile.File.Diagnose]. It waits no longer than ctx.
func (c Config) Diagnose(ctx context.Context) ([]configfile.Finding, error) {
	c = c.withDefaults()
	location, err := c.location()
	if err != nil {
		return nil, fmt.Errorf("rollcall: Config.%w", err)
	}
	return location.Diagnose(ctx, c.fs)
}
