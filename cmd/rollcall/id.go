package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/rollcall-dev/rollcall"
	"github.com/rollcall-dev/rollcall/installid"
	"github.com/spf13/cobra"
)

type storedID struct {
	ID    installid.ID `json:"installation_id"`
	Place string       `json:"place"`
}

func newID() *cobra.Command {
	var storage storageFlags
	limit, out := timeout(5*time.Second), output{}
	return with(&cobra.Command{
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
	}, &storage, &limit, &out)
}

const adoptionNote = "A running agent adopts the new ID within a minute."

func newReset() *cobra.Command {
	r := &reset{limit: timeout(20 * time.Second)}
	return with(&cobra.Command{
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
	}, &r.storage, &r.limit, &r.yes, &r.out)
}

type reset struct {
	storage storageFlags
	limit   timeout
	yes     yesFlag
	out     output
}

// resetOutput is the output of reset --json. The old ID is shortened,
// because nobody needs it any more.
type resetOutput struct {
	Previous string       `json:"previous,omitempty"`
	ID       installid.ID `json:"installation_id"`
	Place    string       `json:"place"`
	Retired  string       `json:"retired,omitempty"` // where the old ID was recorded
}

func (r *reset) run(cmd *cobra.Command, _ []string) error {
	service, err := r.storage.newService(cmd)
	if err != nil {
		return err
	}
	old, err := r.storage.stored(cmd, r.limit)
	if err != nil {
		return err
	}
	question := "No installation ID is stored. Create one?"
	if !old.ID.IsZero() {
		question = fmt.Sprintf("Replace installation ID %s in %s?", old.ID.Short(), old.Place)
	}
	if err := r.yes.confirm(cmd, question); err != nil {
		return err
	}
	ctx, cancel := r.limit.context(cmd)
	defer cancel()
	if _, err := service.Reset(orderedBy(ctx, cmd)); err != nil {
		return withHint(err, doctorHint)
	}
	now := service.Status()
	if now.Incomplete {
		fmt.Fprintf(cmd.ErrOrStderr(), "rollcall: not stored everywhere: %s\n", now.Reason)
	}
	wrote := resetOutput{Previous: old.ID.Short(), ID: now.ID, Place: now.Place}
	if !old.ID.IsZero() {
		wrote.Retired = service.Files().Retired
	}
	return r.out.print(cmd, wrote, func(w io.Writer) error {
		err := printPairs(w, "old ID", cmp.Or(wrote.Previous, "none"), "new ID", now.ID.String(), "place", now.Place, "retired in", wrote.Retired)
		if err == nil && old.ID.IsZero() {
			r.storage.hintElsewhere(cmd, service.Files().ID)
		}
		if err == nil {
			_, err = fmt.Fprintln(cmd.ErrOrStderr(), adoptionNote)
		}
		return err
	})
}

const endpointHint = "set the collector with --endpoint and the host's name with --app"

func newForget() *cobra.Command {
	f := &forget{limit: timeout(45 * time.Second)}
	return with(&cobra.Command{
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
	}, &f.reporting, &f.yes, &f.limit, &f.out)
}

type forget struct {
	reporting reportingFlags
	yes       yesFlag
	limit     timeout
	out       output
}

// forgetOutput is the output of forget --json. The old ID is shortened,
// because nobody needs it any more.
type forgetOutput struct {
	Forgotten string `json:"forgotten"`
	ID        string `json:"id_file,omitempty"` // where the new ID is
	Retired   string `json:"retired,omitempty"` // where the old one was recorded
	Record    string `json:"record,omitempty"`  // where the denial was recorded
}

func (f *forget) run(cmd *cobra.Command, _ []string) error {
	old, err := f.reporting.storage.stored(cmd, f.limit)
	if err != nil {
		return err
	}
	if old.ID.IsZero() {
		return withHint(errNoID, "there is nothing to forget")
	}
	question := fmt.Sprintf("Ask the collector to delete installation %s, and deny telemetry?", old.ID.Short())
	if err := f.yes.confirm(cmd, question); err != nil {
		return err
	}
	service, err := f.reporting.newService(cmd)
	if err != nil {
		return err
	}
	ctx, cancel := f.limit.context(cmd)
	defer cancel()
	if err := service.Forget(orderedBy(ctx, cmd)); errors.Is(err, rollcall.ErrNoEndpoint) {
		return withHint(err, endpointHint)
	} else if err != nil {
		return err
	}
	files := service.Files()
	wrote := forgetOutput{old.ID.Short(), files.ID, files.Retired, files.Denial}
	return f.out.print(cmd, wrote, func(w io.Writer) error {
		fmt.Fprintf(w, "The collector has deleted installation %s. Telemetry is denied.\n", wrote.Forgotten)
		return printPairs(w, "new ID in", wrote.ID, "retired in", wrote.Retired, "denial in", wrote.Record)
	})
}
