package rollcall

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/rollcall-dev/rollcall/installid"
	"github.com/rollcall-dev/rollcall/internal/fsys"
	"github.com/rollcall-dev/rollcall/internal/isolate"
	"github.com/rollcall-dev/rollcall/internal/sender"
	"github.com/rollcall-dev/rollcall/report"
)

// The defaults of [Config].
const (
	DefaultIDKey      = "telemetry.installation_id"
	DefaultIDVariable = "ROLLCALL_INSTALLATION_ID"
	DefaultConsentKey = "telemetry.enabled"
)

// trustDiskVariable is the environment variable that says the same as
// Config.TrustDisk.
const trustDiskVariable = "ROLLCALL_TRUST_DISK"

// Config configures a [Service]. A host needs one place for the
// installation ID: ConfigPath, or ID.Load with ID.Save, or App alone.
// Everything else is optional.
type Config struct {
	// App is the host's name. A collector counts each app by itself. It has 1 to
	// 64 of a-z, 0-9 and '-'. It is required with Endpoint, and when neither
	// ConfigPath nor ID.Load is set: the ID then lives in the file
	// installation-id in the app's state directory.
	App string
	// Version is the host's version. Development versions (empty, dev,
	// (devel), dirty) do not report; see Reporting.Development.
	Version string

	// ConfigPath is the host's JSON config, which may have comments and
	// trailing commas. The ID and, unless Consent.Load is set, the operator's
	// consent are kept in it. If it
	// or a parent directory is missing, it is created. A relative path is
	// resolved when New is called.
	ConfigPath string
	// StateDir is an absolute path: the app's state directory. If it is empty,
	// that is $STATE_DIRECTORY (which systemd sets), else App below
	// $XDG_STATE_HOME, else App below the system's directory for a user's
	// state. With ConfigPath, a StateDir holds the anchor, which otherwise
	// lies beside the config, so a read-only config has a persisted ID too.
	// With ID.Load, it holds what was reported and what the operator withdrew;
	// without it a restarted host does not know whether it has reported today,
	// and what was withdrawn through Rollcall lasts as long as the process.
	StateDir string

	// TrustDisk says that the disk lasts although it looks like one that goes
	// away: a container's own layer, memory, a volume without a name. Otherwise
	// an ID there counts as one in memory until it has survived 30 days. The
	// environment variable ROLLCALL_TRUST_DISK=true says the same.
	TrustDisk bool

	// Endpoint is the collector's URL: https, or http on this machine. If it
	// is empty, nothing is ever sent.
	Endpoint string
	// Facts are the declared values of a heartbeat, at most report.MaxFacts.
	// A fact added in a later version than the operator granted is withheld
	// until the operator grants again.
	Facts []Fact

	// ID configures how the installation ID is kept.
	ID IDConfig
	// Consent configures how the operator's decisions are kept.
	Consent ConsentConfig
	// Reporting configures what is sent and how, beyond Endpoint and Facts.
	Reporting ReportingConfig
	// Updates configures the check for newer releases. The zero value has none.
	Updates UpdatesConfig
	// Limits bounds how long saving the ID may take.
	Limits Limits

	// Lazy makes Start return without waiting for the disk. The same work runs
	// in the background.
	Lazy bool
	// Isolate does the file work in a child process, so that a disk that hangs
	// uninterruptibly cannot keep the host from exiting. The host must call
	// [RunChild] first in main. It excludes ID.Load and ID.Save. Where a
	// process cannot start itself again, as on Linux without /proc, the work
	// is done in the host, with a warning.
	Isolate bool

	// Logger receives the few log lines; nil discards them.
	Logger *slog.Logger
	// Observer is told what happens, for metrics; nil for none. One that is a
	// [ReportObserver] is told of reports too.
	Observer installid.Observer

	// fs is the file system; tests replace it.
	fs fsys.FS
	// notIsolated is why Isolate was reset; nil if it was not.
	notIsolated error
}

