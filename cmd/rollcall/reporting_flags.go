package main

import (
	"context"
	"time"

	"github.com/rollcall-dev/rollcall"
	"github.com/spf13/cobra"
)

type reportingFlags struct {
	storage storageFlags
	denial  denialFlags

	endpoint    string
	hostVersion string
	development bool
	proxy       string
	caFile      string
}

func (r *reportingFlags) add(cmd *cobra.Command) {
	r.storage.add(cmd)
	r.denial.add(cmd)
	flags := cmd.Flags()
	addFlag(flags, textValue(&r.endpoint, "URL", ""), "endpoint",
		"https URL of the collector; needs --app. Without it nothing is ever sent")
	addFlag(flags, textValue(&r.hostVersion, "version", ""), "host-version",
		"the host's version; development versions do not report")
	addFlag(flags, boolValue(&r.development, false), "report-development",
		"report from development versions and CI builds too")
	addFlag(flags, textValue(&r.proxy, "URL", ""), "proxy", "a proxy; by default that of HTTPS_PROXY and NO_PROXY")
	addFlag(flags, textValue(&r.caFile, "file", ""), "ca-file", "additional certificates to trust, in PEM form")
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
		"an environment variable of the host that denies telemetry with 0, false, no or off")
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
	c.Reporting = rollcall.ReportingConfig{Development: r.development, Proxy: r.proxy, CAFile: r.caFile}
	r.denial.apply(&c)
	return c, err
}

// start returns a service that is started, so that it has an ID to
// report. Call stop to end it.
func (r *reportingFlags) start(cmd *cobra.Command) (service *rollcall.Service, stop func(), err error) {
	service, err = newService(cmd, r)
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
