package rollcall

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/rollcall-dev/rollcall/installid"
	"github.com/rollcall-dev/rollcall/internal/fsys"
	"github.com/rollcall-dev/rollcall/internal/sender"
	"github.com/rollcall-dev/rollcall/report"
)

// The defaults of [Config].
const (
	DefaultIDKey      = "telemetry.installation_id"
	DefaultIDVariable = "ROLLCALL_INSTALLATION_ID"
	DefaultConsentKey = "telemetry.enabled"
)

// Config configures a [Service]. A host needs one place for the
// installation ID: ConfigPath, or ID.Load with ID.Save, or App alone.
// Everything else is optional.
type Config struct {
	// App is the host's name, by which a collector counts. It has 1 to 64 of
	// a-z, 0-9 and '-'. It is required with Endpoint, and when neither
	// ConfigPath nor ID.Load is set: the ID then lives in the file
	// installation-id in the app's state directory.
	App string
	// Version is the host's version. Development versions (empty, dev,
	// (devel), dirty) do not report; see Reporting.Development.
	Version string

	// ConfigPath is the host's JSON config, which may have comments and
	// trailing commas. The ID and the operator's consent are kept in it. If it
	// or a parent directory is missing, it is created. A relative path is
	// resolved when New is called.
	ConfigPath string
	// StateDir is an absolute path: the app's state directory. If it is empty,
	// that is $STATE_DIRECTORY (which systemd sets), else App below
	// $XDG_STATE_HOME, else App below the system's directory for a user's
	// state. With ConfigPath, a StateDir holds the anchor, which otherwise
	// lies beside the config, so a read-only config has a persisted ID too.
	// With ID.Load, it holds what was reported; without it a restarted host
	// does not know whether it has reported today.
	StateDir string

	// Endpoint is the collector's URL: https, or http on this machine. If it
	// is empty, nothing is ever sent.
	Endpoint string
	// Facts are the declared values of a heartbeat, at most report.MaxFacts.
	// A fact added in a later version than the operator granted is withheld
	// until the operator grants again.
	Facts []Fact

	// ID configures how the installation ID is kept.
	ID IDConfig
	// Consent configures how the operator's decisions are read.
	Consent ConsentConfig
	// Reporting configures what is sent and how, beyond Endpoint and Facts.
	Reporting ReportingConfig
	// Limits bounds how long saving the ID may take.
	Limits Limits

	// Lazy makes Start return without waiting for the disk. The same work runs
	// in the background.
	Lazy bool
	// Isolate does the file work in a child process, so that a disk that hangs
	// uninterruptibly cannot keep the host from exiting. The host must call
	// [RunChild] first in main. It excludes ID.Load and ID.Save.
	Isolate bool

	// Logger receives the few log lines; nil discards them.
	Logger *slog.Logger
	// Observer is told what happens, for metrics; nil for none.
	Observer installid.Observer

	// fs is the file system; tests replace it.
	fs fsys.FS
}

// IDConfig configures how the installation ID is kept.
type IDConfig struct {
	// Key is the ID's key in ConfigPath, with dots between the names; empty
	// means DefaultIDKey.
	Key string
	// Variable names the environment variable that injects an ID, which takes
	// precedence over every other place; empty means DefaultIDVariable. If the
	// variable is set and not empty, its value is the ID and no ID is read or
	// written. A value that is not an ID makes New fail; the error does not
	// quote it.
	Variable string
	// AfterConsent makes a new ID only after the operator has granted
	// telemetry. A stored ID is used either way. It needs ConfigPath or
	// Consent.Load.
	AfterConsent bool
	// Load and Save read and store the ID in a settings object of the host,
	// instead of ConfigPath. Load returns "" if no ID is stored. They may be
	// slow, hang, fail or panic, and are never called concurrently. An error
	// that wraps an errno or an error of package fs is judged by it: a
	// permanent one is not retried soon.
	Load func(ctx context.Context) (string, error)
	Save func(ctx context.Context, id string) error
}

// ConsentConfig configures how the operator's decisions are read. If neither
// ConfigPath nor Load is set, they live in the file consent.json in the app's
// state directory; with ID.Load, in StateDir.
type ConsentConfig struct {
	// Key is the key of the consent in ConfigPath, with dots between the
	// names; empty means DefaultConsentKey. The consent to health reports and
	// the versions that a grant covers are stored beside it.
	Key string
	// DenyVariable names an environment variable of the host that denies
	// telemetry when it is 0, false, no or off; empty for none.
	DenyVariable string
	// PolicyPath is the machine-wide policy file, an absolute path; empty
	// means DefaultPolicyPath. The file is JSON and can deny but not grant, at
	// telemetry.enabled and telemetry.health_enabled and at the host's own
	// keys if those differ.
	PolicyPath string
	// Load reads the decisions from a settings object of the host. It excludes
	// ConfigPath. It may be slow, hang, fail or panic, which all read as
	// denied. A grant covers all facts: a host that adds some asks again
	// itself.
	Load func(ctx context.Context) (Consents, error)
}

// Consents are decisions as the host keeps them.
type Consents struct {
	Telemetry Consent
	Health    Consent
}

