package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"time"

	"github.com/rollcall-dev/rollcall/installid"
	"github.com/spf13/cobra"
)

const adoptionNote = "A running agent adopts the new ID within an hour, or when it restarts."

func newReset() *cobra.Command {
	r := &reset{}
	cmd := &cobra.Command{
		Use:   "reset",
		Short: "Replace the stored installation ID with a new one",
		Long: `Replace the installation ID with a new one, in the config and in the anchor
beside it, or with --no-config in the state file. A collector will count a new
installation.

The command asks for confirmation; the default answer is no. Without a terminal,
use --yes.

` + adoptionNote,
		Example: "  rollcall reset\n  rollcall reset --config /srv/app/config.json --yes --json",
		Args:    noArguments,
		RunE:    r.run,
	}
	r.storage.add(cmd)
	addTimeout(cmd, &r.limit, 20*time.Second)
	addYes(cmd, &r.yes)
	r.out.add(cmd)
	return cmd
}

type reset struct {
	storage storageFlags
	limit   time.Duration
	yes     bool
	out     output
}

// resetOutput is the output of reset --json. The old ID is shortened,
// because nobody needs it any more.
type resetOutput struct {
	Previous string       `json:"previous,omitempty"`
	ID       installid.ID `json:"installation_id"`
	Place    string       `json:"place"`
}

func (r *reset) run(cmd *cobra.Command, _ []string) error {
	service, err := r.storage.service(cmd)
	if err != nil {
		return err
	}
	old, err := r.storage.stored(cmd, r.limit)
	if err != nil {
		return err
	}
	if !r.yes {
		question := "No installation ID is stored. Create one?"
		if !old.ID.IsZero() {
			question = fmt.Sprintf("Replace installation ID %s in %s?", old.ID.Short(), old.Place)
		}
		if err := confirm(cmd, question); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), r.limit)
	defer cancel()
	if _, err := service.Reset(ctx); err != nil {
		return withHint(err, doctorHint)
	}
	now := service.Status()
	if now.Incomplete { // a copy of the old ID is left
		fmt.Fprintln(cmd.ErrOrStderr(), "rollcall: not stored everywhere yet; an agent will finish this")
	}
	return r.out.print(cmd, resetOutput{old.ID.Short(), now.ID, now.Place}, func(w io.Writer) error {
		err := printPairs(w, "old ID", cmp.Or(old.ID.Short(), "none"), "new ID", now.ID.String(), "place", now.Place)
		if err == nil {
			_, err = fmt.Fprintln(cmd.ErrOrStderr(), adoptionNote)
		}
		return err
	})
}