// IDConfig configures how the installation ID is kept.
type IDConfig struct {
	// Key is the ID's key in ConfigPath, with dots between the names; empty
	// means DefaultIDKey.
	Key string
	// Variable names the environment variable that injects an ID, which takes
	// precedence over every other place; empty means DefaultIDVariable. If the
	// variable is set and not empty, its value is the ID, apart from white
	// space and a byte order mark around it, and no ID is read or written. A
	// value that is not an ID makes New fail; the error does not quote it.
	Variable string
	// AfterConsent makes a new ID only after the operator has granted
	// telemetry. A stored ID is used either way. It needs ConfigPath or
	// Consent.Load.
	AfterConsent bool
	// Load and Save read and store the ID in a settings object of the host,
	// instead of ConfigPath. Load returns "" if no ID is stored. They may be
	// slow, hang, fail or panic, and are never called concurrently. An error
	// that wraps an errno or an error of package fs is judged by it: a
	// permanent one is not retried soon. What Load returns is not overwritten
	// if it is no ID, except by a reset: see installid.FromLegacy.
	Load func(ctx context.Context) (string, error)
	Save func(ctx context.Context, id string) error
}

// ConsentConfig configures how the operator's decisions are kept. With Load the
// host keeps them; else they live in ConfigPath, or without one in the file
// consent.json in the app's state directory; with ID.Load, in StateDir.
type ConsentConfig struct {
	// Key is the key of the consent in ConfigPath, with dots between the
	// names; empty means DefaultConsentKey. The consents to health reports and to
	// the update check and the versions that a grant covers are stored beside it.
	Key string
	// DenyVariable names an environment variable of the host that denies
	// telemetry, unless its value is empty, 1, true, yes, on or enabled. Empty
	// means none.
	DenyVariable string
	// PolicyPath is the machine-wide policy file, an absolute path; empty
	// means DefaultPolicyPath. The file is JSON and can deny but not grant, at
	// telemetry.enabled, telemetry.health_enabled and telemetry.update_check,
	// and at the host's own keys if those differ.
	PolicyPath string
	// Load reads the decisions from the host's own settings, wherever the ID
	// is kept. It may be slow, hang, fail or panic, which all read as denied. A
	// grant covers all facts: a host that adds some asks again itself. Call
	// [Service.ConsentChanged] when the settings change.
	Load func(ctx context.Context) (Consents, error)
	// Save stores all decisions in the host's own settings, so that Load
	// returns them from then on. Without it only the host can grant: it has the
	// operator's switch, and [Service.SetConsent] can only record denials. Load
	// and Save are never called concurrently. Save needs Load.
	Save func(ctx context.Context, consents Consents) error
	// Where says where the operator finds the setting that Load reads, such as
	// "Settings > Privacy" or "telemetry in /etc/example.yaml". The status, the
	// page and the errors show it. It needs Load.
	Where string
	// Hint tells the operator, in the log line that reports are sent, how to
	// see what is sent and how to stop it, in the host's own terms: "see
	// Settings > Privacy". Empty means a hint at the setting that stops it.
	Hint string
}

// Consents are decisions as the host keeps them. More may be added, so set and
// copy the fields by name.
type Consents struct {
	Telemetry   Consent
	Health      Consent
	UpdateCheck Consent
}

