package rollcall

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/rollcall-dev/rollcall/installid"
	"github.com/rollcall-dev/rollcall/internal/diagnose"
	"github.com/rollcall-dev/rollcall/internal/idstore"
	"github.com/rollcall-dev/rollcall/internal/isolate"
	"github.com/rollcall-dev/rollcall/internal/jsonedit"
	"github.com/rollcall-dev/rollcall/internal/keeper"
	"github.com/rollcall-dev/rollcall/report"
)

// location returns where the files are, after checking the fields that say so.
// Without files for the ID, because of ID.Load, it has only a StateDir.
func (c Config) location() (idstore.Location, error) {
	l := idstore.Location{PolicyPath: c.Consent.PolicyPath, TrustDisk: c.TrustDisk}
	if err := c.checkPlaces(); err != nil {
		return l, err
	}
	switch {
	case c.ConfigPath != "":
		return c.configLocation(l)
	case c.ID.Load != nil:
		l.AnchorDir = c.StateDir
		return l, nil
	default:
		dir, err := stateDir(c.App, c.StateDir, os.Getenv)
		l.StateFile = filepath.Join(dir, stateFileName)
		return l, err
	}
}

// checkPlaces checks that there is one place for the ID, and one for consent.
func (c Config) checkPlaces() error {
	inConfig, load, save := c.ConfigPath != "", c.ID.Load != nil, c.ID.Save != nil
	for _, rule := range []struct {
		broken        bool
		field, reason string
	}{
		{c.Consent.Load == nil && c.Consent.Save != nil, "Consent.Load", "missing, while Consent.Save is set"},
		{c.Consent.Load == nil && c.Consent.Where != "", "Consent.Load", "missing, while Consent.Where is set"},
		{inConfig && (load || save), "ConfigPath", "set together with ID.Load or ID.Save; only one of them can keep the ID"},
		{!inConfig && !load && !save && c.App == "", "ConfigPath", "missing, as are ID.Load and App, so there is no place for the ID"},
		{c.App != "" && !report.ValidApp(c.App), "App", fmt.Sprintf("not 1 to %d of a-z, 0-9 and '-'", report.MaxAppLen)},
		{c.ID.AfterConsent && !inConfig && c.Consent.Load == nil, "ID.AfterConsent", "there is no place to read the consent from"},
		{save && !load, "ID.Load", "missing, while ID.Save is set"},
		{load && !save, "ID.Save", "missing, while ID.Load is set"},
		{load && c.Isolate, "Isolate", "functions of this process cannot run in a child process"},
	} {
		if rule.broken {
			return invalid(rule.field, "%s", rule.reason)
		}
	}
	if c.StateDir != "" {
		if err := checkStateDir(c.StateDir); err != nil {
			return &ConfigError{Field: "StateDir", Err: err}
		}
	}
	return nil
}

func (c Config) configLocation(l idstore.Location) (_ idstore.Location, err error) {
	switch {
	case strings.ContainsRune(c.ConfigPath, 0):
		return l, invalid("ConfigPath", "contains a NUL byte")
	case os.IsPathSeparator(c.ConfigPath[len(c.ConfigPath)-1]):
		return l, invalid("ConfigPath", "names a directory")
	}
	if l.ConfigPath, err = filepath.Abs(c.ConfigPath); err != nil {
		return l, &ConfigError{Field: "ConfigPath", Err: err}
	}
	if l.Key, err = parseKey("ID.Key", c.ID.Key); err != nil {
		return l, err
	}
	l.AnchorDir = c.StateDir
	if c.Consent.Load != nil {
		return l, nil // the config has no switch that would do nothing
	}
	if l.EnabledKey, err = parseKey("Consent.Key", c.Consent.Key); err != nil {
		return l, err
	}
	if n := min(len(l.Key), len(l.EnabledKey)); slices.Equal(l.Key[:n], l.EnabledKey[:n]) {
		return l, invalid("Consent.Key", "the same as the key of the ID, or one contains the other")
	}
	return l, nil
}

