package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/rollcall-dev/rollcall/installid"
	"github.com/rollcall-dev/rollcall/internal/keeper"
	"github.com/spf13/cobra"
)

const adoptionNote = "A running agent adopts it within an hour, or when it is started anew."

func newReset() *cobra.Command {
	r := &reset{}
	cmd := &cobra.Command{
		Use:   "reset",
		Short: "Make a new installation ID in place of the stored one",
		Long: `Make a new installation ID and store it in place of the old one, in the config and in the anchor beside it; with
--no-config, in the state file. To those who count, this is a new installation from then on.

It asks first, and takes no for an answer. Where nobody can be asked, --yes is needed. ` + adoptionNote,
		Example: "  rollcall reset\n  rollcall reset --config /srv/app/config.json --yes --json",
		Args:    noArguments,
		RunE:    r.run,
	}
	r.place.add(cmd)
	addTimeout(cmd, &r.limit, 20*time.Second)
	cmd.Flags().BoolVarP(&r.yes, "yes", "y", false, "do not ask")
	addJSON(cmd, &r.asJSON)
	return cmd
}

type reset struct {
	place  storage
	limit  time.Duration
	yes    bool
	asJSON bool
}

// resetOutput is the output of reset --json. The old ID is shortened: it is no longer of use to anyone.
type resetOutput struct {
	Previous string       `json:"previous,omitempty"`
	ID       installid.ID `json:"installation_id"`
	Place    string       `json:"place"`
}

func (r *reset) run(cmd *cobra.Command, _ []string) error {
	store, err := r.place.open(cmd)
	if err != nil {
		return err
	}
	old, err := load(cmd.Context(), store, r.limit)
	if err != nil && !errors.Is(err, keeper.ErrNotFound) {
		return err
	}
	if !r.yes {
		question := "No installation ID is stored. Make one?"
		if !old.ID.IsZero() {
			question = fmt.Sprintf("Replace installation ID %s in %s?", old.ID.Short(), old.Place)
		}
		if err := confirm(cmd, question); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), r.limit)
	defer cancel()
	rec, err := store.Replace(ctx, installid.New())
	if rec.ID.IsZero() {
		return withHint(fmt.Errorf("reset installation ID: %w", err), "rollcall doctor looks for the cause")
	}
	if err != nil { // stored, but a copy of the old one is left
		fmt.Fprintf(cmd.ErrOrStderr(), "rollcall: not stored everywhere yet, an agent completes it: %v\n", err)
	}
	return r.print(cmd, old, rec)
}

func (r *reset) print(cmd *cobra.Command, old, rec keeper.Record) error {
	if r.asJSON {
		return printJSON(cmd.OutOrStdout(), resetOutput{old.ID.Short(), rec.ID, rec.Place})
	}
	before := old.ID.Short()
	if before == "" {
		before = "none"
	}
	if err := printPairs(cmd.OutOrStdout(), "old ID", before, "new ID", rec.ID.String(), "place", rec.Place); err != nil {
		return err
	}
	_, err := fmt.Fprintln(cmd.ErrOrStderr(), adoptionNote)
	return err
}

// confirm asks on the terminal. Without an answer it is no.
func confirm(cmd *cobra.Command, question string) error {
	in, out := cmd.InOrStdin(), cmd.ErrOrStderr()
	needYes := withHint(fmt.Errorf("%s not confirmed", cmd.Name()), "without a terminal to ask on, give --yes")
	if !isTerminal(in) {
		return needYes
	}
	fmt.Fprintf(out, "%s [y/N] ", question)
	line, err := bufio.NewReader(in).ReadString('\n')
	if err != nil && line == "" {
		fmt.Fprintln(out)
		return needYes
	}
	switch strings.ToLower(strings.TrimSpace(line)) {
	case "y", "yes":
		return nil
	}
	return errors.New("nothing changed")
}

// isTerminal tells whether somebody may be there to answer. The null device looks like a terminal, and answers nothing.
func isTerminal(in io.Reader) bool {
	file, ok := in.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&fs.ModeCharDevice != 0
}
