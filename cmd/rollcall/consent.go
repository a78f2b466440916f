package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/rollcall-dev/rollcall"
	"github.com/spf13/cobra"
)

func newEnable() *cobra.Command {
	return newConsent(true, &cobra.Command{
		Use:   "enable",
		Short: "Grant telemetry",
		Long: `Grant telemetry: write the operator's decision to the config, for all that is declared now. What a later version adds is
withheld until telemetry is granted again. "rollcall preview --explain" shows what is sent and why.

A policy file and the environment go before the config: where one of them denies, the exit code is 3 and nothing is sent.
Health reports need a decision of their own, with --health. A running agent follows by itself.`,
		Example: "  rollcall enable\n  rollcall enable --health --config /srv/app/config.json",
	})
}

func newDisable() *cobra.Command {
	return newConsent(false, &cobra.Command{
		Use:   "disable",
		Short: "Deny telemetry, for good",
		Long: `Deny telemetry: write the operator's decision to the config. It holds for good, through updates of the host, and nobody
is asked again. A running agent follows at once: what waits is dropped, a request under way is cancelled, and nothing
more is sent. With --health only health reports are denied.`,
		Example: "  rollcall disable\n  rollcall disable --config /srv/app/config.json --json",
	})
}

// newConsent completes the verb that grants or denies.
func newConsent(grant bool, cmd *cobra.Command) *cobra.Command {
	c := &consentCommand{grant: grant}
	cmd.Args = noArguments
	cmd.RunE = c.run
	c.reporting.add(cmd)
	cmd.Flags().BoolVar(&c.health, "health", false, "decide about health reports")
	addTimeout(cmd, &c.limit, 10*time.Second)
	addJSON(cmd, &c.asJSON)
	return cmd
}

type consentCommand struct {
	reporting reporting
	grant     bool
	health    bool
	limit     time.Duration
	asJSON    bool
}

func (c *consentCommand) run(cmd *cobra.Command, _ []string) error {
	service, err := c.reporting.service(cmd)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), c.limit)
	defer cancel()
	set := service.SetConsent
	if c.health {
		set = service.SetHealthConsent
	}
	if err := set(ctx, c.grant); err != nil {
		return withHint(err, "rollcall doctor looks for the cause")
	}
	decisions := service.Decisions(ctx)
	if err := printDecisions(cmd, decisions, c.asJSON); err != nil {
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

func printDecisions(cmd *cobra.Command, d rollcall.Decisions, asJSON bool) error {
	if asJSON {
		return printJSON(cmd.OutOrStdout(), d)
	}
	return printPairs(cmd.OutOrStdout(), "telemetry", words(d.Telemetry), "health reports", words(d.Health))
}

func words(d rollcall.Decision) string {
	return strings.TrimSpace(fmt.Sprintf("%s (%s)", d.State, d.Source))
}
