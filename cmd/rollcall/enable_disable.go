package main

import (
	"context"
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
		Long: `Grant telemetry: write the operator's decision to the config, and end a recorded
denial. It covers what the host declares today; fields that a later version adds
are withheld until telemetry is granted again. "rollcall preview --explain" shows
what is sent and why.

A policy file and the environment take precedence over the config. If one of
them denies telemetry, nothing is sent, and the exit code is 3. Health reports
need a decision of their own, with --health. So does the check for newer
releases, with --update-check, which does not need telemetry. A running agent
notices the change.`,
		Example: "  rollcall enable\n  rollcall enable --health --config /srv/app/config.json\n  rollcall enable --update-check",
	})
}

func newDisable() *cobra.Command {
	return newConsent(false, &cobra.Command{
		Use:   "disable",
		Short: "Deny telemetry for good",
		Long: `Deny telemetry: record the operator's decision beside the config, and write it
to the config. It remains in effect through updates of the host, and nobody is
asked again. An old copy of the config does not undo it: only "rollcall enable",
the operator's page, and removing the record do. A running agent stops at once:
it drops what is pending, cancels a request in flight, and sends nothing more.
The check for newer releases ends too; to keep it, grant it again with "rollcall
enable --update-check". With --health only health reports are denied, and with
--update-check only the check, which then forgets what it learnt.`,
		Example: "  rollcall disable\n  rollcall disable --config /srv/app/config.json --json\n  rollcall disable --update-check",
	})
}

func newConsent(grant bool, cmd *cobra.Command) *cobra.Command {
	c := &consentCommand{grant: grant, limit: timeout(10 * time.Second)}
	cmd.Args, cmd.RunE = noArguments, c.run
	cmd.Flags().BoolVar(&c.health, "health", false, "decide about health reports")
	cmd.Flags().BoolVar(&c.updates, "update-check", false, "decide about the check for newer releases")
	cmd.MarkFlagsMutuallyExclusive("health", "update-check")
	return with(cmd, &c.reporting, &c.limit, &c.out)
}

type consentCommand struct {
	reporting reportingFlags
	grant     bool
	health    bool
	updates   bool
	limit     timeout
	out       output
}

func (c *consentCommand) run(cmd *cobra.Command, _ []string) error {
	service, err := c.reporting.newService(cmd)
	if err != nil {
		return err
	}
	ctx, cancel := c.limit.context(cmd)
	defer cancel()
	set, about := service.SetConsent, func(d rollcall.Decisions) rollcall.Decision { return d.Telemetry }
	switch {
	case c.health:
		set, about = service.SetHealthConsent, func(d rollcall.Decisions) rollcall.Decision { return d.Health }
	case c.updates:
		set, about = service.SetUpdateConsent, func(d rollcall.Decisions) rollcall.Decision { return d.UpdateCheck }
	}
	first, err := c.isFirst(ctx, cmd, service)
	if err != nil {
		return err
	}
	if err := set(orderedBy(ctx, cmd), c.grant); err != nil {
		return withHint(err, doctorHint)
	}
	decisions, files := service.Decisions(ctx), service.Files()
	effective := about(decisions)
	wrote := consentOutput{Decisions: decisions}
	if c.grant || effective.Setting == rollcall.Denied {
		wrote.File = files.Decisions
	}
	if !c.grant {
		wrote.Record = files.Denial
	}
	err = c.out.print(cmd, wrote, func(w io.Writer) error {
		return printPairs(w, "telemetry", describe(decisions.Telemetry), "health reports", describeHealth(decisions.Health, decisions.Telemetry),
			"update check", describeUpdateCheck(decisions.UpdateCheck), "written to", wrote.File, "recorded in", wrote.Record)
	})
	if err != nil {
		return err
	}
	if first {
		c.reporting.storage.hintElsewhere(cmd, files.Decisions)
	}
	if !c.grant && effective.Setting != rollcall.Denied {
		fmt.Fprintf(cmd.ErrOrStderr(), "rollcall: the config could not be changed and says %v; the recorded denial takes precedence\n", effective.Setting)
	}
	if c.grant && effective.State != rollcall.Granted {
		fmt.Fprintf(cmd.ErrOrStderr(), "rollcall: saved, but not in effect: %s\n", effective.Source)
		return exitCode(exitNotWell)
	}
	return nil
}

// isFirst reports whether the state directory of a host without a config holds
// nothing yet.
func (c *consentCommand) isFirst(ctx context.Context, cmd *cobra.Command, service *rollcall.Service) (bool, error) {
	if !c.reporting.storage.noConfig {
		return false, nil
	}
	now := service.Decisions(ctx)
	if now.Telemetry.Setting != rollcall.Unset || now.Health.Setting != rollcall.Unset || now.UpdateCheck.Setting != rollcall.Unset {
		return false, nil
	}
	stored, err := c.reporting.storage.stored(cmd, c.limit)
	return err == nil && stored.ID.IsZero(), err
}

// consentOutput is the output of enable and disable --json.
type consentOutput struct {
	rollcall.Decisions
	File   string `json:"file,omitempty"`   // where the decision was written
	Record string `json:"record,omitempty"` // where the denial was recorded
}

func describe(d rollcall.Decision) string {
	return fmt.Sprintf("%v (%v)", d.State, d.Source)
}

// describeHealth is describe for health reports. If they were withdrawn on their
// own, a grant of telemetry does not bring them back.
func describeHealth(health, telemetry rollcall.Decision) string {
	if health.Source == telemetry.Source {
		return describe(health)
	}
	return describeOwn(health, "rollcall enable --health")
}

// describeUpdateCheck is describe for the update check, which a grant of
// telemetry never brings back.
func describeUpdateCheck(d rollcall.Decision) string {
	return describeOwn(d, "rollcall enable --update-check")
}

// describeOwn is describe for a decision that the verb grants again.
func describeOwn(d rollcall.Decision, verb string) string {
	if s := d.Source; s.Kind == rollcall.SourceWithdrawal && s.Problem == "" {
		return fmt.Sprintf("%v (withdrawn by %s on %s; to grant again, use %s)", d.State, s.By, s.Since.Format(time.RFC3339), verb)
	}
	return describe(d)
}