// ReportingConfig configures what is sent, and the way to the collector.
type ReportingConfig struct {
	// Development also reports from development versions, test binaries and
	// jobs of build servers, which otherwise do not report. Such a job has the
	// variable CI, TF_BUILD, TEAMCITY_VERSION or CODEBUILD_BUILD_ID, or both
	// JENKINS_URL and BUILD_ID.
	Development bool
	// Client is the program that reports, if that is not the host but one
	// beside it, such as an agent. Name is a code (report.ValidCode). The zero
	// value means this library, in the version of the host's build.
	Client report.Client
	// FaultContext are the keys that a fault's context may have, at most
	// report.MaxContext. See [Service.ReportFault].
	FaultContext []string
	// Proxy is the URL of a proxy (http, https or socks5); empty uses the
	// environment's (HTTPS_PROXY, NO_PROXY).
	Proxy string
	// CAFile holds certificates in PEM form to trust besides the system's.
	// Verification cannot be disabled.
	CAFile string
	// Transport makes the requests in place of the library's client; nil means
	// that one. It excludes Proxy and CAFile. A request still ends within 30
	// seconds and follows consent, even if the transport hangs or panics. But
	// how many connections it opens and keeps, and which certificates it
	// trusts, is up to the transport. In a build with the tag rollcall_nosend
	// it has no use.
	Transport Transport
	// Ended is called after each attempt to send a report, by a goroutine that
	// sends the next one only when Ended returns. It must not call methods of
	// the service that send. A panic in it is ignored. Nil for none.
	Ended func(ReportOutcome)
}

// UpdatesConfig configures the update check: once a day, if the operator allowed
// it, the service asks the collector which releases the maintainer published.
// The request says nothing about the installation, not even its version, and
// needs no consent to telemetry.
type UpdatesConfig struct {
	// URLPrefix is the address that all pages about releases lie under: https, a
	// host, and perhaps a path, such as "https://example.org/releases/". The URL
	// of a release that does not begin with it, byte for byte, is dropped. Empty
	// means that there is no update check.
	URLPrefix string
	// Channel is the channel to ask for (report.ValidChannel); empty means
	// report.StableChannel.
	Channel string
	// Changed is called when what [Service.Update] returns has changed after a
	// check. It must return soon, and call neither Stop nor CheckUpdate. A panic
	// in it is ignored. Nil for none; a host can also call Update whenever it
	// shows a page.
	Changed func(Update)
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
	if err := c.Updates.check(); err != nil {
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
	if !isVariable(c.Consent.DenyVariable) {
		return invalid("Consent.DenyVariable", "not the name of an environment variable")
	}
	switch path := c.Consent.PolicyPath; {
	case !filepath.IsAbs(path):
		return invalid("Consent.PolicyPath", "not an absolute path")
	case path != strings.TrimSpace(path):
		return invalid("Consent.PolicyPath", "ends with white space")
	}
	return nil
}

func (r ReportingConfig) check() error {
	if name := r.Client.Name; name != "" && !report.ValidCode(name) || name == "" && r.Client.Version != "" {
		return invalid("Reporting.Client", "the name %q is not 1 to %d of a-z, 0-9, '.', '_' and '-'", name, report.MaxCodeLen)
	}
	if r.Transport != nil && (r.Proxy != "" || r.CAFile != "") {
		return invalid("Reporting.Transport", "set together with Proxy or CAFile, which it would not use")
	}
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
	if c.Updates.URLPrefix != "" {
		c.Updates.Channel = cmp.Or(c.Updates.Channel, report.StableChannel)
	}
	c.Limits.Attempts = cmp.Or(c.Limits.Attempts, DefaultAttempts)
	c.Limits.AttemptTimeout = cmp.Or(c.Limits.AttemptTimeout, DefaultAttemptTimeout)
	c.Limits.StartTimeout = cmp.Or(c.Limits.StartTimeout, DefaultStartTimeout)
	c.Limits.Backoff = cmp.Or(c.Limits.Backoff, DefaultBackoff)
	if trust, err := strconv.ParseBool(os.Getenv(trustDiskVariable)); err == nil && trust {
		c.TrustDisk = true
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	c.Logger = slog.New(ownHandler{c.Logger.Handler()})
	if c.fs == nil {
		c.fs = fsys.OS{}
	}
	if c.Isolate {
		c.notIsolated = isolate.Available()
		c.Isolate = c.notIsolated == nil
	}
	return c
}

// invalid returns the [ConfigError] of a field.
func invalid(field, format string, args ...any) error {
	return &ConfigError{Field: field, Err: fmt.Errorf(format, args...)}
}
