package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/rollcall-dev/rollcall"
	"github.com/spf13/cobra"
)

// endpointHint is the hint of errors about a missing collector.
const endpointHint = "set the collector with --endpoint and the host's name with --app"

func newForget() *cobra.Command {
	f := &forget{}
	cmd := &cobra.Command{
		Use:   "forget",
		Short: "Ask the collector to delete this installation, and drop its ID",
		Long: `Ask the collector to delete its data about this installation. Once it has,
telemetry is denied, and a new ID that was never sent replaces the old one. If
the collector cannot be reached, nothing changes here.

The command asks for confirmation; the default answer is no. Without a terminal,
use --yes. A running agent notices the change.`,
		Example: "  rollcall forget --app myapp --endpoint https://collector.example",
		Args:    noArguments,
		RunE:    f.run,
	}
	f.reporting.add(cmd)
	addYes(cmd, &f.yes)
	addTimeout(cmd, &f.limit, 45*time.Second)
	f.out.add(cmd)
	return cmd
}

type forget struct {
	reporting reportingFlags
	yes       bool
	limit     time.Duration
	out       output
}

// forgetOutput is the output of forget --json. The old ID is shortened,
// because nobody needs it any more.
type forgetOutput struct {
	Forgotten string `json:"forgotten"`
}

func (f *forget) run(cmd *cobra.Command, _ []string) error {
	old, err := f.reporting.storage.stored(cmd, f.limit)
	if err != nil {
		return err
	}
	if old.ID.IsZero() {
		return withHint(errNoID, "there is nothing to forget")
	}
	if !f.yes {
		question := fmt.Sprintf("Ask the collector to delete installation %s, and deny telemetry?", old.ID.Short())
		if err := confirm(cmd, question); err != nil {
			return err
		}
	}
	service, err := f.reporting.service(cmd)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), f.limit)
	defer cancel()
	if err := service.Forget(ctx); err != nil {
		if errors.Is(err, rollcall.ErrNoEndpoint) {
			return withHint(err, endpointHint)
		}
		return err
	}
	return f.out.printf(cmd, forgetOutput{old.ID.Short()},
		"The collector has deleted installation %s. Telemetry is denied.\n", old.ID.Short())
}
