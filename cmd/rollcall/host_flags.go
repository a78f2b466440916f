package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/rollcall-dev/rollcall"
	"github.com/rollcall-dev/rollcall/report"
	"github.com/spf13/cobra"
)

// defaultConfig is the default of --config.
var defaultConfig = filepath.Join("config", "config.json")

const (
	doctorHint    = "rollcall doctor looks for the cause"
	reportingHint = "see what is sent with 'rollcall preview'; stop it with 'rollcall disable' or by setting the config's key to false"
)

type storageFlags struct {
	config     string
	configKey  string
	enabledKey string
	stateDir   string
	app        string
	noConfig   bool
	trustDisk  bool
	isolate    bool
}

func (s *storageFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	addFlag(flags, textValue(&s.config, "file", defaultConfig), "config", "the host's JSON config")
	addFlag(flags, textValue(&s.configKey, "key", rollcall.DefaultIDKey), "config-key", "key of the ID in the config")
	addFlag(flags, textValue(&s.enabledKey, "key", rollcall.DefaultConsentKey), "enabled-key",
		"key of the operator's consent in the config")
	addFlag(flags, textValue(&s.stateDir, "dir", ""), "state-dir",
		"absolute path of a directory for the anchor, instead of the config's, or for the state file")
	addFlag(flags, textValue(&s.app, "name", ""), "app",
		"the host's name, which collectors and the state directory use")
	addFlag(flags, boolValue(&s.noConfig, false), "no-config",
		"keep the ID in a state file of --app, because the host has no JSON config")
	addFlag(flags, boolValue(&s.trustDisk, false), "trust-disk",
		"the disk lasts, although it looks like a container's own layer, memory, or a volume without a name")
	addFlag(flags, boolValue(&s.isolate, true), "isolate",
		"do the file work in a child process, so that a hung disk cannot keep this process from exiting")
	completeFile(cmd, "config", "json", "jsonc")
	completeDirectory(cmd, "state-dir")
}

func (s *storageFlags) rollcallConfig(cmd *cobra.Command) (rollcall.Config, error) {
	c := rollcall.Config{
		App:       s.app,
		StateDir:  s.stateDir,
		TrustDisk: s.trustDisk,
		ID:        rollcall.IDConfig{Key: s.configKey},
		Consent:   rollcall.ConsentConfig{Key: s.enabledKey, Hint: reportingHint},
		Isolate:   s.isolate,
		Reporting: rollcall.ReportingConfig{Client: report.Client{Name: "rollcall-agent", Version: buildVersion().Version}},
	}
	switch {
	case s.noConfig && originOf(cmd.Flag("config")) == byFlag:
		return c, withHint(errors.New("--config and --no-config are both set"), "set only one of them")
	case s.noConfig && s.app == "":
		return c, withHint(errors.New("--no-config needs the host's name"), "set it with --app")
	case s.noConfig:
	case s.config == "":
		return c, withHint(errors.New("--config: empty"), "omit it for %s", defaultConfig)
	default:
		c.ConfigPath = s.config
	}
	return c, nil
}

// newService returns the service of the flags, without starting it.
func (s *storageFlags) newService(cmd *cobra.Command) (*rollcall.Service, error) {
	config, err := s.rollcallConfig(cmd)
	if err != nil {
		return nil, err
	}
	service, err := rollcall.New(config)
	return service, inFlags(cmd, err)
}

// orderedBy says which verb orders a change.
func orderedBy(ctx context.Context, cmd *cobra.Command) context.Context {
	return rollcall.OrderedBy(ctx, cmd.CommandPath())
}

// stored reads the ID on disk, within the limit, and changes nothing.
func (s *storageFlags) stored(cmd *cobra.Command, limit timeout) (rollcall.Stored, error) {
	config, err := s.rollcallConfig(cmd)
	if err != nil {
		return rollcall.Stored{}, err
	}
	ctx, cancel := limit.context(cmd)
	defer cancel()
	stored, err := config.Stored(ctx)
	if _, ok := errors.AsType[*rollcall.ConfigError](err); !ok && err != nil {
		return stored, withHint(err, doctorHint)
	}
	return stored, inFlags(cmd, err)
}

var errNoID = errors.New("no installation ID is stored")

