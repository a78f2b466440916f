package main

import (
	"time"

	"github.com/rollcall-dev/rollcall/installid"
	"github.com/spf13/cobra"
)

// storedID is the output of id --json.
type storedID struct {
	ID    installid.ID `json:"installation_id"`
	Place string       `json:"place"`
}

func newID() *cobra.Command {
	var storage storageFlags
	var limit time.Duration
	var out output
	cmd := &cobra.Command{
		Use:   "id",
		Short: "Print the stored installation ID",
		Long: `Print the stored installation ID: that of the environment variable
ROLLCALL_INSTALLATION_ID, of the config, or of the anchor beside it. With
--no-config, print the one in the state file.

Nothing is created or changed. The exit code is 1 if no ID is stored, or if it
cannot be read in time. An ID that an agent has only in memory is not stored;
"rollcall status" shows it.`,
		Example: "  rollcall id\n  rollcall id --config /srv/app/config.json --json",
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			stored, err := storage.stored(cmd, limit)
			if err != nil {
				return err
			}
			if stored.ID.IsZero() {
				return withHint(errNoID, "an agent creates one when it starts: rollcall agent")
			}
			return out.printf(cmd, storedID{stored.ID, stored.Place}, "%s\n", stored.ID)
		},
	}
	storage.add(cmd)
	addTimeout(cmd, &limit, 5*time.Second)
	out.add(cmd)
	return cmd
}
