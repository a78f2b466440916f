package main

import (
	"context"
	"time"

	"github.com/rollcall-dev/rollcall"
	"github.com/spf13/cobra"
)

// reporting are the settings that say what is reported to whom. The verbs that report or show reports share them.
type reporting struct {
	place  storage
	denial denial

	endpoint    string
	hostVersion string
	development bool
	proxy       string
	caFile      string
}

func (r *reporting) add(cmd *cobra.Command) {
	r.place.add(cmd)
	r.denial.add(cmd)
	flags := cmd.Flags()
	addSetting(flags, textSetting(&r.endpoint, "URL", ""), "endpoint",
		"the collector, https; without one nothing is ever sent. It needs --app")
	addSetting(flags, textSetting(&r.hostVersion, "version", ""), "host-version",
		"the host's version; a development version is not reported")
	addSetting(flags, boolSetting(&r.development, false), "report-development",
		"report also from development versions and builds of CI")
	addSetting(flags, textSetting(&r.proxy, "URL", ""), "proxy", "a proxy; by default that of HTTPS_PROXY and NO_PROXY")
	addSetting(flags, textSetting(&r.caFile, "file", ""), "ca-file", "further certificates to trust, in PEM form")
	_ = cmd.MarkFlagFilename("ca-file", "pem", "crt") // fails only for a flag that does not exist
}

// denial is what can deny telemetry, whatever the config says.
type denial struct {
	variable string
	policy   string
}

func (d *denial) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	addSetting(flags, textSetting(&d.variable, "name", ""), "deny-variable",
		"an environment variable of the host that denies telemetry when it is 0, false, no or off")
	addSetting(flags, textSetting(&d.policy, "file", rollcall.DefaultPolicyPath()), "policy",
		"the machine-wide policy, which can deny telemetry")
	_ = cmd.MarkFlagFilename("policy", "json") // fails only for a flag that does not exist
}

func (d *denial) apply(c *rollcall.Config) {
	c.Consent.DenyVariable, c.Consent.PolicyPath = d.variable, d.policy
}

// rollcallConfig gives the settings as the library takes them.
func (r *reporting) rollcallConfig(cmd *cobra.Command) (rollcall.Config, error) {
	c, err := r.place.rollcallConfig(cmd)
	if err != nil {
		return c, err
	}
	c.Endpoint, c.Reporting.Proxy, c.Reporting.CAFile = r.endpoint, r.proxy, r.caFile
	c.Version, c.Reporting.Development = r.hostVersion, r.development
	r.denial.apply(&c)
	return c, nil
}

// service makes the service, which does not start it.
func (r *reporting) service(cmd *cobra.Command) (*rollcall.Service, error) {
	c, err := r.rollcallConfig(cmd)
	if err != nil {
		return nil, err
	}
	service, err := rollcall.New(c)
	if err != nil {
		return nil, inFlags(cmd, err)
	}
	return service, nil
}

// started makes the service and starts it, so that it has an ID to report under. stop ends it.
func (r *reporting) started(cmd *cobra.Command) (service *rollcall.Service, stop func(), err error) {
	service, err = r.service(cmd)
	if err != nil {
		return nil, nil, err
	}
	if err := service.Start(cmd.Context()); err != nil {
		return nil, nil, err
	}
	return service, func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(cmd.Context()), time.Second)
		defer cancel()
		_ = service.Stop(ctx) // what hangs ends with this process
	}, nil
}