// ReportingConfig configures what is sent, and the way to the collector.
type ReportingConfig struct {
	// Development also reports from development versions, test binaries and
	// builds of CI, which otherwise do not report.
	Development bool
	// FaultContext are the keys that a fault's context may have, at most
	// report.MaxContext. See [Service.ReportFault].
	FaultContext []string
	// Proxy is the URL of a proxy (http, https or socks5); empty uses the
	// environment's (HTTPS_PROXY, NO_PROXY).
	Proxy string
	// CAFile holds certificates in PEM form to trust besides the system's.
	// Verification cannot be disabled.
	CAFile string
}

// Limits bounds the work of saving an ID. The zero value means the defaults.
type Limits struct {
	// Attempts is how often saving is tried before an ID in memory serves; 0
	// means DefaultAttempts. At most MaxAttempts.
	Attempts int
	// AttemptTimeout bounds one attempt; 0 means DefaultAttemptTimeout. At
	// most MaxWait, as are the next two.
	AttemptTimeout time.Duration
	// StartTimeout bounds Start as a whole; 0 means DefaultStartTimeout.
	StartTimeout time.Duration
	// Backoff is the wait after the first attempt, and doubles after each
	// further one; 0 means DefaultBackoff.
	Backoff time.Duration
}

// The defaults of [Limits].
const (
	DefaultAttempts       = 3
	DefaultAttemptTimeout = 5 * time.Second
	DefaultStartTimeout   = 20 * time.Second
	DefaultBackoff        = time.Second
)

// The upper bounds of [Limits].
const (
	MaxAttempts = 100
	MaxWait     = 24 * time.Hour
)

// A ConfigError reports a field of [Config] that makes no sense.
type ConfigError struct {
	// Field is the field's path, such as "Endpoint" or "Consent.PolicyPath".
	Field string
	// Variable is the environment variable whose value is at fault; empty if
	// the field itself is.
	Variable string
	// Err says what is wrong with it.
	Err error
}

func (e *ConfigError) Error() string {
	where := "rollcall: Config." + e.Field + ": "
	if e.Variable != "" {
		where += "environment variable " + e.Variable + ": "
	}
	return where + e.Err.Error()
}

// Unwrap returns e.Err.
func (e *ConfigError) Unwrap() error { return e.Err }

// check reports the first field that makes no sense, apart from those that
// say where the ID is kept: [Config.location] checks these.
func (c Config) check() error {
	if err := c.Limits.check(); err != nil {
		return err
	}
	if err := c.Reporting.check(); err != nil {
		return err
	}
	if c.Endpoint != "" {
		if err := sender.CheckEndpoint(c.Endpoint); err != nil {
			return &ConfigError{Field: "Endpoint", Err: err}
		}
		if c.App == "" {
			return invalid("App", "required to report to a collector")
		}
	}
	if !filepath.IsAbs(c.Consent.PolicyPath) {
		return invalid("Consent.PolicyPath", "not an absolute path")
	}
	return nil
}

func (r ReportingConfig) check() error {
	if len(r.FaultContext) > report.MaxContext {
		return invalid("Reporting.FaultContext", "%d keys, more than %d", len(r.FaultContext), report.MaxContext)
	}
	for i, key := range r.FaultContext {
		if !report.ValidName(key) {
			return invalid(fmt.Sprintf("Reporting.FaultContext[%d]", i),
				"not 1 to %d of a-z, 0-9, '.' and '_', starting with a letter", report.MaxNameLen)
		}
	}
	return nil
}

func (l Limits) check() error {
	if l.Attempts < 1 || l.Attempts > MaxAttempts {
		return invalid("Limits.Attempts", "%d is not between 1 and %d", l.Attempts, MaxAttempts)
	}
	for _, limit := range []struct {
		field string
		value time.Duration
	}{
		{"Limits.AttemptTimeout", l.AttemptTimeout},
		{"Limits.StartTimeout", l.StartTimeout},
		{"Limits.Backoff", l.Backoff},
	} {
		if limit.value < 1 || limit.value > MaxWait {
			return invalid(limit.field, "%v is not between 1ns and %v", limit.value, MaxWait)
		}
	}
	return nil
}

func (c Config) withDefaults() Config {
	c.ID.Key = cmp.Or(c.ID.Key, DefaultIDKey)
	c.ID.Variable = cmp.Or(c.ID.Variable, DefaultIDVariable)
	c.Consent.Key = cmp.Or(c.Consent.Key, DefaultConsentKey)
	c.Consent.PolicyPath = cmp.Or(c.Consent.PolicyPath, DefaultPolicyPath())
	c.Limits.Attempts = cmp.Or(c.Limits.Attempts, DefaultAttempts)
	c.Limits.AttemptTimeout = cmp.Or(c.Limits.AttemptTimeout, DefaultAttemptTimeout)
	c.Limits.StartTimeout = cmp.Or(c.Limits.StartTimeout, DefaultStartTimeout)
	c.Limits.Backoff = cmp.Or(c.Limits.Backoff, DefaultBackoff)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.fs == nil {
		c.fs = fsys.OS{}
	}
	return c
}

// invalid returns the [ConfigError] of a field.
func invalid(field, format string, args ...any) error {
	return &ConfigError{Field: field, Err: fmt.Errorf(format, args...)}
}
