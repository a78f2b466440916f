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
	"sync"
	"time"
	"unicode/utf8"

	"github.com/rollcall-dev/rollcall/installid"
	"github.com/rollcall-dev/rollcall/internal/diagnose"
	"github.com/rollcall-dev/rollcall/internal/fsys"
	"github.com/rollcall-dev/rollcall/internal/idstore"
	"github.com/rollcall-dev/rollcall/internal/isolate"
	"github.com/rollcall-dev/rollcall/internal/jsonedit"
	"github.com/rollcall-dev/rollcall/internal/keeper"
	"github.com/rollcall-dev/rollcall/internal/sender"
	"github.com/rollcall-dev/rollcall/report"
)

// The defaults of [Config].
const (
	DefaultConfigKey  = idstore.DefaultKey
	DefaultEnabledKey = "telemetry.enabled"
	DefaultIDVariable = "ROLLCALL_INSTALLATION_ID"
)

// Config says where a [Service] keeps its installation ID, how long it may try, and what it reports to whom. The ID is
// kept in ConfigPath, or by Load and Save, or else in a state file of App. An ID in the environment goes before all of
// them.
type Config struct {
	// App is the host's name: the key by which a collector knows it, and the name of its state folder. 1 to 64 of a-z,
	// 0-9 and '-'. Required with Endpoint, and without ConfigPath and Load. Without these two the ID lives in the file
	// installation-id in the app's state folder: $STATE_DIRECTORY (set by systemd) if that is set, else App in
	// $XDG_STATE_HOME, else in the system's place for a user's state.
	App string

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

	// StateDir is an absolute path: the folder for the anchor of ConfigPath, instead of the config's own. With it a
	// read-only config has a persisted ID too. Without ConfigPath it is the folder of the state file, or, with Load and
	// Save, of what is kept about reports: without it a restarted host does not know whether it has reported today.
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
	// AfterConsent makes no ID before the operator has granted telemetry. A stored ID is used. Only with ConfigPath or
	// Consent.
	AfterConsent bool

	// Consent gives the operator's decisions about telemetry and health reports where they are kept in a settings object
	// of the host, as with Load and Save. It may be slow, hang, fail or panic, which reads as denied. A grant covers all
	// facts: a host that adds some asks again by itself. Not together with ConfigPath; without either the decisions are
	// kept in the file consent.json in the app's state folder, with Load and Save in StateDir.
	Consent func(ctx context.Context) (telemetry, health Consent, err error)

	// Endpoint is the URL of the collector, https, or http on this machine. Empty means that nothing is ever sent.
	Endpoint string
	// Version is the host's version. Development versions (empty, dev, (devel), dirty), test binaries and builds of CI
	// do not report, unless ReportDevelopment is set.
	Version           string
	ReportDevelopment bool
	// Facts are what a report says about the host's set-up; at most report.MaxFacts. A fact whose declaration says that
	// it was added in a later version than the operator granted is withheld until it is granted again.
	Facts []Fact
	// FaultContext are the keys that the context of a fault may have; at most report.MaxContext. See
	// [Service.ReportFault].
	FaultContext []string
	// DenyVariable names an environment variable of the host's own that denies telemetry when it is 0, false, no or off.
	DenyVariable string
	// PolicyPath is the machine-wide policy file, in JSON, which can deny and cannot grant: under telemetry.enabled and
	// telemetry.health_enabled, and where a host has these elsewhere under its own keys too. Empty is DefaultPolicyPath.
	PolicyPath string
	// Proxy is the URL of a proxy (http, https or socks5); empty takes those of the environment (HTTPS_PROXY, NO_PROXY).
	Proxy string
	// CAFile has further certificates to trust, in PEM form. There is no way to skip the verification.
	CAFile string

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
	s := &Service{config: config, store: store, log: config.Logger, faults: newFaults(config.FaultContext)}
	if err := s.setUpReporting(); err != nil {
		return nil, err
	}
	options := keeper.Options{
		Attempts:       config.Attempts,
		AttemptTimeout: config.AttemptTimeout,
		StartTimeout:   config.StartTimeout,
		Backoff:        config.Backoff,
		Lazy:           config.Lazy,
		OnSettled:      s.onSettled,
		Logger:         config.Logger,
		Observer:       config.Observer,
	}
	if config.AfterConsent {
		options.MayCreate = s.mayCreate
	}
	if s.keeper, err = keeper.New(store, options); err != nil {
		return nil, err
	}
	s.sender = s.newSender()
	return s, nil
}

