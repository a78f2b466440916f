package main

import (
	"fmt"
	"io"
	"time"

	"github.com/rollcall-dev/rollcall"
	"github.com/spf13/cobra"
)

func newEnable() *cobra.Command {
	return newConsent(true, &cobra.Command{
		Use:   "enable",
		Short: "Grant telemetry",
		Long: `Grant telemetry: write the operator's decision to the config. It covers what the
host declares today; fields that a later version adds are withheld until
telemetry is granted again. "rollcall preview --explain" shows what is sent and
why.

A policy file and the environment take precedence over the config. If one of
them denies telemetry, nothing is sent, and the exit code is 3. Health reports
need a decision of their own, with --health. A running agent notices the change.`,
		Example: "  rollcall enable\n  rollcall enable --health --config /srv/app/config.json",
	})
}

func newDisable() *cobra.Command {
	return newConsent(false, &cobra.Command{
		Use:   "disable",
		Short: "Deny telemetry for good",
		Long: `Deny telemetry: write the operator's decision to the config. It remains in
effect through updates of the host, and nobody is asked again. A running agent
stops at once: it drops what is pending, cancels a request in flight, and sends
nothing more. With --health only health reports are denied.`,
		Example: "  rollcall disable\n  rollcall disable --config /srv/app/config.json --json",
	})
}

func newConsent(grant bool, cmd *cobra.Command) *cobra.Command {
	c := &consentCommand{grant: grant, limit: timeout(10 * time.Second)}
	cmd.Args, cmd.RunE = noArguments, c.run
	cmd.Flags().BoolVar(&c.health, "health", false, "decide about health reports")
	return with(cmd, &c.reporting, &c.limit, &c.out)
}

type consentCommand struct {
	reporting reportingFlags
	grant     bool
	health    bool
	limit     timeout
	out       output
}

func (c *consentCommand) run(cmd *cobra.Command, _ []string) error {
	service, err := newService(cmd, &c.reporting)
	if err != nil {
		return err
	}
	ctx, cancel := c.limit.context(cmd)
	defer cancel()
	set := service.SetConsent
	if c.health {
		set = service.SetHealthConsent
	}
	if err := set(ctx, c.grant); err != nil {
		return withHint(err, doctorHint)
	}
	decisions := service.Decisions(ctx)
	err = c.out.print(cmd, decisions, func(w io.Writer) error {
		return printPairs(w, "telemetry", describe(decisions.Telemetry), "health reports", describe(decisions.Health))
	})
	if err != nil {
		return err
	}
	effective := decisions.Telemetry
	if c.health {
		effective = decisions.Health
	}
	if c.grant && effective.State != rollcall.Granted {
		fmt.Fprintf(cmd.ErrOrStderr(), "rollcall: saved, but not in effect: %s\n", effective.Source)
		return exitCode(exitNotWell)
	}
	return nil
}

func describe(d rollcall.Decision) string {
	return fmt.Sprintf("%v (%v)", d.State, d.Source)
}