// parseKey parses the dotted key in a field.
func parseKey(field, dotted string) (jsonedit.Key, error) {
	if !utf8.ValidString(dotted) {
		return nil, invalid(field, "key %q: not UTF-8", dotted)
	}
	key, err := jsonedit.ParseKey(dotted)
	if err != nil {
		return nil, &ConfigError{Field: field, Err: err}
	}
	return key, nil
}

// store returns where the ID is kept: the environment if it has one, or else
// the place that the config names.
func (c Config) store(location idstore.Location) (keeper.Store, error) {
	variable := c.ID.Variable
	if !isVariable(variable) {
		return nil, invalid("ID.Variable", "not the name of an environment variable")
	}
	if text := os.Getenv(variable); text != "" {
		id, err := idstore.ParseID(text)
		if err != nil {
			return nil, &ConfigError{Field: "ID.Variable", Variable: variable, Err: err}
		}
		return idstore.NewFixed(id, "environment variable "+variable), nil
	}
	switch {
	case c.ID.Load != nil:
		return location.OpenFuncs(c.fs, c.ID.Load, c.ID.Save)
	case c.Isolate:
		return isolatedStore(location)
	default:
		return location.Open(c.fs)
	}
}

// isVariable reports whether name can name an environment variable. One with
// quotes or white space, as files of variables leave around a value, would
// silently never be set.
func isVariable(name string) bool { return !strings.ContainsAny(name, "=\x00\"' \t\r\n") }

// records returns what is kept besides the ID, even if the environment has the
// ID.
func (c Config) records(location idstore.Location, store keeper.Store) (idstore.Records, error) {
	if records, ok := store.(idstore.Records); ok {
		return records, nil
	}
	if c.Isolate {
		return isolatedStore(location)
	}
	return location.OpenRecords(c.fs, store)
}

func isolatedStore(location idstore.Location) (*isolate.Store, error) {
	store, err := isolate.NewStore(location)
	if err != nil {
		return nil, &ConfigError{Field: "Isolate", Err: err}
	}
	return store, nil
}

// stateFileName is the file in the state directory that holds the ID.
const stateFileName = "installation-id"

// stateDir returns the state directory of an app without a config. It is never
// a relative path, which would depend on where the host was started, nor the
// root directory.
func stateDir(app, configured string, getenv func(string) string) (string, error) {
	if configured != "" {
		return configured, nil
	}
	// systemd.exec(5): colons separate several directories; the first is the unit's main one.
	if dir, _, _ := strings.Cut(getenv("STATE_DIRECTORY"), ":"); dir != "" && runtime.GOOS != "windows" {
		if err := checkStateDir(dir); err != nil {
			return "", &ConfigError{Field: "App", Variable: "STATE_DIRECTORY", Err: err}
		}
		return dir, nil
	}
	base, err := userStateDir(getenv)
	if err != nil {
		return "", invalid("App", "no directory for its state: %w", err)
	}
	return filepath.Join(base, app), nil
}

// userStateDir returns the directory where programs of this user keep state.
func userStateDir(getenv func(string) string) (string, error) {
	// XDG Base Directory Specification: a relative path is invalid and ignored.
	if dir := getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) && checkStateDir(dir) == nil {
		return dir, nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(home, ".local", "state")
	switch runtime.GOOS {
	case "windows":
		dir = cmp.Or(getenv("LocalAppData"), filepath.Join(home, "AppData", "Local"))
	case "darwin":
		dir = filepath.Join(home, "Library", "Application Support")
	}
	return dir, checkStateDir(home)
}

func checkStateDir(dir string) error {
	switch clean := filepath.Clean(dir); {
	case strings.ContainsRune(dir, 0):
		return errors.New("contains a NUL byte")
	case !filepath.IsAbs(dir):
		return errors.New("not an absolute path")
	case clean == filepath.VolumeName(clean)+string(filepath.Separator):
		return errors.New("the root directory")
	}
	return nil
}

const policyOnUnix = "/etc/rollcall/policy.json"