// setUpReporting checks the fields that say what is reported.
func (s *Service) setUpReporting() (err error) {
	c := s.config
	if s.facts, err = newFacts(c.Facts); err != nil {
		return err
	}
	if len(c.FaultContext) > report.MaxContext {
		return fmt.Errorf("FaultContext: %d keys, more than %d", len(c.FaultContext), report.MaxContext)
	}
	for i, key := range c.FaultContext {
		if !report.ValidName(key) {
			return fmt.Errorf("FaultContext[%d]: not 1 to %d of a-z, 0-9, '.' and '_', a letter first", i, report.MaxNameLen)
		}
	}
	if c.Endpoint != "" {
		if err := sender.CheckEndpoint(c.Endpoint); err != nil {
			return fmt.Errorf("Endpoint: %w", err)
		}
		if c.App == "" {
			return errors.New("App: required with Endpoint")
		}
	}
	if !filepath.IsAbs(c.PolicyPath) {
		return errors.New("PolicyPath: not an absolute path")
	}
	enabled, err := parseKey(c.EnabledKey)
	if err != nil {
		return fmt.Errorf("EnabledKey: %w", err)
	}
	s.keys = newConsentKeys(enabled)
	_, fixed := s.store.(*idstore.Fixed)
	s.storeReadsConsent = c.ConfigPath != "" && !fixed
	s.client = sync.OnceValue(thisClient)
	s.notReal, _ = notReal(c.Version, os.Getenv)
	if s.records, err = c.records(s.store); err != nil {
		return err
	}
	return nil
}

// records gives what is kept besides the ID, which is so also when the ID is given by the environment.
func (c Config) records(store keeper.Store) (idstore.Records, error) {
	if records, ok := store.(idstore.Records); ok {
		return records, nil
	}
	location, err := c.location()
	if err != nil {
		return nil, err
	}
	if c.Isolate {
		return isolate.NewStore(location)
	}
	return location.OpenRecordsFS(c.fs, store)
}

func (c Config) withDefaults() Config {
	c.ConfigKey = cmp.Or(c.ConfigKey, DefaultConfigKey)
	c.EnabledKey = cmp.Or(c.EnabledKey, DefaultEnabledKey)
	c.IDVariable = cmp.Or(c.IDVariable, DefaultIDVariable)
	c.PolicyPath = cmp.Or(c.PolicyPath, DefaultPolicyPath())
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.fs == nil {
		c.fs = fsys.OS{}
	}
	return c
}

// store gives the place for the ID: the environment, or else the one that the config names.
func (c Config) store() (keeper.Store, error) {
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
		return idstore.NewFixed(id, "environment variable "+c.IDVariable)
	}
	switch {
	case c.Load != nil:
		return idstore.NewFuncs(c.Load, c.Save)
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
func (c Config) location() (idstore.Location, error) {
	l := idstore.Location{PolicyPath: c.PolicyPath}
	functions := c.Load != nil || c.Save != nil
	switch {
	case c.ConfigPath != "" && c.Consent != nil:
		return l, errors.New("Consent: set together with ConfigPath; only one of them can hold the decision")
	case c.ConfigPath != "" && functions:
		return l, errors.New("ConfigPath: set together with Load or Save; only one of them can keep the ID")
	case c.ConfigPath == "" && !functions && c.App == "":
		return l, errors.New("ConfigPath: one of ConfigPath, Load with Save, and App has to be set")
	case c.App != "" && !report.ValidApp(c.App):
		return l, fmt.Errorf("App: not 1 to %d of a-z, 0-9 and '-'", report.MaxAppLen)
	}
	if c.StateDir != "" {
		if err := checkStateDir(c.StateDir); err != nil {
			return l, fmt.Errorf("StateDir: %w", err)
		}
	}
	if c.AfterConsent && c.ConfigPath == "" && c.Consent == nil {
		return l, errors.New("AfterConsent: without ConfigPath or Consent there is nowhere to read the consent from")
	}
	switch {
	case c.ConfigPath != "":
		return c.configLocation(l)
	case !functions:
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
	default:
		l.AnchorDir = c.StateDir
	}
	return l, nil
}

func (c Config) configLocation(l idstore.Location) (_ idstore.Location, err error) {
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

func parseKey(dotted string) (jsonedit.Key, error) {
	if !utf8.ValidString(dotted) {
		return nil, fmt.Errorf("key %q: not UTF-8", dotted)
	}
	return jsonedit.ParseKey(dotted)
}

// OpenStore gives the store of the ID that a [Service] with this config would use, for tools that look at it or reset
// it. It does not touch the disk.
func (c Config) OpenStore() (keeper.Store, error) {
	store, err := c.withDefaults().store()
	if err != nil {
		return nil, fmt.Errorf("rollcall: Config.%w", err)
	}
	return store, nil
}

// Diagnose looks at all that saving the ID depends on; see [configfile.File.Diagnose]. It waits no longer than ctx.
func (c Config) Diagnose(ctx context.Context) ([]diagnose.Finding, error) {
	c = c.withDefaults()
	location, err := c.location()
	if err != nil {
		return nil, fmt.Errorf("rollcall: Config.%w", err)
	}
	if !c.Isolate {
		return location.Diagnose(ctx, c.fs)
	}
	store, err := isolate.NewStore(location)
	if err != nil {
		return nil, fmt.Errorf("rollcall: Config.Isolate: %w", err)
	}
	return store.Diagnose(ctx)
}