// flagOf maps a field of [rollcall.Config] to the flag that sets it.
var flagOf = map[string]string{
	"ConfigPath":             "config",
	"StateDir":               "state-dir",
	"App":                    "app",
	"Isolate":                "isolate",
	"Endpoint":               "endpoint",
	"Version":                "host-version",
	"ID.Key":                 "config-key",
	"ID.AfterConsent":        "after-consent",
	"Consent.Key":            "enabled-key",
	"Consent.DenyVariable":   "deny-variable",
	"Consent.PolicyPath":     "policy",
	"Facts":                  "facts",
	"Reporting.FaultContext": "fault-context",
	"Reporting.Proxy":        "proxy",
	"Reporting.CAFile":       "ca-file",
	"Updates.URLPrefix":      "update-url",
	"Updates.Channel":        "update-channel",
	"Limits.Attempts":        "attempts",
	"Limits.AttemptTimeout":  "attempt-timeout",
	"Limits.StartTimeout":    "start-timeout",
	"Limits.Backoff":         "backoff",
}

// inFlags names the flag or the variable in a [rollcall.ConfigError].
func inFlags(cmd *cobra.Command, err error) error {
	field, ok := errors.AsType[*rollcall.ConfigError](err)
	if !ok {
		return err
	}
	name, _, _ := strings.Cut(field.Field, "[") // the index of a list
	flag := cmd.Flag(flagOf[name])
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

type reportingFlags struct {
	storage storageFlags
	denial  denialFlags
	facts   factsFlag

	endpoint    string
	hostVersion string
	development bool
	proxy       string
	caFile      string

	updateURL     string
	updateChannel string
}

func (r *reportingFlags) add(cmd *cobra.Command) {
	r.storage.add(cmd)
	r.denial.add(cmd)
	r.facts.add(cmd)
	flags := cmd.Flags()
	addFlag(flags, textValue(&r.endpoint, "URL", ""), "endpoint",
		"https URL of the collector; needs --app and --host-version. Without it nothing is ever sent")
	addFlag(flags, textValue(&r.hostVersion, "version", ""), "host-version",
		"the host's version, until the host sets one with PUT /v1/host; development versions do not report")
	addFlag(flags, boolValue(&r.development, false), "report-development",
		"report from development versions and CI jobs too")
	addFlag(flags, textValue(&r.proxy, "URL", ""), "proxy", "a proxy; by default that of HTTPS_PROXY and NO_PROXY")
	addFlag(flags, textValue(&r.caFile, "file", ""), "ca-file", "additional certificates to trust, in PEM form")
	addFlag(flags, textValue(&r.updateURL, "URL", ""), "update-url",
		"https address below which the pages about releases lie; with it, newer releases are asked for once the operator has granted that")
	addFlag(flags, textValue(&r.updateChannel, "name", ""), "update-channel", "channel of the releases to ask for; by default "+report.StableChannel)
	completeFile(cmd, "ca-file", "pem", "crt")
}

// denialFlags name what can deny telemetry, whatever the config says.
type denialFlags struct {
	variable string
	policy   string
}

func (d *denialFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	addFlag(flags, textValue(&d.variable, "name", ""), "deny-variable",
		"an environment variable of the host that denies telemetry, unless it is empty, 1, true, yes, on or enabled")
	addFlag(flags, textValue(&d.policy, "file", rollcall.DefaultPolicyPath()), "policy",
		"the machine-wide policy file, which can deny telemetry")
	completeFile(cmd, "policy", "json")
}

func (d *denialFlags) apply(c *rollcall.Config) {
	c.Consent.DenyVariable, c.Consent.PolicyPath = d.variable, d.policy
}

func (r *reportingFlags) rollcallConfig(cmd *cobra.Command) (rollcall.Config, error) {
	c, err := r.storage.rollcallConfig(cmd)
	c.Endpoint, c.Version = r.endpoint, r.hostVersion
	c.Reporting.Development, c.Reporting.Proxy, c.Reporting.CAFile = r.development, r.proxy, r.caFile
	c.Updates.URLPrefix, c.Updates.Channel = r.updateURL, r.updateChannel
	r.denial.apply(&c)
	if err == nil {
		err = r.facts.apply(cmd, &c)
	}
	return c, err
}

// newService returns the service of the flags, without starting it.
func (r *reportingFlags) newService(cmd *cobra.Command) (*rollcall.Service, error) {
	config, err := r.rollcallConfig(cmd)
	if err != nil {
		return nil, err
	}
	return r.facts.newService(cmd, config)
}

// start returns a service that is started, so that it has an ID to
// report. Call stop to end it.
func (r *reportingFlags) start(cmd *cobra.Command) (service *rollcall.Service, stop func(), err error) {
	service, err = r.newService(cmd)
	if err != nil {
		return nil, nil, err
	}
	if err := service.Start(cmd.Context()); err != nil {
		return nil, nil, err
	}
	return service, func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(cmd.Context()), time.Second)
		defer cancel()
		_ = service.Stop(ctx) // if it hangs, it ends with this process
	}, nil
}