// DefaultPolicyPath returns the path of the policy file with which an
// administrator can deny telemetry for every program on the machine.
func DefaultPolicyPath() string {
	if runtime.GOOS == "windows" {
		return filepath.Join(cmp.Or(os.Getenv("ProgramData"), `C:\ProgramData`), "rollcall", "policy.json")
	}
	return policyOnUnix
}

// Stored is the installation ID on disk.
type Stored struct {
	// ID is zero if none is stored.
	ID installid.ID
	// Place says where the ID is or would be stored, for people.
	Place string
	// Doubt says why the stored ID counts as one in memory; empty if it does
	// not. See Config.TrustDisk.
	Doubt string
}

// Stored reads the ID that a [Service] with this config would find, without
// changing anything. It waits no longer than ctx. An error means that an ID
// may well be stored; a mistake in the config is a [*ConfigError].
func (c Config) Stored(ctx context.Context) (Stored, error) {
	c = c.withDefaults()
	location, err := c.location()
	if err != nil {
		return Stored{}, err
	}
	store, err := c.store(location)
	if err != nil {
		return Stored{}, err
	}
	rec, err := store.Load(ctx)
	if errors.Is(err, keeper.ErrNotFound) {
		err = nil
	}
	if err != nil {
		return Stored{Place: rec.Place}, fmt.Errorf("read installation ID: %w", err)
	}
	return Stored{rec.ID, rec.Place, rec.Doubt}, nil
}

// A Finding is one result of [Config.Diagnose].
type Finding struct {
	// Check is what was checked, in a word or two.
	Check string `json:"check"`
	Level Level  `json:"level"`
	// Detail says what was found.
	Detail string `json:"detail"`
	// Hint says what to do about it; empty if there is nothing to do.
	Hint string `json:"hint,omitempty"`
}

// Level is how serious a [Finding] is.
type Level int

// The levels of findings.
const (
	LevelOK      Level = iota // as it should be
	LevelWarning              // works, with less than is promised otherwise
	LevelProblem              // does not work
)

// String returns "ok", "warning" or "problem".
func (l Level) String() string {
	switch l {
	case LevelOK:
		return "ok"
	case LevelWarning:
		return "warning"
	default:
		return "problem"
	}
}

// MarshalText returns the text of [Level.String].
func (l Level) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// Diagnose is [Config.Diagnose] for the config of the service. A host that keeps
// the ID itself has nothing to examine, which is an error.
func (s *Service) Diagnose(ctx context.Context) ([]Finding, error) {
	switch {
	case s == nil:
		return nil, ErrNoService
	case s.config.ID.Load != nil || s.idVariable != "":
		return nil, errors.New("the host keeps the ID, so there are no files to examine")
	}
	return s.config.Diagnose(ctx)
}

// Diagnose checks everything that saving the ID depends on: the files, their
// directories and mounts, and what the file system can do, which it tries on
// temporary files of its own. It changes neither the config nor the ID. If ctx
// ends first, that is the finding. A mistake in the config is a
// [*ConfigError].
func (c Config) Diagnose(ctx context.Context) ([]Finding, error) {
	c = c.withDefaults()
	location, err := c.location()
	if err != nil {
		return nil, err
	}
	look := func(ctx context.Context) ([]diagnose.Finding, error) { return location.Diagnose(ctx, c.fs) }
	if c.Isolate {
		store, err := isolatedStore(location)
		if err != nil {
			return nil, err
		}
		look = store.Diagnose
	}
	found, err := look(ctx)
	switch {
	case err != nil && ctx.Err() != nil:
		found = []diagnose.Finding{diagnose.NotResponding(err)}
	case err != nil:
		return nil, fmt.Errorf("diagnose: %w", err)
	}
	var findings []Finding
	if c.notIsolated != nil {
		findings = append(findings, Finding{"isolation", LevelWarning, c.notIsolated.Error(), "mount /proc, so that a hung disk cannot delay the exit"})
	}
	for _, f := range found {
		findings = append(findings, Finding{f.Check, Level(f.Level), f.Detail, f.Hint})
	}
	return findings, nil
}
