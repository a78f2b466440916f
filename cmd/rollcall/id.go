package main

import (
	"fmt"
	"time"

	"github.com/rollcall-dev/rollcall/installid"
	"github.com/rollcall-dev/rollcall/internal/keeper"
	"github.com/spf13/cobra"
)

func newID() *cobra.Command {
	var place storage
	var limit time.Duration
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "id",
		Short: "Print the installation ID that is stored",
		Long: `Print the installation ID that is stored: given by the environment variable ROLLCALL_INSTALLATION_ID, or else in
the config, or else in the anchor beside it; with --no-config, in the state file.

Nothing is made and nothing is written. The exit code is 1 when no ID is stored or when it cannot be read in time. An ID
that an agent holds only in memory is not stored; "rollcall status" shows it.`,
		Example: "  rollcall id\n  rollcall id --config /srv/app/config.json --json",
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			store, err := place.open(cmd)
			if err != nil {
				return err
			}
			rec, err := load(cmd.Context(), store, limit)
			if err != nil {
				return err
			}
			return printID(cmd, rec, asJSON)
		},
	}
	place.add(cmd)
	addTimeout(cmd, &limit, 5*time.Second)
	addJSON(cmd, &asJSON)
	return cmd
}

// storedID is the output of id --json.
type storedID struct {
	ID    installid.ID `json:"installation_id"`
	Place string       `json:"place"`
}

func printID(cmd *cobra.Command, rec keeper.Record, asJSON bool) error {
	if asJSON {
		return printJSON(cmd.OutOrStdout(), storedID{rec.ID, rec.Place})
	}
	_, err := fmt.Fprintln(cmd.OutOrStdout(), rec.ID)
	return err
}

// addTimeout makes --timeout a flag of cmd.
func addTimeout(cmd *cobra.Command, target *time.Duration, value time.Duration) {
	cmd.Flags().Var(durationSetting(target, value), "timeout", "how long to wait at most")
}
