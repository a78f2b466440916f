package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/rollcall-dev/rollcall"
	"github.com/rollcall-dev/rollcall/internal/keeper"
	"github.com/spf13/cobra"
)

func newForget() *cobra.Command {
	f := &forget{}
	cmd := &cobra.Command{
		Use:   "forget",
		Short: "Ask the collector to delete this installation, and drop its ID",
		Long: `Ask the collector to delete all it holds about this installation. When it has, telemetry is denied, and a new ID, which
was never sent, takes the place of the old one. When it cannot be reached, nothing changes here.

It asks first, and takes no for an answer. Where nobody can be asked, --yes is needed. A running agent follows.`,
		Example: "  rollcall forget --app myapp --endpoint https://collector.example",
		Args:    noArguments,
		RunE:    f.run,
	}
	f.reporting.add(cmd)
	cmd.Flags().BoolVarP(&f.yes, "yes", "y", false, "do not ask")
	addTimeout(cmd, &f.limit, 45*time.Second)
	addJSON(cmd, &f.asJSON)
	return cmd
}

type forget struct {
	reporting reporting
	yes       bool
	limit     time.Duration
	asJSON    bool
}

// forgetOutput is the output of forget --json. The old ID is shortened: it is no longer of use to anyone.
type forgetOutput struct {
	Forgotten string `json:"forgotten"`
}

func (f *forget) run(cmd *cobra.Command, _ []string) error {
	store, err := f.reporting.place.open(cmd)
	if err != nil {
		return err
	}
	old, err := load(cmd.Context(), store, f.limit)
	if errors.Is(err, keeper.ErrNotFound) {
		return withHint(err, "there is nothing to forget")
	}
	if err != nil {
		return err
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
			return withHint(err, "name one with --endpoint, and the host with --app")
		}
		return err
	}
	if f.asJSON {
		return printJSON(cmd.OutOrStdout(), forgetOutput{old.ID.Short()})
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "the collector has deleted installation %s; telemetry is denied\n", old.ID.Short())
	return err
}
